import type { Fd } from "../../ffi/fd.ts";
import { listenForDatagrams, receive, sendDatagram } from "../../ffi/socket.ts";
import { EPOLLIN, reactor } from "../launch/reactor.ts";
import type { Mount } from "../spec/config.ts";
import { hold } from "../state/liveness.ts";
import type { ProcessName } from "../state/record.ts";
import type { Entry } from "../state/store.ts";

/** Where a program finds the socket at which it says that it is ready (sd_notify(3)). */
const [INSIDE, NAME] = ["/run/notify", "notify.sock"];
const MOST_BYTES = 4096;

/** The mount that shows a program the directory of its socket, as runc's. */
export function notifyMount(entry: Entry): Mount {
  return {
    destination: INSIDE,
    source: entry.makeNotify(),
    options: ["bind", "nosuid", "noexec", "nodev", "ro"],
  };
}

/** What a program learns of its socket. */
export const NOTIFY_ENV = `NOTIFY_SOCKET=${INSIDE}/${NAME}`;

/** The socket of a container, at which it can be heard from now on. */
export function listenToProgram(entry: Entry): Fd {
  return listenForDatagrams(`${entry.notifyPath}/${NAME}`);
}

/**
 * Waits until the program says that it is ready, and passes that on with its pid to the socket of whoever asked for it;
 * returns when it has done so, or the program has ended.
 */
export async function passReadiness(socket: Fd, init: ProcessName, host: string): Promise<void> {
  using end = hold(init);
  if (!end) return;
  const ended = Promise.withResolvers<"ended">();
  using _watch = reactor.watch(end, EPOLLIN, () => ended.resolve("ended"));
  for (;;) {
    const said = Promise.withResolvers<"said">();
    using _heard = reactor.watch(socket, EPOLLIN, () => said.resolve("said"));
    if (await Promise.race([said.promise, ended.promise]) === "ended") return;
    const received = receive(socket, MOST_BYTES);
    if (typeof received === "string") continue;
    using _sent = received.fd; // descriptors are nobody's here
    const lines = new TextDecoder().decode(received.bytes).split("\n");
    const ready = lines.find((line) => line.startsWith("READY="));
    if (ready === undefined) continue;
    for (const line of [ready, `MAINPID=${init.pid}`]) {
      sendDatagram(host, new TextEncoder().encode(`${line}\n`));
    }
    return;
  }
}
