import { dirname } from "@std/path";
import { SyscallError } from "../ffi/errno.ts";
import { nameFile, writeNameless } from "../ffi/publish.ts";
import { removeIfThere } from "../ffi/remove.ts";

/** How a file is written. */
export interface WholeFileOptions {
  /** Its permissions, as far as the umask leaves them. @default 0o666 */
  readonly mode?: number;
  /**
   * Whether one of that name that is there stays until this one takes its place, so that there always is one. Else it is
   * removed just before: nobody takes the pid or the result of an earlier run for one of this.
   */
  readonly keepsOld?: boolean;
}

/**
 * Writes a file whole or not at all, in place of another one. It has no name until it is whole, so that a command that is
 * killed leaves no part of it behind.
 *
 * @throws {Error} if it cannot be written.
 */
export async function writeWholeFile(
  file: string,
  bytes: Uint8Array<ArrayBuffer>,
  { mode = 0o666, keepsOld = false }: WholeFileOptions = {},
): Promise<void> {
  const beside = `${file}.${crypto.randomUUID().slice(0, 8)}`;
  try {
    using nameless = writeNameless(dirname(file), file, { bytes, mode, toDisk: true });
    // Nothing gives a file without a name the place of another one in one step (linkat(2)).
    while (!nameFile(nameless, file)) {
      if (!keepsOld) removeIfThere(file);
      else if (nameFile(nameless, beside)) return await renameOver(beside, file);
    }
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    // Not every file system has such files (open(2)); what else is wrong is found again, and told.
    await writeBeside(file, beside, { bytes, mode });
  }
}

/** The same with a name from the start. */
async function writeBeside(
  file: string,
  beside: string,
  { bytes, mode }: { readonly bytes: Uint8Array<ArrayBuffer>; readonly mode: number },
): Promise<void> {
  try {
    using opened = await Deno.open(beside, { write: true, createNew: true, mode });
    for (let done = 0; done < bytes.length;) done += await opened.write(bytes.subarray(done));
    await opened.syncData();
  } catch (error) {
    await Deno.remove(beside).catch(() => {});
    throw error;
  }
  await renameOver(beside, file);
}

async function renameOver(beside: string, file: string): Promise<void> {
  try {
    await Deno.rename(beside, file);
  } catch (error) {
    await Deno.remove(beside).catch(() => {});
    throw error;
  }
}
