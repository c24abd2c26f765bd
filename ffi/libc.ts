import { openLibrary } from "./library.ts";

/**
 * The C library. Variadic functions (open, fcntl, ioctl, syscall) are declared with the arguments that we pass: on
 * Linux x86-64 and aarch64 integers and pointers travel alike in both forms.
 */
export const libc = openLibrary("libc.so.6", {
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" }, // (int sockfd, struct sockaddr *, socklen_t *, int flags)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" }, // (int sockfd, const struct sockaddr *, socklen_t)
  capget: { parameters: ["buffer", "buffer"], result: "i32" }, // (cap_user_header_t, cap_user_data_t)
  close: { parameters: ["i32"], result: "i32" }, // int close(int fd)
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" }, // (int sockfd, const struct sockaddr *, socklen_t)
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" }, // (int oldfd, int newfd, int flags)
  epoll_create1: { parameters: ["i32"], result: "i32" }, // (int flags)
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" }, // (int epfd, int op, int fd, struct epoll_event *)
  // Its result carries no errno: on another thread errno is not ours to read.
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32", nonblocking: true },
  eventfd: { parameters: ["u32", "i32"], result: "i32" }, // (unsigned int initval, int flags)
  faccessat: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" }, // (int dirfd, const char *path, int mode, int flags)
  fchmodat: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" }, // (int dirfd, const char *path, mode_t mode, int flags)
  fchownat: { parameters: ["i32", "buffer", "u32", "u32", "i32"], result: "i32" }, // (int dirfd, const char *path, uid_t, gid_t, int flags)
  fcntl: { parameters: ["i32", "i32", "u64"], result: "i32" }, // (int fd, int cmd, …)
  fdatasync: { parameters: ["i32"], result: "i32" },
  fgetxattr: { parameters: ["i32", "buffer", "buffer", "usize"], result: "isize" }, // (int fd, const char *name, void *value, size_t)
  flistxattr: { parameters: ["i32", "buffer", "usize"], result: "isize" }, // (int fd, char *list, size_t)
  flock: { parameters: ["i32", "i32"], result: "i32" }, // (int fd, int operation)
  free: { parameters: ["pointer"], result: "void" }, // void free(void *)
  fsconfig: { parameters: ["i32", "u32", "buffer", "buffer", "i32"], result: "i32" }, // (int fd, unsigned cmd, const char *key, const void *value, int aux)
  fsmount: { parameters: ["i32", "u32", "u32"], result: "i32" }, // (int fd, unsigned flags, unsigned attributes)
  fsopen: { parameters: ["buffer", "u32"], result: "i32" }, // (const char *file_system, unsigned flags)
  fsync: { parameters: ["i32"], result: "i32" },
  fstatfs: { parameters: ["i32", "buffer"], result: "i32" }, // (int fd, struct statfs *)
  ftruncate: { parameters: ["i32", "i64"], result: "i32" }, // (int fd, off_t length)
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "isize" }, // (int fd, void *entries, size_t)
  getegid: { parameters: [], result: "u32" },
  geteuid: { parameters: [], result: "u32" },
  // (int sockfd, struct sockaddr *, socklen_t *)
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getppid: { parameters: [], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getxattr: { parameters: ["buffer", "buffer", "buffer", "usize"], result: "isize" }, // (const char *path, const char *name, void *value, size_t)
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" }, // (int fd, unsigned long request, …)
  isatty: { parameters: ["i32"], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" }, // int kill(pid_t pid, int sig)
  // (int olddirfd, const char *old, int newdirfd, const char *new, int flags)
  linkat: { parameters: ["i32", "buffer", "i32", "buffer", "i32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" }, // (int sockfd, int backlog)
  listxattr: { parameters: ["buffer", "buffer", "usize"], result: "isize" }, // (const char *path, char *list, size_t)
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" }, // (int fd, off_t offset, int whence)
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" }, // (const char *name, unsigned int flags)
  mkdirat: { parameters: ["i32", "buffer", "u32"], result: "i32" }, // (int dirfd, const char *path, mode_t mode)
  mkfifoat: { parameters: ["i32", "buffer", "u32"], result: "i32" }, // (int dirfd, const char *path, mode_t mode)
  mknodat: { parameters: ["i32", "buffer", "u32", "u64"], result: "i32" }, // (int dirfd, const char *path, mode_t mode, dev_t device)
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" }, // (const char *path, int flags, mode_t mode)
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" }, // (int fd, int level, int name, void *value, socklen_t *)
  openat: { parameters: ["i32", "buffer", "i32", "u32"], result: "i32" }, // (int dirfd, const char *path, int flags, mode_t mode)
  pipe2: { parameters: ["buffer", "i32"], result: "i32" }, // (int pipefd[2], int flags)
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" }, // (struct pollfd *, nfds_t, int timeout)
  posix_spawn: { parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"], result: "i32" }, // returns the errno
  posix_spawn_file_actions_addchdir_np: { parameters: ["buffer", "buffer"], result: "i32" },
  posix_spawn_file_actions_addclosefrom_np: { parameters: ["buffer", "i32"], result: "i32" },
  posix_spawn_file_actions_adddup2: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" }, // (int fd, void *, size_t count, off_t offset)
  posix_spawnattr_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  posix_spawnattr_setsigdefault: { parameters: ["buffer", "buffer"], result: "i32" },
  // (pid_t pid, int resource, const struct rlimit64 *new, struct rlimit64 *old)
  prlimit64: { parameters: ["i32", "i32", "buffer", "buffer"], result: "i32" },
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  // (pid_t, const struct iovec *local, unsigned long, const struct iovec *remote, unsigned long, unsigned long flags)
  process_vm_readv: { parameters: ["i32", "buffer", "u64", "buffer", "u64", "u64"], result: "isize" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  readlinkat: { parameters: ["i32", "buffer", "buffer", "usize"], result: "isize" }, // (int dirfd, const char *path, char *buf, size_t)
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" }, // (int sockfd, struct msghdr *msg, int flags)
  renameat: { parameters: ["i32", "buffer", "i32", "buffer"], result: "i32" }, // (int olddirfd, const char *old, int newdirfd, const char *new)
  sendfile: { parameters: ["i32", "i32", "buffer", "usize"], result: "isize" }, // (int out, int in, off_t *offset, size_t count)
  setns: { parameters: ["i32", "i32"], result: "i32" }, // int setns(int fd, int nstype)
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" }, // (int fd, int level, int name, const void *, socklen_t)
  setxattr: { parameters: ["buffer", "buffer", "buffer", "usize", "i32"], result: "i32" }, // (const char *path, const char *name, const void *value, size_t, int flags)
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" }, // (int, const void *, size_t, int flags, const struct sockaddr *, socklen_t)
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" }, // (int sockfd, const struct msghdr *msg, int flags)
  shutdown: { parameters: ["i32", "i32"], result: "i32" }, // (int sockfd, int how)
  sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" }, // (int signum, const struct sigaction *, struct sigaction *old)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" }, // (int domain, int type, int protocol)
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" }, // (int domain, int type, int protocol, int sv[2])
  // (int in, off_t *, int out, off_t *, size_t, unsigned flags)
  splice: { parameters: ["i32", "buffer", "i32", "buffer", "usize", "u32"], result: "isize" },
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" }, // (int dirfd, const char *path, int flags, unsigned mask, struct statx *)
  symlinkat: { parameters: ["buffer", "i32", "buffer"], result: "i32" }, // (const char *target, int dirfd, const char *path)
  syscall: { parameters: ["i64", "i64", "i64", "i64", "i64"], result: "i64" }, // (long number, …)
  tcgetattr: { parameters: ["i32", "buffer"], result: "i32" }, // (int fd, struct termios *)
  tcsetattr: { parameters: ["i32", "i32", "buffer"], result: "i32" }, // (int fd, int optional_actions, const struct termios *)
  cfmakeraw: { parameters: ["buffer"], result: "void" }, // (struct termios *)
  timerfd_create: { parameters: ["i32", "i32"], result: "i32" }, // (int clockid, int flags)
  timerfd_settime: { parameters: ["i32", "i32", "buffer", "buffer"], result: "i32" }, // (int fd, int flags, const struct itimerspec *new, *old)
  unlinkat: { parameters: ["i32", "buffer", "i32"], result: "i32" }, // (int dirfd, const char *path, int flags)
  utimensat: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" }, // (int dirfd, const char *path, const struct timespec[2], int flags)
  wait4: { parameters: ["i32", "buffer", "i32", "buffer"], result: "i32" }, // (pid_t, int *wstatus, int options, struct rusage *)
  waitid: { parameters: ["i32", "u32", "buffer", "i32"], result: "i32" }, // (idtype_t, id_t, siginfo_t *, int options)
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
});
