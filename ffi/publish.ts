import { check, unless } from "./errno.ts";
import { type Fd, open } from "./fd.ts";
import { libc } from "./libc.ts";
import { cstring } from "./memory.ts";
import { removeIfThere } from "./remove.ts";
import { writeAll } from "./socket.ts";

const [O_WRONLY, AT_FDCWD, AT_SYMLINK_FOLLOW, EEXIST] = [1, -100, 0x400, 17];
/** With O_DIRECTORY in it, whose value differs. */
const O_TMPFILE = Deno.build.arch === "x86_64" ? 0o20200000 : 0o20040000;

/**
 * Puts a file in place of another one when all of it is written. It has no name until then, so that a writer that is
 * killed leaves none behind; for a moment there is no file.
 *
 * @param directory Where `file` lies; its file system must know files without a name (O_TMPFILE in open(2)).
 */
export function publish(directory: string, file: string, bytes: Uint8Array<ArrayBuffer>): void {
  using fd = writeNameless(directory, file, { bytes, mode: 0o600 });
  removeIfThere(file);
  nameFile(fd, file); // somebody else's may have come meanwhile
}

/**
 * Writes a file that has no name yet, and goes with its descriptor.
 *
 * @param directory As {@linkcode publish} has it.
 * @param file What messages call it.
 */
export function writeNameless(
  directory: string,
  file: string,
  { bytes, mode, toDisk = false }: {
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly mode: number;
    /** Whether its bytes are to outlast a power cut. */
    readonly toDisk?: boolean;
  },
): Fd {
  using stack = new DisposableStack();
  const fd = stack.use(open(directory, O_TMPFILE | O_WRONLY, mode));
  writeAll(fd, bytes, file);
  if (toDisk) check(libc.fdatasync(fd.raw), "write", file);
  stack.move();
  return fd;
}

/** Names a file that has no name; false if there is another one of that name. */
export function nameFile(fd: Fd, file: string): boolean {
  const self = cstring(`/proc/self/fd/${fd.raw}`);
  const link = (): number => libc.linkat(AT_FDCWD, self, AT_FDCWD, cstring(file), AT_SYMLINK_FOLLOW);
  return unless([EEXIST], link, "name", file) !== undefined;
}
