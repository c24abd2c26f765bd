import { openPath } from "../../ffi/look.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { readForeign } from "../../ffi/foreign_file.ts";
import { reactor } from "../launch/reactor.ts";

const MOST_BYTES = 1 << 20;
/** How long somebody inside may let us wait for the file. */
const PATIENCE_MS = 1000;
const NO_HOME = "/";

/**
 * The home directory that the sandbox's /etc/passwd names for a user, as runc looks for it where HOME is not set; `/` if
 * it names none. Whoever wrote the file is not believed anything else.
 *
 * @param pid The init of the sandbox.
 */
export async function homeOf(uid: number, pid: number): Promise<string> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  using _timer = reactor.after(PATIENCE_MS, () => resolve(undefined));
  const bytes = await Promise.race([passwd(pid), late]);
  return homeIn(new TextDecoder().decode(bytes ?? new Uint8Array()), uid);
}

async function passwd(pid: number): Promise<Uint8Array | undefined> {
  try {
    using root = openPath(`/proc/${pid}/root`);
    return await readForeign(root, "etc/passwd", MOST_BYTES);
  } catch (error) {
    if (error instanceof SyscallError) return undefined; // it has just ended, or is not ours to look at
    throw error;
  }
}

/** The home directory of a user in a text like passwd(5). */
export function homeIn(text: string, uid: number): string {
  for (const line of text.split("\n")) {
    const [, , id, , , home = ""] = line.split(":");
    if (id === String(uid)) return home === "" || home.includes("\0") ? NO_HOME : home;
  }
  return NO_HOME;
}
