import { type AttackClass, attackClass } from "./attack.ts";

/** Calls that make the kernel do more for a program than it needs. */
export const KERNEL: readonly AttackClass[] = [
  attackClass(
    "Kernel surface: programs, events, keys",
    `
  bpf-map: make a BPF map
  bpf-program: load a BPF program
  perf-event: count events of the own process
  perf-event-of-the-host: count events of a whole CPU
  userfaultfd: handle own page faults, which stops the kernel wherever one likes
  fanotify: watch whole file systems
  io-uring: make system calls past the filter
  add-key: add a key
  request-key: ask for a key, for which the kernel may start a program of the host
  session-keyring: reach the session's keyring
  user-keyring: reach the keyring of the uid
  persistent-keyring: reach the keyring that outlives the session`,
  ),
  attackClass(
    "Kernel surface: other processes",
    `
  ptrace-traceme: be traced
  ptrace-seize: trace another process
  process-vm-readv: read another process's memory
  process-vm-writev: write another process's memory
  kcmp: compare kernel pointers of two processes
  pidfd-getfd: take a descriptor out of another process
  process-madvise: push out another process's memory`,
  ),
  attackClass(
    "Kernel surface: mounts",
    `
  mount-tmpfs: mount a tmpfs
  mount-bind: bind a directory elsewhere
  mount-remount: change the flags of a mount
  mount-proc: mount another proc, without masks
  mount-cgroup: mount cgroup v2
  mount-shared: make mounts propagate
  umount: unmount
  umount-proc: unmount proc with the masks over it
  fsopen: open a file system
  fsconfig: configure a file system
  fsmount: make a mount of a file system
  fspick: reconfigure a mounted file system
  open-tree: clone a tree of mounts
  open-tree-attr: clone a tree of mounts with other flags [Linux 6.15]
  move-mount: attach a mount
  mount-setattr: make a mount writable
  pivot-root: change the root of the namespace
  chroot: change the root of the process
  listmount: list mounts past /proc [Linux 6.8]
  statmount: ask for mounts past /proc [Linux 6.8]
  name-to-handle: turn a path into a handle
  open-by-handle: open a file by its handle
  open-root-by-handle: open the host's root by the number of its inode (CVE-2014-9357)`,
  ),
  attackClass(
    "Kernel surface: the machine",
    `
  personality-no-randomize: switch off address randomisation
  personality-read-implies-exec: make all memory executable
  personality-page-zero: map page zero
  kexec-load: load another kernel [CONFIG_KEXEC]
  kexec-file-load: load another kernel from a file [CONFIG_KEXEC_FILE]
  init-module: load a module [CONFIG_MODULES]
  finit-module: load a module from a file [CONFIG_MODULES]
  delete-module: remove a module [CONFIG_MODULES]
  reboot: restart the machine
  swapon: add swap
  swapoff: remove swap
  acct: write process accounting to a file
  settimeofday: set the clock
  clock-settime: set a clock
  adjtimex: change the speed of the clock
  clock-adjtime: change the speed of a clock
  quotactl: reach disk quotas
  quotactl-fd: reach disk quotas by a descriptor
  syslog: read the kernel's log
  syslog-size: ask for the kernel's log
  sethostname: set the host name
  setdomainname: set the domain name
  vhangup: hang up a terminal
  lsm-get-self-attr: ask security modules [Linux 6.8]
  lsm-list-modules: list security modules [Linux 6.8]
  file-setattr: set attributes by the newest call [Linux 6.17]
  modify-ldt: make 16-bit segments [CONFIG_MODIFY_LDT_SYSCALL]
  iopl: reach I/O ports [CONFIG_X86_IOPL_IOPERM]
  ioperm: reach an I/O port [CONFIG_X86_IOPL_IOPERM]
  i386-entry: make calls by int 0x80 [CONFIG_IA32_EMULATION]
  i386-mount: mount by int 0x80, where the number is that of access(2) here [CONFIG_IA32_EMULATION]
  x32-entry: make calls of the x32 ABI [CONFIG_X86_X32_ABI]
  wide-number: chroot by a number with bits above 32
  loosen-filter: add a filter that allows everything, and chroot`,
  ),
  attackClass(
    "Kernel surface: memory and scheduling",
    `
  memfd-secret: have memory that the host cannot look into [Linux 6.5]
  mbind: choose the node of memory [CONFIG_NUMA]
  set-mempolicy: choose the node of all memory [CONFIG_NUMA]
  move-pages: move memory between nodes [CONFIG_NUMA]
  migrate-pages: move all memory between nodes [CONFIG_NUMA]
  realtime-scheduling: run before everybody else
  nice: take more CPU time than others
  realtime-disk: read and write before everybody else
  lock-memory: lock 64 MiB
  core-limit: let core dumps be written`,
  ),
  attackClass(
    "Kernel surface: namespaces",
    `
  unshare-user: a new user namespace
  unshare-mount: a new mount namespace
  unshare-pid: a new pid namespace
  unshare-net: a new network namespace
  unshare-ipc: a new ipc namespace
  unshare-uts: a new uts namespace
  unshare-cgroup: a new cgroup namespace
  unshare-time: a new time namespace
  clone-user: a child in a new user namespace
  clone-mount: a child in a new mount namespace
  clone-pid: a child in a new pid namespace
  clone-net: a child in a new network namespace
  clone-ipc: a child in a new ipc namespace
  clone-uts: a child in a new uts namespace
  clone-cgroup: a child in a new cgroup namespace
  clone3: a child in a new user namespace, with flags where no filter sees them
  clone3-into-cgroup: a child in another cgroup
  setns-net: enter a network namespace
  setns-mount: enter a mount namespace
  setns-ipc: enter an ipc namespace
  setns-pid: enter a pid namespace
  setns-process: enter the namespaces of a process`,
  ),
];
