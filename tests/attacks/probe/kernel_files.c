// Files of the kernel that steer or tell of the whole machine. What is to be written is only opened for writing.
#include "probe.h"
#include <dirent.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#define WRITE(name, path)                                                                                             \
  static void name(void) { judge_open(path, O_WRONLY); }
WRITE(core_pattern, "/proc/sys/kernel/core_pattern")
WRITE(panic, "/proc/sys/kernel/panic")
WRITE(modprobe, "/proc/sys/kernel/modprobe")
WRITE(hot_plug, "/sys/kernel/uevent_helper")
WRITE(uevent, "/sys/class/mem/null/uevent")
WRITE(sysrq, "/proc/sysrq-trigger")
WRITE(caches, "/proc/sys/vm/drop_caches")
WRITE(overcommit, "/proc/sys/vm/overcommit_memory")
WRITE(links, "/proc/sys/fs/protected_symlinks")
WRITE(file_max, "/proc/sys/fs/file-max")
WRITE(inotify_limit, "/proc/sys/fs/inotify/max_user_instances")
WRITE(forward, "/proc/sys/net/ipv4/ip_forward")
WRITE(irq, "/proc/irq/default_smp_affinity")
WRITE(mtrr, "/proc/mtrr")
WRITE(huge, "/sys/kernel/mm/transparent_hugepage/enabled")
WRITE(ksm, "/sys/kernel/mm/ksm/run")
WRITE(processor, "/sys/devices/system/cpu/cpu1/online")
WRITE(power, "/sys/power/state")
WRITE(profiling, "/sys/kernel/profiling")
WRITE(pci, "/sys/bus/pci/rescan")
WRITE(firmware_loader, "/sys/module/firmware_class/parameters/path")

static void binary_format(void) {
  // Since Linux 6.7 a user namespace can have its own, but it has to be mounted.
  mount("none", "/tmp", "binfmt_misc", 0, NULL);
  int fd = open("/tmp/register", O_WRONLY);
  if (fd >= 0) effect("opened /tmp/register");
  judge_open("/proc/sys/fs/binfmt_misc/register", O_WRONLY);
}

// A file of any hierarchy of cgroups.
static void cgroup_file(const char *name) {
  DIR *all = opendir("/sys/fs/cgroup");
  if (!all) refused();
  char path[300];
  int failed = ENOENT;
  for (struct dirent *one; (one = readdir(all));) {
    snprintf(path, sizeof path, "/sys/fs/cgroup/%.200s/%s", one->d_name, name);
    if (open(path, O_WRONLY) >= 0) effect("opened %s", path);
    if (errno != ENOENT && errno != ENOTDIR) failed = errno;
  }
  errno = failed;
  refused();
}
static void release_agent(void) { cgroup_file("release_agent"); }
static void cgroup_devices(void) { cgroup_file("devices.allow"); }
static void cgroup_processes(void) { cgroup_file("pids.max"); }
static void cgroup_memory(void) { cgroup_file("memory.limit_in_bytes"); }
static void cgroup_members(void) { cgroup_file("cgroup.procs"); }

#define READ(name, path)                                                                                              \
  static void name(void) { judge_open(path, O_RDONLY); }
READ(kcore, "/proc/kcore")
READ(kmsg, "/proc/kmsg")
READ(timers, "/proc/timer_list")
READ(interrupts, "/proc/interrupts")
READ(slabs, "/proc/slabinfo")
READ(allocations, "/proc/vmallocinfo")
READ(page_types, "/proc/pagetypeinfo")
READ(page_counts, "/proc/kpagecount")
READ(page_flags, "/proc/kpageflags")
READ(machine_id, "/sys/class/dmi/id/product_uuid")
READ(slab_traces, "/sys/kernel/slab/kmalloc-64/alloc_traces")

static void list(const char *path) {
  DIR *all = opendir(path);
  if (!all) refused();
  for (struct dirent *one; (one = readdir(all));)
    if (one->d_name[0] != '.') effect("%s has %s", path, one->d_name);
  shut("empty");
}
static void firmware(void) { list("/sys/firmware"); }
static void debug(void) { list("/sys/kernel/debug"); }
static void tracing(void) { list("/sys/kernel/tracing"); }
static void security(void) { list("/sys/kernel/security"); }
static void acpi(void) { list("/proc/acpi"); }
static void power_cap(void) {
  DIR *all = opendir("/sys/devices/virtual/powercap");
  if (all) list("/sys/devices/virtual/powercap");
  refused();
}

static void keys(void) {
  char *text = contents("/proc/keys");
  if (!text) refused();
  if (*text == 0) shut("empty");
  effect("keys of %zu bytes", strlen(text));
}

// Addresses of the kernel, which are the key to most of its flaws.
static void addresses(const char *path) {
  char *text = contents(path);
  if (!text) refused();
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
    if (strtoul(line, NULL, 16) > 0xffff) effect("%s tells addresses", path);
  shut("only zeros");
}
static void symbols(void) { addresses("/proc/kallsyms"); }
static void memory_map(void) { addresses("/proc/iomem"); }
static void core_info(void) { addresses("/sys/kernel/vmcoreinfo"); }

// Which page of the machine's memory one's own is: what rowhammer starts from.
static void page_map(void) {
  static volatile char page[8192];
  page[4096] = 1;
  unsigned long entry = 0;
  int fd = open("/proc/self/pagemap", O_RDONLY);
  if (fd < 0 || pread(fd, &entry, sizeof entry, (long)((unsigned long)&page[4096] / 4096 * 8)) < 0) refused();
  if (entry & ((1UL << 55) - 1)) effect("a frame is known");
  shut("no frame");
}

// --- device nodes -------------------------------------------------------------------------------

static void node(mode_t type, unsigned major, unsigned minor) {
  char path[300];
  snprintf(path, sizeof path, "%s/node-%d", setting("WRITABLE"), getpid());
  if (mknod(path, type | 0600, makedev(major, minor)) < 0) refused();
  int fd = open(path, O_RDONLY | O_NONBLOCK);
  int failed = errno;
  unlink(path);
  if (fd >= 0) effect("made and opened");
  errno = failed;
  judge(-1, REACHED(ENXIO, ENODEV));
}
static void node_zero(void) { node(S_IFCHR, 1, 5); }
static void node_memory(void) { node(S_IFCHR, 1, 1); }
static void node_log(void) { node(S_IFCHR, 1, 11); }

// A disk by its number, which anybody can guess.
static void node_disk(void) { node(S_IFBLK, 7, 0); }

// What somebody put into the files that the sandbox gets.
static void planted(const char *name) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", setting("SHARED"), name);
  judge_open(path, O_RDONLY);
}
static void planted_zero(void) { planted("zero"); }
static void planted_disk(void) { planted("loop"); }

static void every_disk(void) {
  struct stat now;
  DIR *all = opendir("/dev");
  if (!all) refused();
  for (struct dirent *one; (one = readdir(all));)
    if (fstatat(dirfd(all), one->d_name, &now, 0) == 0 && S_ISBLK(now.st_mode)) effect("/dev/%s", one->d_name);
  shut("none in /dev");
}

static void every_device(void) {
  static const char *const USUAL[] = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"};
  struct stat now;
  DIR *all = opendir("/dev");
  if (!all) refused();
  for (struct dirent *one; (one = readdir(all));) {
    bool usual = false;
    for (size_t i = 0; i < sizeof USUAL / sizeof *USUAL; i++) usual |= strcmp(USUAL[i], one->d_name) == 0;
    if (usual || strncmp(one->d_name, "std", 3) == 0) continue;
    if (fstatat(dirfd(all), one->d_name, &now, 0) == 0 && S_ISCHR(now.st_mode)) effect("/dev/%s", one->d_name);
  }
  shut("the usual ones");
}

const struct probe KERNEL_FILES[] = {
    {"core-pattern", core_pattern},
    {"panic", panic},
    {"modprobe", modprobe},
    {"uevent-helper", hot_plug},
    {"uevent", uevent},
    {"sysrq-trigger", sysrq},
    {"binfmt-misc", binary_format},
    {"release-agent", release_agent},
    {"cgroup-devices", cgroup_devices},
    {"cgroup-pids-limit", cgroup_processes},
    {"cgroup-memory-limit", cgroup_memory},
    {"cgroup-members", cgroup_members},
    {"drop-caches", caches},
    {"overcommit", overcommit},
    {"protected-symlinks", links},
    {"file-max", file_max},
    {"inotify-limit", inotify_limit},
    {"ip-forward", forward},
    {"irq-affinity", irq},
    {"mtrr", mtrr},
    {"huge-pages", huge},
    {"ksm", ksm},
    {"cpu-online", processor},
    {"power-state", power},
    {"profiling", profiling},
    {"pci-rescan", pci},
    {"firmware-path", firmware_loader},
    {"kcore", kcore},
    {"kmsg", kmsg},
    {"proc-keys", keys},
    {"timer-list", timers},
    {"interrupts", interrupts},
    {"slabinfo", slabs},
    {"vmallocinfo", allocations},
    {"pagetypeinfo", page_types},
    {"kpagecount", page_counts},
    {"kpageflags", page_flags},
    {"kallsyms", symbols},
    {"iomem", memory_map},
    {"vmcoreinfo", core_info},
    {"pagemap", page_map},
    {"product-uuid", machine_id},
    {"slab-traces", slab_traces},
    {"firmware", firmware},
    {"debugfs", debug},
    {"tracefs", tracing},
    {"securityfs", security},
    {"acpi", acpi},
    {"powercap", power_cap},
    {"mknod-zero", node_zero},
    {"mknod-memory", node_memory},
    {"mknod-log", node_log},
    {"mknod-disk", node_disk},
    {"planted-device", planted_zero},
    {"planted-disk", planted_disk},
    {"disks-in-dev", every_disk},
    {"devices-in-dev", every_device},
    {0},
};
