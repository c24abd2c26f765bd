import { parseMountinfo } from "../runtime/attest/parse.ts";
import { UnsupportedError } from "../runtime/errors.ts";
import { descriptorName } from "../runtime/state/descriptor_name.ts";

/** Something outside of a container that descriptors in it lead to. */
export interface ExternalFile {
  /** Its name: `file[<mount>:<inode>]`, or `pipe:[<inode>]`. */
  readonly key: string;
  /** Which of stdin, stdout and stderr takes its place in a restore. */
  readonly stdio: 0 | 1 | 2;
}

const STDIO = [0, 1, 2] as const;

/** The links of a process's stdin, stdout and stderr, as runc keeps them too. */
export function linksOf(pid: number): string[] {
  return STDIO.map((fd) => linkOf(pid, fd) ?? "/dev/null");
}

/**
 * What processes still have of the stdin, stdout and stderr that their container began with, wherever they have put it.
 *
 * @param given The names of those three.
 * @throws {UnsupportedError} if another descriptor leads to a file of the host: nothing could take its place later.
 */
export function externalFiles(given: readonly string[], pids: readonly number[]): ExternalFile[] {
  const found = new Map<string, ExternalFile>();
  for (const pid of pids) {
    const mounts = mountsOf(pid);
    for (const fd of names(`/proc/${pid}/fd`).map(Number)) {
      const key = descriptorName(pid, fd);
      if (key === undefined || found.has(key)) continue;
      const stdio = STDIO.find((each) => given[each] === key);
      const mount = /^file\[([0-9a-f]+):/.exec(key)?.[1];
      if (mount !== undefined && mounts.has(parseInt(mount, 16))) continue;
      if (stdio !== undefined) found.set(key, { key, stdio });
      else if (mount !== undefined) {
        throw new UnsupportedError(
          "a checkpoint",
          `descriptor ${fd} of process ${pid} leads to "${linkOf(pid, fd)}" outside of the container`,
          "let the program close it before",
        );
      }
    }
  }
  return [...found.values()].sort((a, b) => a.stdio - b.stdio);
}

function mountsOf(pid: number): Set<number> {
  try {
    return new Set(parseMountinfo(Deno.readTextFileSync(`/proc/${pid}/mountinfo`)).map(({ id }) => id));
  } catch {
    return new Set(); // it has ended
  }
}

function linkOf(pid: number, fd: number): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return undefined;
  }
}

function names(path: string): string[] {
  try {
    return Array.from(Deno.readDirSync(path), ({ name }) => name);
  } catch {
    return []; // it has ended
  }
}
