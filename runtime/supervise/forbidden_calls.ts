import type { Fd } from "../../ffi/fd.ts";
import { syscallName } from "../../ffi/seccomp.ts";
import { EPOLLIN, reactor, type Watch } from "../launch/reactor.ts";
import { type Notification, receiveNotification } from "./notification.ts";

/** A system call that a policy ends the sandbox for. */
export interface ForbiddenCall {
  /** Its name, such as `ptrace`. */
  readonly syscall: string;
  /** Its number on this machine. */
  readonly number: number;
  /** The six registers of its arguments, in hexadecimal; what they point to is not read. */
  readonly arguments: readonly string[];
}

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
  const found = receiveNotification(listener);
  return found && forbiddenCall(found);
}

/** The call as records name it. */
export function forbiddenCall({ number, arch, arguments: args }: Notification): ForbiddenCall {
  return {
    syscall: syscallName(number, arch),
    number,
    arguments: args.map((each) => `0x${each.toString(16)}`),
  };
}
