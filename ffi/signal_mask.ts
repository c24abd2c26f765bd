import { SyscallError } from "./errno.ts";
import { openLibrary } from "./library.ts";

const libc = openLibrary("libc.so.6", {
  pthread_sigmask: { parameters: ["i32", "buffer", "buffer"], result: "i32" }, // (int how, const sigset_t *, sigset_t *)
});
const SIG_SETMASK = 2;
const SIGSET_BYTES = 128;

/** Lets every signal through to this thread that was held back (pthread_sigmask(3)). */
export function holdNoSignals(): void {
  const failed = libc.pthread_sigmask(SIG_SETMASK, new Uint8Array(SIGSET_BYTES), null);
  if (failed !== 0) throw new SyscallError("let signals through", failed);
}
