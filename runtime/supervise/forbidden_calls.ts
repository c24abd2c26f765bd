import type { Fd } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { syscallName } from "../../ffi/seccomp.ts";
import { EPOLLIN, reactor, type Watch } from "../launch/reactor.ts";

/** A system call that a policy ends the sandbox for. */
export interface ForbiddenCall {
  /** Its name, such as `ptrace`. */
  readonly syscall: string;
  /** Its number on this machine. */
  readonly number: number;
  /** The six registers of its arguments, in hexadecimal; what they point to is not read. */
  readonly arguments: readonly string[];
}

const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100n;
/** `struct seccomp_notif`: id (8), pid (4), flags (4), then `struct seccomp_data`: nr (4), arch (4), ip (8), args (48). */
const [NOTIFICATION_BYTES, NUMBER_AT, ARCH_AT, ARGUMENTS_AT] = [80, 16, 20, 32];

/**
 * Tells of the first call that a filter has stopped (seccomp_unotify(2)). The caller waits in the kernel and gets no
 * answer: whoever hears of it ends the sandbox.
 *
 * @param ended Resolves when nothing of the sandbox runs any more.
 */
export function onForbiddenCall(
  listener: Fd,
  ended: Promise<unknown>,
  hear: (call: ForbiddenCall) => void,
): void {
  const watch: Watch = reactor.watch(listener, EPOLLIN, (events) => {
    const asks = (events & EPOLLIN) !== 0;
    const call = asks ? receive(listener) : undefined;
    if (asks && call === undefined) return; // who called is gone
    watch[Symbol.dispose]();
    if (call === undefined) return listener[Symbol.dispose]();
    // Without a listener the call would return ENOSYS, and its caller go on until the end of init has reached it.
    void ended.then(() => listener[Symbol.dispose]());
    hear(call);
  });
}

function receive(listener: Fd): ForbiddenCall | undefined {
  const bytes = new Uint8Array(NOTIFICATION_BYTES);
  if (libc.ioctl(listener.raw, SECCOMP_IOCTL_NOTIF_RECV, bytes) === -1) return undefined;
  const view = new DataView(bytes.buffer);
  const number = view.getInt32(NUMBER_AT, true);
  const args = Array.from({ length: 6 }, (_, index) => view.getBigUint64(ARGUMENTS_AT + index * 8, true));
  return {
    syscall: syscallName(number, view.getUint32(ARCH_AT, true)),
    number,
    arguments: args.map((each) => `0x${each.toString(16)}`),
  };
}
