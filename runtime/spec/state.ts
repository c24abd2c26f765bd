/** The OCI runtime specification 1.3, state: what hooks read on stdin and `state` prints. */

import type { StringMap } from "./config.ts";

/** Where a sandbox is in its life; `paused` is runc's addition. */
export const STATUSES = ["creating", "created", "running", "paused", "stopped"] as const;
export type StateStatus = (typeof STATUSES)[number];

/** The state of a sandbox as the specification writes it. */
export interface State {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: StateStatus;
  /** Missing unless `status` is `created`, `running` or `paused`. */
  readonly pid?: number;
  /** Absolute path. */
  readonly bundle: string;
  readonly annotations?: StringMap<string>;
}

/** What the runtime sends to a seccomp agent, with the descriptors named in `fds`. */
export interface ContainerProcessState {
  readonly ociVersion: string;
  readonly fds?: readonly "seccompFd"[];
  readonly pid: number;
  readonly metadata?: string;
  readonly state: State;
}
