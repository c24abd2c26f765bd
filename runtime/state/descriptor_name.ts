import { placeAt } from "../../ffi/look.ts";

const STDIO = [0, 1, 2] as const;

/**
 * A name for what a descriptor of a process leads to, as CRIU writes it: `pipe:[<inode>]` and the like, and for a file
 * `file[<mount>:<inode>]`. Nothing if there is no such descriptor.
 */
export function descriptorName(pid: number | "self", fd: number): string | undefined {
  try {
    const link = Deno.readLinkSync(`/proc/${pid}/fd/${fd}`);
    if (!link.startsWith("/") || /^\/(memfd|dmabuf):/.test(link)) return link;
    const info = Deno.readTextFileSync(`/proc/${pid}/fdinfo/${fd}`);
    const mount = Number(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1]);
    const { inode } = placeAt(`/proc/${pid}/fd/${fd}`);
    return `file[${mount.toString(16)}:${inode.toString(16)}]`;
  } catch {
    return undefined; // closed, or its process has ended
  }
}

/** The names of descriptors of this process, which are to be a stdin, stdout and stderr; empty for one that is closed. */
export function stdioNames(fds: readonly number[] = STDIO): string[] {
  return fds.map((fd) => descriptorName("self", fd) ?? "");
}
