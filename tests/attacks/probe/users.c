// Users, groups and capabilities.
#include "probe.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

// Outside of what a sandbox has: it gets 65536 ids.
static const unsigned FOREIGN = 70000;

static void host_root(void) {
  unsigned inside, on_host = 1;
  char *map = contents("/proc/self/uid_map");
  if (!map) refused();
  if (sscanf(map, "%u %u", &inside, &on_host) == 2 && inside == 0 && on_host == 0) effect("root is the host's root");
  shut("root is somebody else");
}

static void foreign_user(void) { judge(setresuid(FOREIGN, FOREIGN, FOREIGN), NULL); }
static void foreign_group(void) { judge(setresgid(FOREIGN, FOREIGN, FOREIGN), NULL); }
static void foreign_groups(void) { judge(setgroups(1, &FOREIGN), NULL); }

static void foreign_owner(void) {
  char path[300];
  snprintf(path, sizeof path, "%s/owned-%d", setting("WRITABLE"), getpid());
  if (open(path, O_WRONLY | O_CREAT, 0600) < 0) refused();
  judge(chown(path, FOREIGN, FOREIGN), NULL);
}

static void foreign_file(void) {
  char path[300];
  snprintf(path, sizeof path, "%s/foreign", setting("WRITABLE"));
  judge(open(path, O_RDONLY), NULL);
}

static long capabilities(bool inheritable) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct all[2];
  if (syscall(SYS_capget, &head, all) < 0) return -1;
  all[0].permitted |= 1u << CAP_SYS_ADMIN;
  all[0].effective |= 1u << CAP_SYS_ADMIN;
  if (inheritable) all[0].inheritable |= 1u << CAP_SYS_ADMIN;
  return syscall(SYS_capset, &head, all);
}

static void more_capabilities(void) { judge(capabilities(false), NULL); }
static void inheritable(void) { judge(capabilities(true), NULL); }
static void ambient(void) {
  capabilities(true);
  judge(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0), NULL);
}
static void bounding(void) {
  if (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) == 1) effect("CAP_SYS_ADMIN can be had");
  shut("CAP_SYS_ADMIN is gone");
}
static void secure_bits(void) { judge(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP), NULL); }

static void new_privileges(void) {
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0) effect("execve can give rights");
  shut("no_new_privs");
}

static void no_filter(void) {
  char *status = contents("/proc/self/status"), *line = status ? strstr(status, "Seccomp:\t") : NULL;
  if (!line) shut("unknown");
  if (line[9] == '0') effect("there is no filter");
  shut("mode %c", line[9]);
}

const struct probe USERS[] = {
    {"host-root", host_root},
    {"foreign-user", foreign_user},
    {"foreign-group", foreign_group},
    {"foreign-groups", foreign_groups},
    {"foreign-owner", foreign_owner},
    {"foreign-file", foreign_file},
    {"more-capabilities", more_capabilities},
    {"inheritable-capability", inheritable},
    {"ambient-capability", ambient},
    {"bounding-set", bounding},
    {"securebits", secure_bits},
    {"new-privileges", new_privileges},
    {"no-filter", no_filter},
    {0},
};
