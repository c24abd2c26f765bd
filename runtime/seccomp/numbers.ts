/** The numbers behind the words of `linux.seccomp`: linux/seccomp.h, linux/audit.h and libseccomp's seccomp.h. */

import type { Arch } from "../host/facts.ts";
import type { SeccompAction, SeccompArch, SeccompFlag } from "../spec/words.ts";

/** `SECCOMP_RET_*`; the lower 16 bits of errno and trace are free for their value. */
export const ACTIONS: Record<SeccompAction, number> = {
  SCMP_ACT_KILL: 0, // as runc has it: the thread
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_NOTIFY: 0x7fc00000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};

const EPERM = 1;

/** The value that a filter returns for `action`; `errno` is EPERM if none is given. */
export function returnValue(action: SeccompAction, errno: number = EPERM): number {
  const takesErrno = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
  return takesErrno ? ACTIONS[action] + (errno & 0xffff) : ACTIONS[action];
}

/** How little a value lets through: as the kernel compares several filters, from ALLOW up to KILL_PROCESS. */
export function strictness(value: number): number {
  const action = (value & 0xffff0000) | 0; // signed: KILL_PROCESS is the lowest
  return -action;
}

/** `SECCOMP_FILTER_FLAG_*` that a spec may name. */
export const FLAGS: Record<SeccompFlag, number> = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 0x20,
};
export const FLAG_NEW_LISTENER = 8;

/** `SCMP_ARCH_*`: `AUDIT_ARCH_*`, except that x32 has a token of its own. */
export const ARCHES: Record<SeccompArch, number> = {
  SCMP_ARCH_X86: 0x40000003,
  SCMP_ARCH_X86_64: 0xc000003e,
  SCMP_ARCH_X32: 0x4000003e,
  SCMP_ARCH_ARM: 0x40000028,
  SCMP_ARCH_AARCH64: 0xc00000b7,
  SCMP_ARCH_LOONGARCH64: 0xc0000102,
  SCMP_ARCH_M68K: 0x00000004,
  SCMP_ARCH_MIPS: 0x00000008,
  SCMP_ARCH_MIPS64: 0x80000008,
  SCMP_ARCH_MIPS64N32: 0xa0000008,
  SCMP_ARCH_MIPSEL: 0x40000008,
  SCMP_ARCH_MIPSEL64: 0xc0000008,
  SCMP_ARCH_MIPSEL64N32: 0xe0000008,
  SCMP_ARCH_PPC: 0x00000014,
  SCMP_ARCH_PPC64: 0x80000015,
  SCMP_ARCH_PPC64LE: 0xc0000015,
  SCMP_ARCH_S390: 0x00000016,
  SCMP_ARCH_S390X: 0x80000016,
  SCMP_ARCH_SH: 0x4000002a,
  SCMP_ARCH_SHEB: 0x0000002a,
  SCMP_ARCH_PARISC: 0x0000000f,
  SCMP_ARCH_PARISC64: 0x8000000f,
  SCMP_ARCH_RISCV64: 0xc00000f3,
};

/** What the kernel calls the architecture of a token: x32 calls are x86-64 calls with a bit set. */
export function auditArch(token: number): number {
  return token === ARCHES.SCMP_ARCH_X32 ? ARCHES.SCMP_ARCH_X86_64 : token;
}

/** The bit of a system call number that makes it an x32 call. */
export const X32_BIT = 0x40000000;

/** The number that an architecture's calls begin with. */
export function firstSyscall(token: number): number {
  switch (token) {
    case ARCHES.SCMP_ARCH_X32:
      return X32_BIT;
    case ARCHES.SCMP_ARCH_MIPS:
    case ARCHES.SCMP_ARCH_MIPSEL:
      return 4000;
    case ARCHES.SCMP_ARCH_MIPS64:
    case ARCHES.SCMP_ARCH_MIPSEL64:
      return 5000;
    case ARCHES.SCMP_ARCH_MIPS64N32:
    case ARCHES.SCMP_ARCH_MIPSEL64N32:
      return 6000;
    default:
      return 0;
  }
}

/** The token of a machine that sandboxes run on. */
export const NATIVE: Record<Arch, number> = {
  x86_64: ARCHES.SCMP_ARCH_X86_64,
  aarch64: ARCHES.SCMP_ARCH_AARCH64,
};

/**
 * Calls that are younger than libseccomp 2.5.4, by the number they have, counted from {@linkcode firstSyscall}, on
 * every architecture (scripts/syscall.tbl of the kernel).
 */
export const NEWER_SYSCALLS: ReadonlyMap<string, number> = new Map(
  [
    "statmount",
    "listmount",
    "lsm_get_self_attr",
    "lsm_set_self_attr",
    "lsm_list_modules",
    "mseal",
    "setxattrat",
    "getxattrat",
    "listxattrat",
    "removexattrat",
    "open_tree_attr",
    "file_getattr",
    "file_setattr",
    "listns",
  ].map((name, index) => [name, 457 + index]),
);
