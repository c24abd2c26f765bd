import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { openInside, openPath, placeOf } from "../../ffi/look.ts";
import { isOnReadonlyMount } from "../../ffi/peek.ts";

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const AT_FDCWD = -100;
const HEAD_BYTES = 4096;

/** What lies at a path that a program of a sandbox names. */
export interface Found {
  /** Its path from the sandbox's root, no link in it; one of a directory ends in `/`. */
  readonly path: string;
  readonly isDirectory: boolean;
  readonly isReadonly: boolean;
  /** The beginning of a regular file, if it was asked for. */
  readonly head: Uint8Array;
}

/**
 * The absolute path that a process means; nothing if that is no path, such as what is relative to a pipe.
 *
 * @param directory The descriptor that a relative one begins at; the working directory if not given.
 */
export function absolute(pid: number, path: string, directory: number = AT_FDCWD): string | undefined {
  if (path === "" || path.startsWith("/")) return path || undefined;
  try {
    const base = Deno.readLinkSync(`/proc/${pid}/${directory === AT_FDCWD ? "cwd" : `fd/${directory}`}`);
    return base.startsWith("/") ? `${base.replace(/\/+$/, "")}/${path}` : undefined;
  } catch {
    return undefined; // it is gone, or names a descriptor that it does not have
  }
}

/** What lies at an absolute path, as a process sees it; nothing if it is missing or cannot be reached. */
export function find(
  pid: number,
  path: string,
  { head = false }: { readonly head?: boolean } = {},
): Found | undefined {
  // The links of /proc would lead to our own.
  if (/^\/proc\/(self|thread-self)\/exe$/.test(path)) path = ownProgram(pid) ?? path;
  // Each process has a directory of its own there, which another run does not have.
  if (/^\/proc\/(self|thread-self|\d+)(\/|$)/.test(path)) {
    return { path: "/proc/", isDirectory: false, isReadonly: false, head: new Uint8Array() };
  }
  try {
    using root = openPath(`/proc/${pid}/root`);
    using fd = openInside(root, path);
    if (!fd) return undefined;
    const kind = placeOf(fd).mode & S_IFMT;
    const real = Deno.readLinkSync(`/proc/self/fd/${fd.raw}`);
    const isDirectory = kind === S_IFDIR;
    const isReadonly = isOnReadonlyMount(fd);
    return {
      path: isDirectory && real !== "/" ? `${real}/` : real,
      isDirectory,
      isReadonly,
      head: head && kind === S_IFREG ? headOf(fd) : new Uint8Array(),
    };
  } catch (error) {
    if (error instanceof SyscallError || error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function ownProgram(pid: number): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined; // it is gone
  }
}

function headOf(fd: Fd): Uint8Array {
  try {
    using file = Deno.openSync(`/proc/self/fd/${fd.raw}`);
    const bytes = new Uint8Array(HEAD_BYTES);
    return bytes.subarray(0, file.readSync(bytes) ?? 0);
  } catch {
    return new Uint8Array(); // not for us to read
  }
}

/** Whether something lies at a path, be it a link that leads nowhere. */
export function isThere(pid: number, path: string): boolean {
  const [, parent = "/", name = ""] = /^(.*\/)([^/]+)\/*$/.exec(path) ?? [];
  try {
    using root = openPath(`/proc/${pid}/root`);
    using fd = openInside(root, parent);
    if (!fd) return false;
    Deno.lstatSync(`/proc/self/fd/${fd.raw}/${name}`);
    return true;
  } catch {
    return false;
  }
}

/** The program that the kernel starts in the place of a file: of a `#!` line, or the loader of an ELF file. */
export function interpreter(head: Uint8Array): string | undefined {
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  if (head[0] === 0x23 && head[1] === 0x21) {
    return /^[ \t]*([^ \t\n\0]+)/.exec(text(head.subarray(2, 258)))?.[1];
  }
  if (head.length < 64 || text(head.subarray(0, 5)) !== "\x7fELF\x02") return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const [table, size, count] = [
    view.getBigUint64(32, true),
    view.getUint16(54, true),
    view.getUint16(56, true),
  ];
  const PT_INTERP = 3;
  for (let index = 0, at = Number(table); index < count && at + 40 <= head.length; index++, at += size) {
    if (view.getUint32(at, true) !== PT_INTERP) continue;
    const [offset, length] = [8, 32].map((place) => Number(view.getBigUint64(at + place, true)));
    return text(head.subarray(offset, offset! + length!)).replace(/\0.*$/s, "") || undefined;
  }
  return undefined;
}
