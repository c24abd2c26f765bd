import { check, SyscallError } from "../../ffi/errno.ts";
import { open } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { codeOf, isGone } from "./gone.ts";

const O_WRONLY = 1;
export const [ENOENT, EBUSY] = [2, 16];
const ENODEV = 19;
/** Text of a cgroup file, or nothing if this kernel or group has none. */
export function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path).trim();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/**
 * Writes all of `value` at once, as cgroup files want it.
 *
 * @throws {SyscallError} with what the kernel has against it.
 */
export function write(path: string, value: string, doing: string): void {
  try {
    using file = open(path, O_WRONLY);
    const bytes = new TextEncoder().encode(value);
    check(() => libc.write(file.raw, bytes, BigInt(bytes.length)), doing, path);
  } catch (error) {
    throw error instanceof SyscallError ? new SyscallError(doing, error.errno, path) : error;
  }
}

/** Writes where there is such a file; whether there was. */
export function writeIfThere(path: string, value: string, doing: string): boolean {
  try {
    write(path, value, doing);
    return true;
  } catch (error) {
    // ENODEV: the group was removed between the opening and the writing.
    if (error instanceof SyscallError && [ENOENT, ENODEV].includes(error.errno)) return false;
    throw error;
  }
}

/** A group and all groups below it, the deepest first. */
export function tree(directory: string): string[] {
  const found: string[] = [];
  try {
    for (const { name, isDirectory } of Deno.readDirSync(directory)) {
      if (isDirectory) found.push(...tree(`${directory}/${name}`));
    }
    found.push(directory);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  return found;
}

/** Processes of a group, those below not counted; 0 stands for one of another pid namespace. */
export function processes(directory: string): number[] {
  const text = read(`${directory}/cgroup.procs`) ?? "";
  return text === "" ? [] : text.split("\n").map(Number);
}

/** Removes an empty group; whether it is gone. */
export function removeGroup(directory: string): boolean {
  try {
    Deno.removeSync(directory);
    return true;
  } catch (error) {
    if (isGone(error)) return true;
    if (codeOf(error) === "EBUSY") return false;
    throw error;
  }
}

/** Waits `done` out, looking more and more rarely; whether it came about in time. */
export async function waitUntil(done: () => boolean, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  for (let pauseMs = 1;; pauseMs = Math.min(pauseMs * 2, 20)) {
    if (done()) return true;
    if (performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
