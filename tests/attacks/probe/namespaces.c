// New namespaces open parts of the kernel to root inside; others' are not to be entered.
#include "probe.h"
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>

static void born_into(unsigned long flags) {
  long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  judge(child, NULL);
}

#define NEW(name, flag)                                                                                               \
  static void unshare_##name(void) { judge(unshare(flag), NULL); }                                                    \
  static void clone_##name(void) { born_into(flag); }
NEW(user, CLONE_NEWUSER)
NEW(mount, CLONE_NEWNS)
NEW(pid, CLONE_NEWPID)
NEW(net, CLONE_NEWNET)
NEW(ipc, CLONE_NEWIPC)
NEW(uts, CLONE_NEWUTS)
NEW(cgroup, CLONE_NEWCGROUP)

static void unshare_time(void) { judge(unshare(CLONE_NEWTIME), NULL); }

// The flags lie in memory, where no filter can see them.
static void clone_3(void) {
  struct clone_args flags = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  long child = syscall(SYS_clone3, &flags, sizeof flags);
  if (child == 0) _exit(0);
  judge(child, NULL);
}

// glibc's fork may not go by clone3 alone: what is refused must not be all of clone.
static void clone_into_cgroup(void) {
  struct clone_args flags = {.flags = 0x200000000ULL /* CLONE_INTO_CGROUP */, .exit_signal = SIGCHLD, .cgroup = -1};
  judge(syscall(SYS_clone3, &flags, sizeof flags), REACHED(EBADF, EINVAL));
}

static void enter(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) refused();
  judge(setns(fd, 0), NULL);
}
static void enter_net(void) { enter("/proc/1/ns/net"); }
static void enter_mount(void) { enter("/proc/1/ns/mnt"); }
static void enter_ipc(void) { enter("/proc/1/ns/ipc"); }
static void enter_pid(void) { enter("/proc/1/ns/pid"); }

static void enter_process(void) {
  int process = (int)syscall(SYS_pidfd_open, 1, 0);
  if (process < 0) refused();
  judge(setns(process, CLONE_NEWNS | CLONE_NEWNET), NULL);
}

const struct probe NAMESPACES[] = {
    {"unshare-user", unshare_user},
    {"unshare-mount", unshare_mount},
    {"unshare-pid", unshare_pid},
    {"unshare-net", unshare_net},
    {"unshare-ipc", unshare_ipc},
    {"unshare-uts", unshare_uts},
    {"unshare-cgroup", unshare_cgroup},
    {"unshare-time", unshare_time},
    {"clone-user", clone_user},
    {"clone-mount", clone_mount},
    {"clone-pid", clone_pid},
    {"clone-net", clone_net},
    {"clone-ipc", clone_ipc},
    {"clone-uts", clone_uts},
    {"clone-cgroup", clone_cgroup},
    {"clone3", clone_3},
    {"clone3-into-cgroup", clone_into_cgroup},
    {"setns-net", enter_net},
    {"setns-mount", enter_mount},
    {"setns-ipc", enter_ipc},
    {"setns-pid", enter_pid},
    {"setns-process", enter_process},
    {0},
};
