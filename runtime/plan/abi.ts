// The numbers of the kernel's interface, per architecture; `tests/unit/runtime/plan/abi_test.ts` compares them with the headers.

import type { Arch } from "../host/facts.ts";
export type { Arch };

/** System call numbers: [x86_64, aarch64], from arch/x86/entry/syscalls/syscall_64.tbl and asm-generic/unistd.h. */
export const SYSCALLS = {
  capset: [126, 91],
  chdir: [80, 49],
  chroot: [161, 51],
  clone3: [435, 435],
  close: [3, 57],
  close_range: [436, 436],
  dup3: [292, 24],
  execve: [59, 221],
  exit_group: [231, 94],
  faccessat2: [439, 439],
  fchdir: [81, 50],
  fchmod: [91, 52],
  fchownat: [260, 54],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fsopen: [430, 430],
  fstatfs: [138, 44],
  getcwd: [79, 17],
  getdents64: [217, 61],
  getpid: [39, 172],
  getegid: [108, 177],
  geteuid: [107, 175],
  ioctl: [16, 29],
  ioprio_set: [251, 30],
  keyctl: [250, 219],
  kill: [62, 129],
  landlock_add_rule: [445, 445],
  landlock_create_ruleset: [444, 444],
  landlock_restrict_self: [446, 446],
  mkdirat: [258, 34],
  mknodat: [259, 33],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  open_tree: [428, 428],
  openat: [257, 56],
  openat2: [437, 437],
  personality: [135, 92],
  pidfd_send_signal: [424, 424],
  pipe2: [293, 59],
  pivot_root: [155, 41],
  ppoll: [271, 73],
  prctl: [157, 167],
  prlimit64: [302, 261],
  read: [0, 63],
  rt_sigaction: [13, 134],
  rt_sigprocmask: [14, 135],
  sched_setaffinity: [203, 122],
  sched_setattr: [314, 274],
  seccomp: [317, 277],
  sendmsg: [46, 211],
  set_mempolicy: [238, 237],
  setdomainname: [171, 162],
  setgroups: [116, 159],
  sethostname: [170, 161],
  setns: [308, 268],
  setresgid: [119, 149],
  setresuid: [117, 147],
  setsid: [112, 157],
  socket: [41, 198],
  statx: [332, 291],
  symlinkat: [266, 36],
  unlinkat: [263, 35],
  umask: [95, 166],
  umount2: [166, 39],
  unshare: [272, 97],
  waitid: [247, 95],
  write: [1, 64],
} as const satisfies Record<string, readonly [x86_64: number, aarch64: number]>;

/** A system call a plan can make. */
export type Syscall = keyof typeof SYSCALLS;

/** The number of `call` on `arch`. */
export function syscallNumber(call: Syscall, arch: Arch): number {
  return SYSCALLS[call][arch === "x86_64" ? 0 : 1];
}

/** Error numbers the plans and messages name (asm-generic/errno-base.h, errno.h; alike on both architectures). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  ENOTBLK: 15,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EOVERFLOW: 75,
  ELIBBAD: 80,
  EUSERS: 87,
  EOPNOTSUPP: 95,
  ETIMEDOUT: 110,
  ESTALE: 116,
  EDQUOT: 122,
  ENOKEY: 126,
} as const;

/** The name of an error number. */
export type Errno = keyof typeof ERRNO;

/** The open(2) flags whose values differ between architectures (asm/fcntl.h). */
export const O_DIRECTORY: Record<Arch, number> = { x86_64: 0o200000, aarch64: 0o40000 };
export const O_NOFOLLOW: Record<Arch, number> = { x86_64: 0o400000, aarch64: 0o100000 };
/** The open(2) flags that are alike everywhere. */
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
};
