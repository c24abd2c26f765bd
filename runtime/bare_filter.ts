import { CLONE } from "./plan/kernel.ts";
import type { Seccomp, SeccompArg } from "./spec/linux.ts";

const [ENOSYS, EACCES, EOPNOTSUPP] = [38, 13, 95];
const NEW_NAMESPACES = CLONE.NEWNS | CLONE.NEWCGROUP | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWUSER |
  CLONE.NEWPID | CLONE.NEWNET;
const AF_UNIX = 1;
const [SOCK_STREAM, SOCK_SEQPACKET, SOCK_TYPE_MASK] = [1, 5, 0xf];
const ANY_PERSONALITY = 0xffffffff;
const IOPRIO_WHO_PROCESS = 1;
/** ioctls on a terminal that the caller passes on: to type on it, to change what it is. */
const TERMINAL_IOCTLS = { TIOCSTI: 0x5412, TIOCLINUX: 0x541c, TIOCSETD: 0x5423 };
/** The types of ioctls by which file systems change files that are open for reading, or make new ones beside them. */
const FILE_IOCTL_TYPES = { ext4: "f", version: "v", xfs: "X", btrfs: "\x94", f2fs: "\xf5" };
const IOCTL_TYPE_MASK = 0xff00;

/** Calls about the process itself, its memory and threads, time, and descriptors that it has. */
const OWN = `
  alarm arch_prctl brk capget capset clock_getres clock_gettime clock_nanosleep close close_range copy_file_range dup
  dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat
  exit exit_group fadvise64 fallocate fcntl fdatasync flock fork fsync futex futex_requeue futex_wait futex_waitv
  futex_wake get_mempolicy getcpu getegid geteuid getgid getgroups getitimer getpgid getpgrp getpid getppid getpriority
  getrandom getresgid getresuid getrlimit getrusage getsid gettid gettimeofday getuid io_cancel io_destroy io_getevents
  io_pgetevents io_setup io_submit ioprio_get lseek madvise map_shadow_stack mbind membarrier memfd_create mincore mlock
  mlock2 mlockall mmap mprotect mremap mseal msync munlock munlockall munmap nanosleep pause pidfd_open pipe pipe2
  pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 pselect6 pwrite64 pwritev pwritev2 read
  readahead readv restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend
  rt_sigtimedwait sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
  sched_getscheduler sched_rr_get_interval sched_yield seccomp select sendfile set_mempolicy set_mempolicy_home_node
  set_robust_list set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setregid setresgid setresuid
  setreuid setrlimit setsid setuid sigaltstack signalfd signalfd4 splice sync sync_file_range syncfs sysinfo tee time
  timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
  times umask uname vfork vmsplice wait4 waitid write writev`;
/** Calls that Landlock decides over: files by their path, and signals. */
const LANDLOCKED = `
  creat ftruncate getdents getdents64 kill link linkat mkdir mkdirat mknod mknodat open openat openat2 pidfd_send_signal
  rename renameat renameat2 rmdir rt_sigqueueinfo rt_tgsigqueueinfo symlink symlinkat tgkill tkill truncate unlink
  unlinkat landlock_add_rule landlock_create_ruleset landlock_restrict_self`;
/** Calls that tell what lies at a path, or go there, and change nothing. Landlock has no say in them. */
const TELLING = `
  access cachestat chdir faccessat faccessat2 fchdir fgetxattr flistxattr fstat fstatfs getcwd getxattr lgetxattr
  listxattr llistxattr lstat newfstatat readlink readlinkat stat statfs statx`;
/** Calls on sockets that are there: pairs without a name. */
const SOCKETS = `
  getsockname getsockopt recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt shutdown`;
/** Calls that change files which Landlock does not guard from them; programs give up where these fail. */
const WITHOUT_EFFECT = "chmod fchmod fchmodat fchmodat2 utime utimes futimesat";
const ATTRIBUTES = "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr";

/**
 * The filter of a program without namespaces: whatever a namespace would have kept apart is not there. The rest of the
 * kernel's calls fail with EPERM, new ones with ENOSYS.
 */
export const BARE_FILTER: Seccomp = {
  defaultAction: "SCMP_ACT_ERRNO",
  syscalls: [
    { names: words(OWN + LANDLOCKED + TELLING + SOCKETS), action: "SCMP_ACT_ALLOW" },
    { names: words(WITHOUT_EFFECT), action: "SCMP_ACT_ERRNO", errnoRet: 0 },
    { names: words(ATTRIBUTES), action: "SCMP_ACT_ERRNO", errnoRet: EOPNOTSUPP },
    // Without a path it is about a descriptor.
    { names: ["utimensat"], action: "SCMP_ACT_ALLOW", args: [equal(1, 0)] },
    {
      names: ["utimensat"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: 0,
      args: [{ index: 1, value: 0, op: "SCMP_CMP_NE" }],
    },
    { names: ["clone"], action: "SCMP_ACT_ALLOW", args: [masked(0, NEW_NAMESPACES, 0)] },
    // Its flags cannot be seen; C libraries then take clone.
    { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
    // Datagram sockets could still send to a name.
    ...[SOCK_STREAM, SOCK_SEQPACKET].map((type) => ({
      names: ["socketpair"],
      action: "SCMP_ACT_ALLOW" as const,
      args: [equal(0, AF_UNIX), masked(1, SOCK_TYPE_MASK, type)],
    })),
    // Only of the calling thread: other processes of this user are as near as its own.
    {
      names: ["prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"],
      action: "SCMP_ACT_ALLOW",
      args: [equal(0, 0)],
    },
    { names: ["setpriority"], action: "SCMP_ACT_ALLOW", args: [equal(0, 0), equal(1, 0)] },
    { names: ["ioprio_set"], action: "SCMP_ACT_ALLOW", args: [equal(0, IOPRIO_WHO_PROCESS), equal(1, 0)] },
    ...[0, ANY_PERSONALITY].map((value) => ({
      names: ["personality"],
      action: "SCMP_ACT_ALLOW" as const,
      args: [equal(0, value)],
    })),
    // Of the rules that hold the strictest counts; a rule without conditions would win over all.
    { names: ["ioctl"], action: "SCMP_ACT_ALLOW", args: [{ index: 1, value: 0, op: "SCMP_CMP_GE" }] },
    ...[
      ...Object.values(TERMINAL_IOCTLS).map((number) => masked(1, 0xffffffff, number)),
      ...Object.values(FILE_IOCTL_TYPES).map((type) => masked(1, IOCTL_TYPE_MASK, type.charCodeAt(0) << 8)),
    ].map((arg) => ({ names: ["ioctl"], action: "SCMP_ACT_ERRNO" as const, errnoRet: EACCES, args: [arg] })),
  ],
};

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

function equal(index: number, value: number): SeccompArg {
  return { index, value, op: "SCMP_CMP_EQ" };
}

function masked(index: number, mask: number, value: number): SeccompArg {
  return { index, value: mask, valueTwo: value, op: "SCMP_CMP_MASKED_EQ" };
}
