import { openPidFd } from "../../ffi/process.ts";
import { connect, sendWithFd } from "../../ffi/socket.ts";
import type { Child } from "../launch/child.ts";

/** Sends the other side of a terminal, with its name, to the Unix socket at a path, as engines take it. */
export function sendTerminal(child: Child, path: string | undefined): void {
  if (path === undefined || !child.terminal) return;
  using terminal = child.terminal;
  child.terminal = undefined;
  using socket = connect(path);
  sendWithFd(socket, new TextEncoder().encode("/dev/ptmx"), terminal);
}

/** Sends a pidfd to the Unix socket at a path; `kind` says whether it is a container's first process, as runc does. */
export function sendPidFd(pid: number, path: string | undefined, kind: "standard" | "setns"): void {
  if (path === undefined) return;
  using pidFd = openPidFd(pid);
  using socket = connect(path);
  sendWithFd(socket, new TextEncoder().encode(kind), pidFd);
}
