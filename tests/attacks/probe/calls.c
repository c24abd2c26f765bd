// Calls of the kernel that no ordinary program needs. Those that could hurt get arguments that the kernel refuses, but
// only behind its permission check: EINVAL and the like then mean that the way was open.
#include "probe.h"
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>

// Newer than the headers; the same on every architecture.
enum {
  CALL_MEMFD_SECRET = 447,
  CALL_STATMOUNT = 457,
  CALL_LISTMOUNT = 458,
  CALL_LSM_GET_SELF_ATTR = 459,
  CALL_LSM_LIST_MODULES = 461,
  CALL_OPEN_TREE_ATTR = 467,
  CALL_FILE_SETATTR = 469,
};

static char nowhere[] = "/nowhere/at/all";

// --- kernel programs, events, keys --------------------------------------------------------------

static void bpf_map(void) {
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  judge(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map), NULL);
}

static void bpf_program(void) {
  // r0 = 0; exit
  struct bpf_insn code[] = {{.code = 0xb7}, {.code = 0x95}};
  union bpf_attr program = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
                            .insns = (unsigned long)code,
                            .insn_cnt = 2,
                            .license = (unsigned long)"GPL"};
  judge(syscall(SYS_bpf, BPF_PROG_LOAD, &program, sizeof program), NULL);
}

static void perf_event(void) {
  struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE,
                                  .size = sizeof event,
                                  .config = PERF_COUNT_SW_CPU_CLOCK,
                                  .exclude_kernel = 1,
                                  .exclude_hv = 1};
  judge(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0), NULL);
}

static void perf_event_host(void) {
  struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event};
  judge(syscall(SYS_perf_event_open, &event, -1, 0, -1, 0), NULL);
}

static void user_faults(void) { judge(syscall(SYS_userfaultfd, 1 /* user mode only */), NULL); }
static void fanotify(void) { judge(syscall(SYS_fanotify_init, FAN_REPORT_FID, O_RDONLY), NULL); }

static void uring_setup(void) {
  struct io_uring_params options = {0};
  judge(syscall(SYS_io_uring_setup, 1, &options), NULL);
}

static void key_add(void) {
  judge(syscall(SYS_add_key, "user", "probe", "x", 1, KEY_SPEC_PROCESS_KEYRING), NULL);
}

static void key_request(void) { judge(syscall(SYS_request_key, "user", "probe", NULL, 0), REACHED(ENOKEY)); }

static void key_session(void) {
  judge(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1), NULL);
}

static void key_user(void) {
  judge(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1), NULL);
}

static void key_persistent(void) {
  judge(syscall(SYS_keyctl, KEYCTL_GET_PERSISTENT, -1, KEY_SPEC_PROCESS_KEYRING), NULL);
}

// --- other processes ----------------------------------------------------------------------------

// A process of the probe's own, which waits to be attacked.
static pid_t sibling(void) {
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  return child;
}

static void trace_me(void) { judge(ptrace(PTRACE_TRACEME, 0, 0, 0), NULL); }
static void trace_seize(void) { judge(ptrace(PTRACE_SEIZE, sibling(), 0, 0), NULL); }

static void memory_of_others(long number) {
  char text[] = "theirs", mine[sizeof text];
  struct iovec local = {mine, sizeof mine}, remote = {text, sizeof text};
  judge(syscall(number, sibling(), &local, 1, &remote, 1, 0), NULL);
}
static void memory_read(void) { memory_of_others(SYS_process_vm_readv); }
static void memory_write(void) { memory_of_others(SYS_process_vm_writev); }
static void compare(void) { judge(syscall(SYS_kcmp, getpid(), sibling(), 0, 0, 0), NULL); }

static void take_descriptor(void) {
  int process = (int)syscall(SYS_pidfd_open, sibling(), 0);
  judge(syscall(SYS_pidfd_getfd, process, 1, 0), NULL);
}

static void advise_others(void) {
  char page[4096];
  struct iovec range = {page, sizeof page};
  int process = (int)syscall(SYS_pidfd_open, sibling(), 0);
  judge(syscall(SYS_process_madvise, process, &range, 1, MADV_COLD, 0), REACHED(EINVAL));
}

// --- mounts -------------------------------------------------------------------------------------

static void mount_tmpfs(void) { judge(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0), NULL); }
static void mount_bind(void) { judge(syscall(SYS_mount, "/", "/tmp", 0, 1 << 12 /* MS_BIND */, 0), NULL); }
static void mount_remount(void) {
  judge(syscall(SYS_mount, 0, "/proc", 0, 1 << 5 | 1 << 12 /* MS_REMOUNT | MS_BIND */, 0), NULL);
}
static void mount_proc(void) { judge(syscall(SYS_mount, "proc", "/tmp", "proc", 0, 0), NULL); }
static void mount_cgroup(void) { judge(syscall(SYS_mount, "none", "/tmp", "cgroup2", 0, 0), NULL); }
static void mount_propagate(void) { judge(syscall(SYS_mount, 0, "/", 0, 1 << 20 | 1 << 14 /* MS_SHARED | MS_REC */, 0), NULL); }
static void unmount(void) { judge(syscall(SYS_umount2, "/tmp", 0), REACHED(EINVAL)); }
static void unmount_all(void) { judge(syscall(SYS_umount2, "/proc", 2 /* MNT_DETACH */), REACHED(EINVAL)); }
static void fs_open(void) { judge(syscall(SYS_fsopen, "tmpfs", 0), NULL); }
static void fs_config(void) { judge(syscall(SYS_fsconfig, -1, 6, 0, 0, 0), REACHED(EBADF, EINVAL)); }
static void fs_mount(void) { judge(syscall(SYS_fsmount, -1, 0, 0), REACHED(EBADF)); }
static void fs_pick(void) { judge(syscall(SYS_fspick, AT_FDCWD, "/", 0), NULL); }
static void tree_open(void) { judge(syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */), NULL); }
static void tree_open_attr(void) {
  judge(syscall(CALL_OPEN_TREE_ATTR, AT_FDCWD, "/", 1, NULL, 0), NULL);
}
static void mount_move(void) { judge(syscall(SYS_move_mount, -1, "", AT_FDCWD, "/tmp", 4), REACHED(EBADF)); }
static void mount_attributes(void) {
  unsigned long attributes[4] = {0, 1, 0, 0}; // clear MOUNT_ATTR_RDONLY
  judge(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, attributes, sizeof attributes), NULL);
}
static void pivot(void) { judge(syscall(SYS_pivot_root, ".", "."), REACHED(EINVAL, EBUSY)); }
static void change_root(void) { judge(chroot("/"), NULL); }
static void mount_list(void) {
  unsigned long request[4] = {32, -1UL, 0, 0}, found[8];
  judge(syscall(CALL_LISTMOUNT, request, found, 8, 0), NULL);
}
static void mount_stat(void) { judge(syscall(CALL_STATMOUNT, NULL, NULL, 0, 0), REACHED(EFAULT, EINVAL)); }

// --- files past their paths ---------------------------------------------------------------------

static struct file_handle *handle(void) {
  static struct {
    struct file_handle head;
    unsigned char bytes[MAX_HANDLE_SZ];
  } all;
  all.head.handle_bytes = MAX_HANDLE_SZ;
  int mount;
  return name_to_handle_at(AT_FDCWD, setting("SHARED"), &all.head, &mount, 0) == 0 ? &all.head : NULL;
}

static void handle_name(void) {
  if (!handle()) refused();
  effect("done");
}

static void handle_open(void) {
  struct file_handle *found = handle(), made = {.handle_bytes = 0};
  int fd = open("/", O_RDONLY | O_DIRECTORY);
  judge(open_by_handle_at(fd, found ? found : &made, O_RDONLY), REACHED(ESTALE, EINVAL));
}

// The way out of CVE-2014-9357: the root of the host's file system by the number of its inode.
static void handle_of_root(void) {
  struct {
    struct file_handle head;
    unsigned int inode, generation;
  } root = {{.handle_bytes = 8, .handle_type = 1}, 2, 0};
  int fd = open(setting("SHARED"), O_RDONLY | O_DIRECTORY);
  judge(open_by_handle_at(fd, &root.head, O_RDONLY), REACHED(ESTALE));
}

// --- the machine --------------------------------------------------------------------------------

static void exec_domain(void) { judge(personality(ADDR_NO_RANDOMIZE), NULL); }
static void exec_readable(void) { judge(personality(READ_IMPLIES_EXEC), NULL); }
static void exec_null(void) { judge(personality(MMAP_PAGE_ZERO), NULL); }
static void kernel_exec(void) { judge(syscall(SYS_kexec_load, 0, 0, NULL, ~0UL), REACHED(EINVAL)); }
static void kernel_exec_file(void) { judge(syscall(SYS_kexec_file_load, -1, -1, 0, "", 0), REACHED(EBADF, EINVAL)); }
static void module_load(void) { judge(syscall(SYS_init_module, NULL, 0, ""), REACHED(EFAULT, ENOEXEC)); }
static void module_load_file(void) { judge(syscall(SYS_finit_module, -1, "", 0), REACHED(EBADF)); }
static void module_remove(void) { judge(syscall(SYS_delete_module, "no_such_module", O_NONBLOCK), REACHED(ENOENT)); }
static void restart(void) { judge(syscall(SYS_reboot, 1, 2, 3, NULL), REACHED(EINVAL)); }
static void swap_on(void) { judge(syscall(SYS_swapon, nowhere, 0), REACHED(ENOENT)); }
static void swap_off(void) { judge(syscall(SYS_swapoff, nowhere), REACHED(ENOENT)); }
static void account(void) { judge(syscall(SYS_acct, nowhere), REACHED(ENOENT)); }
static void time_set(void) { judge(syscall(SYS_settimeofday, NULL, NULL), NULL); }
static void clock_set(void) { judge(syscall(SYS_clock_settime, 1 /* CLOCK_MONOTONIC */, &(struct timespec){0}), REACHED(EINVAL)); }
static void clock_bend(void) {
  struct timex wrong = {.modes = ADJ_TICK, .tick = 1};
  judge(syscall(SYS_adjtimex, &wrong), REACHED(EINVAL));
}
static void clock_bend_other(void) {
  struct timex wrong = {.modes = ADJ_TICK, .tick = 1};
  judge(syscall(SYS_clock_adjtime, 0 /* CLOCK_REALTIME */, &wrong), REACHED(EINVAL));
}
static void quota(void) {
  judge(syscall(SYS_quotactl, QCMD(Q_GETINFO, USRQUOTA), nowhere, 0, NULL), REACHED(ENOENT, ENOTBLK));
}
static void quota_fd(void) { judge(syscall(443, -1, QCMD(Q_GETINFO, USRQUOTA), 0, NULL), REACHED(EBADF)); }
static void kernel_log(void) {
  char text[4096];
  judge(syscall(SYS_syslog, 3 /* READ_ALL */, text, sizeof text), NULL);
}
static void kernel_log_size(void) { judge(syscall(SYS_syslog, 10 /* SIZE_BUFFER */, NULL, 0), NULL); }
static void host_name(void) { judge(syscall(SYS_sethostname, "x", -1), REACHED(EINVAL)); }
static void domain_name(void) { judge(syscall(SYS_setdomainname, "x", -1), REACHED(EINVAL)); }
static void hang_up(void) {
  setsid(); // so that there is no terminal
  judge(syscall(SYS_vhangup), NULL);
}

// --- memory and scheduling ----------------------------------------------------------------------

static void secret_memory(void) { judge(syscall(CALL_MEMFD_SECRET, 0), NULL); }
static void place_memory(void) { judge(syscall(SYS_mbind, NULL, 0, 0, NULL, 0, 0), NULL); }
static void place_policy(void) { judge(syscall(SYS_set_mempolicy, 0, NULL, 0), NULL); }
static void move_memory(void) { judge(syscall(SYS_move_pages, 0, 0, NULL, NULL, NULL, 0), NULL); }
static void migrate(void) {
  unsigned long nodes = 1;
  judge(syscall(SYS_migrate_pages, 0, 8, &nodes, &nodes), NULL);
}
static void security_attributes(void) {
  judge(syscall(CALL_LSM_GET_SELF_ATTR, 100, NULL, NULL, 0), REACHED(EINVAL, EOPNOTSUPP, EFAULT));
}
static void security_modules(void) {
  unsigned size = 0;
  judge(syscall(CALL_LSM_LIST_MODULES, NULL, &size, 0), REACHED(E2BIG));
}
static void file_attributes(void) { judge(syscall(CALL_FILE_SETATTR, -1, "", NULL, 0, 0), REACHED(EINVAL, EBADF)); }

static void realtime(void) {
  struct sched_param first = {.sched_priority = 1};
  judge(sched_setscheduler(0, SCHED_FIFO, &first), NULL);
}
static void more_nice(void) { judge(setpriority(PRIO_PROCESS, 0, -20), NULL); }
static void realtime_disk(void) { judge(syscall(SYS_ioprio_set, 1, 0, 1 << 13 /* IOPRIO_CLASS_RT */), NULL); }

static void lock_memory(void) {
  size_t size = 64 << 20;
  void *memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  judge(mlock(memory, size), NULL);
}

static void dump_core(void) { judge(setrlimit(RLIMIT_CORE, &(struct rlimit){1, 1}), NULL); }

// --- other ways to make calls -------------------------------------------------------------------

#ifdef __x86_64__
#include <asm/ldt.h>

static void segments(void) {
  struct user_desc segment = {.entry_number = 0, .limit = 1, .seg_32bit = 1};
  judge(syscall(SYS_modify_ldt, 1, &segment, sizeof segment), NULL);
}
static void ports(void) { judge(syscall(SYS_iopl, 3), NULL); }
static void port(void) { judge(syscall(SYS_ioperm, 0x80, 1, 1), NULL); }

static void old_entry(void) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid of i386 */) : "r8", "r9", "r10", "r11", "memory");
  if (result == getpid()) effect("an i386 call was made");
  errno = result < 0 ? (int)-result : ENOSYS;
  refused();
}

// mount(2) has number 21 there, which is access(2) here: a filter that looks at numbers only lets it pass.
static void old_entry_mount(void) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(21), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
                   : "r8", "r9", "r10", "r11", "memory");
  errno = (int)-result;
  judge(-1, REACHED(EFAULT, EINVAL, ENOENT));
}

static void x32_entry(void) { judge(syscall(0x40000000 | SYS_getpid), NULL); }

// The upper half of the register is not part of the number.
static void wide_number(void) {
  long result;
  register long flags __asm__("r10") = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(0x100000000L | SYS_chroot), "D"("/"), "S"(0), "d"(0), "r"(flags)
                   : "rcx", "r11", "memory");
  errno = result < 0 ? (int)-result : 0;
  judge(result, NULL);
}
#endif

// A filter of one's own that allows everything must not take the sandbox's place.
static void loosen_filter(void) {
  struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {1, all};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) refused();
  judge(chroot("/"), NULL);
}

const struct probe CALLS[] = {
    {"bpf-map", bpf_map},
    {"bpf-program", bpf_program},
    {"perf-event", perf_event},
    {"perf-event-of-the-host", perf_event_host},
    {"userfaultfd", user_faults},
    {"fanotify", fanotify},
    {"io-uring", uring_setup},
    {"add-key", key_add},
    {"request-key", key_request},
    {"session-keyring", key_session},
    {"user-keyring", key_user},
    {"persistent-keyring", key_persistent},
    {"ptrace-traceme", trace_me},
    {"ptrace-seize", trace_seize},
    {"process-vm-readv", memory_read},
    {"process-vm-writev", memory_write},
    {"kcmp", compare},
    {"pidfd-getfd", take_descriptor},
    {"process-madvise", advise_others},
    {"mount-tmpfs", mount_tmpfs},
    {"mount-bind", mount_bind},
    {"mount-remount", mount_remount},
    {"mount-proc", mount_proc},
    {"mount-cgroup", mount_cgroup},
    {"mount-shared", mount_propagate},
    {"umount", unmount},
    {"umount-proc", unmount_all},
    {"fsopen", fs_open},
    {"fsconfig", fs_config},
    {"fsmount", fs_mount},
    {"fspick", fs_pick},
    {"open-tree", tree_open},
    {"open-tree-attr", tree_open_attr},
    {"move-mount", mount_move},
    {"mount-setattr", mount_attributes},
    {"pivot-root", pivot},
    {"chroot", change_root},
    {"listmount", mount_list},
    {"statmount", mount_stat},
    {"name-to-handle", handle_name},
    {"open-by-handle", handle_open},
    {"open-root-by-handle", handle_of_root},
    {"personality-no-randomize", exec_domain},
    {"personality-read-implies-exec", exec_readable},
    {"personality-page-zero", exec_null},
    {"kexec-load", kernel_exec},
    {"kexec-file-load", kernel_exec_file},
    {"init-module", module_load},
    {"finit-module", module_load_file},
    {"delete-module", module_remove},
    {"reboot", restart},
    {"swapon", swap_on},
    {"swapoff", swap_off},
    {"acct", account},
    {"settimeofday", time_set},
    {"clock-settime", clock_set},
    {"adjtimex", clock_bend},
    {"clock-adjtime", clock_bend_other},
    {"quotactl", quota},
    {"quotactl-fd", quota_fd},
    {"syslog", kernel_log},
    {"syslog-size", kernel_log_size},
    {"sethostname", host_name},
    {"setdomainname", domain_name},
    {"vhangup", hang_up},
    {"memfd-secret", secret_memory},
    {"mbind", place_memory},
    {"set-mempolicy", place_policy},
    {"move-pages", move_memory},
    {"migrate-pages", migrate},
    {"lsm-get-self-attr", security_attributes},
    {"lsm-list-modules", security_modules},
    {"file-setattr", file_attributes},
    {"realtime-scheduling", realtime},
    {"nice", more_nice},
    {"realtime-disk", realtime_disk},
    {"lock-memory", lock_memory},
    {"core-limit", dump_core},
#ifdef __x86_64__
    {"modify-ldt", segments},
    {"iopl", ports},
    {"ioperm", port},
    {"i386-entry", old_entry},
    {"i386-mount", old_entry_mount},
    {"x32-entry", x32_entry},
    {"wide-number", wide_number},
#endif
    {"loosen-filter", loosen_filter},
    {0},
};
