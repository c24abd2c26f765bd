import { isInstalled, openLibrary } from "./library.ts";
import { cstring } from "./memory.ts";

const FILE = "libseccomp.so.2";

const TABLE = {
  seccomp_syscall_resolve_name_arch: { parameters: ["u32", "buffer"], result: "i32" }, // (uint32_t arch_token, const char *name)
} as const;

const library = openLibrary(FILE, TABLE);

/** Whether libseccomp is there. */
export function hasSeccomp(): boolean {
  return isInstalled(FILE);
}

const encoder = new TextEncoder();
const nameBuffer = new Uint8Array(64);

/**
 * The number that libseccomp gives a system call: -1 if it has never heard of the name, another negative number if
 * that architecture has no such call.
 *
 * @param arch A `SCMP_ARCH_*` token, 0 for the architecture that libseccomp was built for.
 */
export function resolveSyscall(name: string, arch: number): number {
  // One buffer for all names: a filter has hundreds.
  const { written } = encoder.encodeInto(name, nameBuffer);
  const fits = written < nameBuffer.length;
  if (fits) nameBuffer[written] = 0;
  return library.seccomp_syscall_resolve_name_arch(arch, fits ? nameBuffer : cstring(name));
}
