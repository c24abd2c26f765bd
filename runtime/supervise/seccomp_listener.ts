import type { Fd } from "../../ffi/fd.ts";
import { connect, sendWithFd } from "../../ffi/socket.ts";
import { LifecycleError } from "../errors.ts";

/** Where the listener of a seccomp filter goes, and what is said along (OCI config-linux.md, "The Container Process State"). */
export interface ListenerTarget {
  /** Path of a Unix socket. */
  readonly path: string;
  readonly metadata?: string;
  readonly id: string;
  readonly pid: number;
  readonly bundle: string;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/**
 * Hands the listener to the agent that decides over system calls.
 *
 * @throws {LifecycleError} in runc's words if nobody listens at the path: the program does not begin.
 */
export function sendListener(
  listener: Fd,
  { path, metadata, id, pid, bundle, annotations }: ListenerTarget,
): void {
  const state = {
    ociVersion: "1.2.0",
    id,
    status: "creating",
    pid,
    bundle,
    ...(annotations && { annotations }),
  };
  const message = {
    ociVersion: "1.2.0",
    fds: ["seccompFd"],
    pid,
    ...(metadata !== undefined && { metadata }),
    state,
  };
  using fd = listener;
  using socket = connected(path);
  sendWithFd(socket, new TextEncoder().encode(JSON.stringify(message)), fd);
}

function connected(path: string): Fd {
  try {
    return connect(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LifecycleError(`failed to connect with seccomp agent specified in the seccomp profile: ${why}`);
  }
}
