import { placeAt } from "../ffi/look.ts";
import { parseMountinfo } from "../runtime/attest/parse.ts";
import { UnsupportedError } from "../runtime/errors.ts";

/** What stdin, stdout and stderr of a container lead to, as links of /proc/<pid>/fd; runc keeps the same list. */
export type Descriptors = readonly string[];

/** Something outside of a container that descriptors in it lead to. */
export interface ExternalFile {
  /** What CRIU calls it: `file[<mount>:<inode>]`, or `pipe:[<inode>]`, both in its own writing. */
  readonly key: string;
  /** Which of stdin, stdout and stderr takes its place in a restore. */
  readonly stdio: 0 | 1 | 2;
}

const STDIO = [0, 1, 2] as const;

/** The links of a process's stdin, stdout and stderr. */
export function descriptorsOf(pid: number): Descriptors {
  return STDIO.map((fd) => linkOf(pid, fd) ?? "/dev/null");
}

/**
 * What of the first process's stdin, stdout and stderr is the host's, and what every other process has of that.
 *
 * @throws {UnsupportedError} if another descriptor leads to a file of the host: nothing could take its place later.
 */
export function externalFiles(init: number, pids: readonly number[]): ExternalFile[] {
  const found = new Map<string, ExternalFile>();
  const add = (key: string | undefined, stdio: 0 | 1 | 2): void => {
    if (key !== undefined && !found.has(key)) found.set(key, { key, stdio });
  };
  for (const fd of STDIO) {
    const link = linkOf(init, fd);
    if (link?.startsWith("pipe:")) add(link, fd);
    else add(fileKey(init, fd), fd);
  }
  for (const pid of pids) {
    for (const name of names(`/proc/${pid}/fd`)) {
      const key = fileKey(pid, Number(name));
      if (key === undefined || found.has(key)) continue;
      throw new UnsupportedError(
        "a checkpoint",
        `descriptor ${name} of process ${pid} leads to "${linkOf(pid, Number(name))}" outside of the container`,
        "close it before",
      );
    }
  }
  return [...found.values()];
}

/** The key of a file that lies on no mount of the process; nothing for what is no file, or lies inside. */
function fileKey(pid: number, fd: number): string | undefined {
  const link = linkOf(pid, fd);
  if (!link?.startsWith("/") || /^\/memfd:|^\/dmabuf:/.test(link)) return undefined;
  const mount = Number(/^mnt_id:\s*(\d+)$/m.exec(read(`/proc/${pid}/fdinfo/${fd}`))?.[1]);
  if (parseMountinfo(read(`/proc/${pid}/mountinfo`)).some(({ id }) => id === mount)) return undefined;
  const { inode } = placeAt(`/proc/${pid}/fd/${fd}`);
  return `file[${mount.toString(16)}:${inode.toString(16)}]`;
}

function read(path: string): string {
  return Deno.readTextFileSync(path);
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
