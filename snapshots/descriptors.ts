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
 * The stdin, stdout and stderr that a container began with, wherever its processes have put them. Those that nobody seems to
 * have are among them: a shell moves them about for each redirection, and this looks at one descriptor after the other.
 *
 * @param given The names of those three.
 * @throws {UnsupportedError} if another descriptor leads to a file of the host: nothing could take its place later.
 */
export function externalFiles(given: readonly string[], pids: readonly number[]): ExternalFile[] {
  const mounts = new Map(pids.map((pid) => [pid, mountsOf(pid)]));
  for (const pid of pids) {
    for (const fd of names(`/proc/${pid}/fd`).map(Number)) {
      const key = descriptorName(pid, fd);
      if (key === undefined || given.includes(key) || !isFileOutside(key, mounts.get(pid)!)) continue;
      throw new UnsupportedError(
        "a checkpoint",
        `descriptor ${fd} of process ${pid} leads to "${linkOf(pid, fd)}" outside of the container`,
        "let the program close it before",
      );
    }
  }
  return STDIO.map((stdio) => ({ key: given[stdio] ?? "", stdio })).filter(({ key, stdio }) => {
    const isInside = key.startsWith("file[") &&
      ![...mounts.values()].every((each) => isFileOutside(key, each));
    return key !== "" && !isInside && given.indexOf(key) === stdio;
  });
}

/** Whether a descriptor's name is that of a file that none of some mounts has. */
function isFileOutside(key: string, mounts: ReadonlySet<number>): boolean {
  const mount = /^file\[([0-9a-f]+):/.exec(key)?.[1];
  return mount !== undefined && !mounts.has(parseInt(mount, 16));
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
