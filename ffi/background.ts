import { Fd } from "./fd.ts";
import { openLibrary } from "./library.ts";
import { libc } from "./libc.ts";
import { cstring } from "./memory.ts";

const [O_WRONLY, O_CLOEXEC] = [1, 0o2000000];

/** The result tells nobody anything: see libc.ts. */
const background = openLibrary("libc.so.6", {
  write: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
});

/** Writes a text to a file on another thread, and lets nobody know how that went. */
export function writeInBackground(path: string, text: string): void {
  const raw = libc.open(cstring(path), O_WRONLY | O_CLOEXEC, 0);
  if (raw === -1) return;
  const file = new Fd(raw);
  const bytes = new TextEncoder().encode(text);
  void background.write(file.raw, bytes, BigInt(bytes.length)).then(() => file[Symbol.dispose]());
}
