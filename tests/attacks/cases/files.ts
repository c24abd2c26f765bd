import { type AttackClass, attackClass } from "./attack.ts";

/** Files of the kernel, of the host, and what may be done to those that are shared. */
export const FILES: readonly AttackClass[] = [
  attackClass(
    "/proc and /sys: what changes the host",
    `
  core-pattern: have the kernel start a program when another crashes
  panic: change what the kernel does when it panics
  modprobe: have the kernel start a program for modules [CONFIG_MODULES]
  uevent-helper: have the kernel start a program for devices [CONFIG_UEVENT_HELPER]
  uevent: make up an event of a device
  sysrq-trigger: crash the machine [CONFIG_MAGIC_SYSRQ]
  binfmt-misc: have the kernel start a program for others' programs [CONFIG_BINFMT_MISC]
  release-agent: have the kernel start a program for an empty cgroup [cgroup v1]
  cgroup-devices: allow devices for cgroups [cgroup v1]
  cgroup-pids-limit: lift the limit on processes [cgroup v2 with the pids controller]
  cgroup-memory-limit: lift the limit on memory [cgroup v1]
  cgroup-members: move processes between cgroups
  drop-caches: empty the host's caches
  overcommit: change how memory is promised
  protected-symlinks: switch off a protection of /tmp
  file-max: change the limit on open files
  inotify-limit: change the limit on inotify
  ip-forward: route packets
  irq-affinity: steer interrupts
  mtrr: change how memory is cached [CONFIG_MTRR]
  huge-pages: change huge pages
  ksm: merge pages of processes, which tells what they hold [CONFIG_KSM]
  cpu-online: switch off a CPU [two CPUs]
  power-state: put the machine to sleep [CONFIG_PM]
  profiling: switch on profiling
  pci-rescan: look for devices [CONFIG_PCI]
  firmware-path: have the kernel load other firmware`,
  ),
  attackClass(
    "/proc and /sys: what tells of the host",
    `
  kcore: read the kernel's memory [CONFIG_PROC_KCORE]
  kmsg: read the kernel's log
  proc-keys: list keys
  timer-list: list timers
  interrupts: watch interrupts
  slabinfo: watch the kernel's allocations
  vmallocinfo: read addresses of the kernel's memory
  pagetypeinfo: watch memory
  kpagecount: see which pages are shared
  kpageflags: see what pages are for
  kallsyms: read addresses of the kernel
  iomem: read physical addresses
  vmcoreinfo: read a physical address
  pagemap: read which frames the own pages have
  product-uuid: read the machine's serial number [DMI tables]
  slab-traces: read who allocates [CONFIG_SLUB_DEBUG]
  firmware: read the firmware's tables
  debugfs: list /sys/kernel/debug
  tracefs: list /sys/kernel/tracing
  securityfs: list /sys/kernel/security
  acpi: list /proc/acpi [ACPI devices]
  powercap: measure the power that neighbours take [CONFIG_POWERCAP]
  command-line: read the kernel's command line
  diskstats: watch the host's disks
  file-locks: list locks of files`,
  ),
  attackClass(
    "Device nodes",
    `
  mknod-zero: make a harmless device and open it
  mknod-memory: make /dev/mem
  mknod-log: make /dev/kmsg and read it
  mknod-disk: make a disk by its number
  planted-device: open a device that lies among shared files
  planted-disk: open a disk that lies among shared files
  disks-in-dev: find disks in /dev
  devices-in-dev: find more than the usual devices in /dev`,
  ),
  attackClass(
    "Files of the host",
    `
  outside: read a file that is not shared
  outside-above: the same, by dots above the root
  outside-by-proc-root: the same, by /proc/1/root
  outside-by-proc-cwd: the same, by /proc/1/cwd
  outside-by-thread-root: the same, by the root of the thread
  outside-above-shared: the same, by dots above a shared directory
  outside-by-link: the same, by a link in a shared directory
  outside-by-chroot: the same, by a root below the root
  outside-by-descriptor: the same, by each open descriptor
  shared-write: write a file that is shared to be read
  shared-truncate: truncate it
  shared-create: make a file beside it
  shared-remove: remove one
  shared-rename: rename one
  shared-chmod: change the mode of one
  shared-chown: change the owner of one
  shared-times: change the times of one
  shared-xattr: set an attribute of one
  shared-link: link one
  shared-flags: set flags of one
  shared-reopen: open one for reading, and again for writing
  shared-map: map one to be written
  shared-remount: make the mount writable
  usr-write: write a program of the host
  usr-create: make a file among the host's programs`,
  ),
  attackClass(
    "Set-user-id files",
    `
  setuid-chmod: chmod
  setuid-fchmod: fchmod
  setuid-fchmodat: fchmodat
  setgid-fchmodat: fchmodat, for a group
  setuid-fchmodat2: fchmodat2 [Linux 6.6]
  setuid-wide: fchmodat with bits above 32
  setuid-open: open a new file
  setuid-creat: creat
  setuid-openat: openat a new file
  setuid-openat2: openat2, with the mode where no filter sees it
  setuid-mknod: mknod
  setuid-mknodat: mknodat
  planted-setuid: run one that lies among shared files
  file-capability: give a file capabilities
  trusted-xattr: set attributes that overlays trust
  immutable-file: make a file that nobody can remove`,
  ),
];
