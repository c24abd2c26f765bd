import { attempt, check, SyscallError, unless } from "./errno.ts";
import { Fd, open } from "./fd.ts";
import { libc } from "./libc.ts";
import { cstring } from "./memory.ts";
import { writeAll } from "./socket.ts";

const [MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL, MFD_EXEC] = [1, 2, 8, 0x10];
const F_ADD_SEALS = 1033;
const ALL_SEALS = 0xfn; // SEAL, SHRINK, GROW, WRITE
const EINVAL = 22;
const EACCES = 13;
const [O_RDONLY, O_RDWR, O_TMPFILE_x86_64] = [0, 2, 0o20200000];

/**
 * An executable file that is nowhere on disk and that nobody can change: not even a program that finds it as its own
 * /proc/self/exe (CVE-2019-5736). Where `vm.memfd_noexec=2` forbids that, a file without a name takes its place.
 */
export function executable(name: string, bytes: Uint8Array<ArrayBuffer>): Fd {
  const how = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  let raw = attempt(() => libc.memfd_create(cstring(name), how | MFD_EXEC));
  // Kernels before 6.3 do not know MFD_EXEC: there every memfd is executable.
  if (raw === -EINVAL) raw = attempt(() => libc.memfd_create(cstring(name), how));
  if (raw === -EACCES) return unnamed(name, bytes);
  if (raw < 0) throw new SyscallError("make a memory file", -raw, name);
  const fd = new Fd(raw);
  try {
    writeAll(fd, bytes, name);
    check(libc.fcntl(fd.raw, F_ADD_SEALS, ALL_SEALS), "seal", name);
    return fd;
  } catch (cause) {
    fd[Symbol.dispose]();
    throw cause;
  }
}

/** An empty file that is nowhere on disk, to read and write. */
export function emptyMemoryFile(name: string): Fd {
  const make = (how: number) => (): number => libc.memfd_create(cstring(name), MFD_CLOEXEC | how);
  const does = "make a memory file";
  return new Fd(
    unless([EINVAL], make(MFD_NOEXEC_SEAL), does, name) ?? check(make(0), does, name), // before Linux 6.3
  );
}

/** A file that is nowhere on disk, open to read from its begin. */
export function memoryFile(name: string, bytes: Uint8Array<ArrayBuffer>): Fd {
  using writable = emptyMemoryFile(name);
  writeAll(writable, bytes, name);
  return open(`/proc/self/fd/${writable.raw}`, O_RDONLY);
}

function unnamed(name: string, bytes: Uint8Array<ArrayBuffer>): Fd {
  // The flag is O_TMPFILE with O_DIRECTORY in it, whose value differs on aarch64.
  const flag = Deno.build.arch === "x86_64" ? O_TMPFILE_x86_64 : 0o20040000;
  using writable = open("/tmp", flag | O_RDWR, 0o700);
  writeAll(writable, bytes, name);
  return open(`/proc/self/fd/${writable.raw}`, O_RDONLY);
}
