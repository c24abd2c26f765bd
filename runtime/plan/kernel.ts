/** Constants of the kernel's interface that are alike on every architecture (linux/sched.h, mount.h, prctl.h, …). */

export const AT_FDCWD = { named: "AT_FDCWD", value: -100 } as const;
export const AT = { SYMLINK_NOFOLLOW: 0x100, EMPTY_PATH: 0x1000, RECURSIVE: 0x8000, EACCESS: 0x200 } as const;

export const CLONE = {
  NEWTIME: 0x80,
  VM: 0x100,
  PIDFD: 0x1000,
  VFORK: 0x4000,
  PARENT: 0x8000,
  NEWNS: 0x20000,
  NEWCGROUP: 0x2000000,
  NEWUTS: 0x4000000,
  NEWIPC: 0x8000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
} as const;

/** The flag of each OCI namespace type. */
export const NAMESPACE_FLAG = {
  pid: CLONE.NEWPID,
  network: CLONE.NEWNET,
  mount: CLONE.NEWNS,
  ipc: CLONE.NEWIPC,
  uts: CLONE.NEWUTS,
  user: CLONE.NEWUSER,
  cgroup: CLONE.NEWCGROUP,
  time: CLONE.NEWTIME,
} as const;

/** The flag of each namespace type as clone(2) calls it, behind `CLONE_`. */
export const NAMESPACE_NAME = {
  pid: "NEWPID",
  network: "NEWNET",
  mount: "NEWNS",
  ipc: "NEWIPC",
  uts: "NEWUTS",
  user: "NEWUSER",
  cgroup: "NEWCGROUP",
  time: "NEWTIME",
} as const;

/** openat2(2) */
export const RESOLVE = { NO_MAGICLINKS: 2, NO_SYMLINKS: 4, BENEATH: 8, IN_ROOT: 0x10 } as const;

/** mount_setattr(2), fsmount(2) */
export const MOUNT_ATTR = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  NOATIME: 0x10,
  STRICTATIME: 0x20,
  NODIRATIME: 0x80,
  IDMAP: 0x100000,
  NOSYMFOLLOW: 0x200000,
} as const;
export const MOUNT_ATTR_ATIME = 0x70;

/** What fstatfs(2) calls the file system of pipes without a name (linux/magic.h). */
export const PIPEFS_MAGIC = 0x50495045;

/** Propagation types of mount(2). */
export const PROPAGATION = {
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
} as const;

export const OPEN_TREE = { CLONE: 1, CLOEXEC: 0o2000000 } as const;
export const MOVE_MOUNT = { F_EMPTY_PATH: 4, T_EMPTY_PATH: 0x40 } as const;
export const FSCONFIG = { SET_FLAG: 0, SET_STRING: 1, CMD_CREATE: 6 } as const;
export const FSOPEN_CLOEXEC = { named: "FSOPEN_CLOEXEC", value: 1 } as const;
export const FSMOUNT_CLOEXEC = { named: "FSMOUNT_CLOEXEC", value: 1 } as const;
export const MNT_DETACH = { named: "MNT_DETACH", value: 2 } as const;
export const CLOSE_RANGE_CLOEXEC = { named: "CLOSE_RANGE_CLOEXEC", value: 4 } as const;

/** prctl(2) */
export const PR = {
  SET_PDEATHSIG: 1,
  SET_DUMPABLE: 4,
  SET_KEEPCAPS: 8,
  CAPBSET_DROP: 24,
  SET_SECUREBITS: 28,
  SET_CHILD_SUBREAPER: 36,
  SET_NO_NEW_PRIVS: 38,
  CAP_AMBIENT: 47,
} as const;

/** capabilities(7): a change of user leaves the capabilities alone. */
export const SECBIT_NO_SETUID_FIXUP = 1 << 2;

export const SIGKILL = { named: "SIGKILL", value: 9 } as const;

/** landlock(7): rights to files, rights to ports, what is kept inside, kinds of rules. */
export const LANDLOCK_ACCESS_FS = {
  EXECUTE: 1,
  WRITE_FILE: 1 << 1,
  READ_FILE: 1 << 2,
  READ_DIR: 1 << 3,
  REMOVE_DIR: 1 << 4,
  REMOVE_FILE: 1 << 5,
  MAKE_CHAR: 1 << 6,
  MAKE_DIR: 1 << 7,
  MAKE_REG: 1 << 8,
  MAKE_SOCK: 1 << 9,
  MAKE_FIFO: 1 << 10,
  MAKE_BLOCK: 1 << 11,
  MAKE_SYM: 1 << 12,
  REFER: 1 << 13,
  TRUNCATE: 1 << 14,
  IOCTL_DEV: 1 << 15,
} as const;
export const LANDLOCK_ACCESS_NET = { BIND_TCP: 1, CONNECT_TCP: 2 } as const;
export const LANDLOCK_SCOPE = { ABSTRACT_UNIX_SOCKET: 1, SIGNAL: 2 } as const;
export const LANDLOCK_RULE = { PATH_BENEATH: 1, NET_PORT: 2 } as const;

/** mknod(2) file types. */
export const S = { IFIFO: 0o10000, IFCHR: 0o20000, IFBLK: 0o60000 } as const;

/** `makedev(3)` of glibc, in the form mknodat(2) takes (32 bits). */
export function deviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12)) >>> 0;
}
