/** The OCI runtime specification 1.3, state: what hooks read on stdin and `state` prints. */

import type { Hooks, Spec, StringMap } from "./config.ts";

/** The version of the OCI runtime specification that states keep to. */
export const OCI_VERSION = "1.3.0";

/** Where a sandbox is in its life; `paused` is runc's addition. */
export const STATUSES = ["creating", "created", "running", "paused", "stopped"] as const;
/** A moment in the life of a sandbox. */
export type StateStatus = (typeof STATUSES)[number];

/** The state of a sandbox as the specification writes it. */
export interface State {
  /** The version of the specification that this document keeps to. */
  readonly ociVersion: string;
  /** Name of the sandbox, unique on the host. */
  readonly id: string;
  /** Where it is in its life. */
  readonly status: StateStatus;
  /** Missing unless `status` is `created`, `running` or `paused`. */
  readonly pid?: number;
  /** Absolute path. */
  readonly bundle: string;
  /** Those of its config.json. */
  readonly annotations?: StringMap<string>;
}

/** What the runtime sends to a seccomp agent, with the descriptors named in `fds`. */
export interface ContainerProcessState {
  /** The version of the specification that this document keeps to. */
  readonly ociVersion: string;
  /** Names of the descriptors that come along, in their order. */
  readonly fds?: readonly "seccompFd"[];
  /** The program's pid as the runtime sees it. */
  readonly pid: number;
  /** The `listenerMetadata` of config.json. */
  readonly metadata?: string;
  /** The state of the sandbox. */
  readonly state: State;
}

/** Whether a config.json names any hook. */
export function hasHooks({ hooks }: { readonly hooks?: Hooks }): boolean {
  return Object.values(hooks ?? {}).some((each) => each.length > 0);
}

/** The state of a sandbox as hooks read it. */
export function hookState(
  { id, bundle, annotations }: Pick<State, "id" | "bundle"> & Pick<Spec, "annotations">,
  status: StateStatus,
  pid: number,
): State {
  const noted = annotations && Object.keys(annotations).length > 0 ? { annotations } : {};
  return { ociVersion: OCI_VERSION, id, status, pid, bundle, ...noted };
}
