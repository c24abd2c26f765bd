import type { Fd } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";

const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100n;
const SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101n;
const SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102n;
const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;
/** `struct seccomp_notif`: id (8), pid (4), flags (4), then `struct seccomp_data`: nr (4), arch (4), ip (8), args (48). */
const [NOTIFICATION_BYTES, PID_AT, NUMBER_AT, ARCH_AT, ARGUMENTS_AT] = [80, 8, 16, 20, 32];
/** `struct seccomp_notif_resp`: id (8), val (8), error (4), flags (4). */
const [RESPONSE_BYTES, ERROR_AT, FLAGS_AT] = [24, 16, 20];

/** A system call that waits in the kernel for an answer (seccomp_unotify(2)). */
export interface Notification {
  /** Which call it is, to the kernel. */
  readonly id: bigint;
  /** The thread that calls, as this process sees it. */
  readonly pid: number;
  readonly number: number;
  /** `AUDIT_ARCH_*` */
  readonly arch: number;
  /** The registers: they were copied, and the call is made with just these. */
  readonly arguments: readonly bigint[];
}

/** The next call that waits; nothing if who called is gone. Waits itself if there is none. */
export function receiveNotification(listener: Fd): Notification | undefined {
  const bytes = new Uint8Array(NOTIFICATION_BYTES);
  if (libc.ioctl(listener.raw, SECCOMP_IOCTL_NOTIF_RECV, bytes) === -1) return undefined;
  const view = new DataView(bytes.buffer);
  return {
    id: view.getBigUint64(0, true),
    pid: view.getUint32(PID_AT, true),
    number: view.getInt32(NUMBER_AT, true),
    arch: view.getUint32(ARCH_AT, true),
    arguments: Array.from({ length: 6 }, (_, index) => view.getBigUint64(ARGUMENTS_AT + index * 8, true)),
  };
}

/** Lets a call go on, or fail with an errno. Who called may be gone: then nobody needs it. */
export function answerNotification(listener: Fd, { id }: Notification, errno: number | undefined): void {
  const view = new DataView(new ArrayBuffer(RESPONSE_BYTES));
  view.setBigUint64(0, id, true);
  if (errno === undefined) view.setUint32(FLAGS_AT, SECCOMP_USER_NOTIF_FLAG_CONTINUE, true);
  else view.setInt32(ERROR_AT, -errno, true);
  libc.ioctl(listener.raw, SECCOMP_IOCTL_NOTIF_SEND, view.buffer);
}

/** Whether who called still waits: what was read from its memory was its own, and not of another with the same pid. */
export function isWaiting(listener: Fd, { id }: Notification): boolean {
  return libc.ioctl(listener.raw, SECCOMP_IOCTL_NOTIF_ID_VALID, new BigUint64Array([id])) === 0;
}
