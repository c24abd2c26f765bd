// Files of the host: those that the sandbox does not get, those that it may read, those that it may write.
#include "probe.h"
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/xattr.h>

static char *in(const char *where, const char *name) {
  static char paths[4][400];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", setting(where), name);
  return path;
}

// --- outside ------------------------------------------------------------------------------------

static _Noreturn void judge_secret(const char *path) {
  char *text = contents(path);
  if (!text) refused();
  if (strstr(text, setting("NONCE"))) effect("the secret was read");
  shut("another file");
}

static void outside(void) { judge_secret(in("OUTSIDE", "secret")); }

static void outside_behind(const char *prefix) {
  char path[600];
  snprintf(path, sizeof path, "%s%s", prefix, in("OUTSIDE", "secret"));
  judge_secret(path);
}
#define UP "/../../../../../../../../../../../../../../../.."
static void outside_above(void) { outside_behind(UP); }
static void outside_by_proc(void) { outside_behind("/proc/1/root" UP); }
static void outside_by_cwd(void) { outside_behind("/proc/1/cwd" UP); }
static void outside_by_thread(void) { outside_behind("/proc/thread-self/root" UP); }

static void outside_by_shared(void) {
  char path[600];
  snprintf(path, sizeof path, "%s" UP "%s", setting("SHARED"), in("OUTSIDE", "secret"));
  judge_secret(path);
}

static void outside_by_link(void) {
  char *link = in("WRITABLE", "link-out");
  unlink(link);
  if (symlink(in("OUTSIDE", "secret"), link) < 0) refused();
  judge_secret(link);
}

// A root below the root lets `..` of a directory that is held open lead above it.
static void outside_by_chroot(void) {
  int above = open("/", O_RDONLY | O_DIRECTORY);
  char *jail = in("WRITABLE", "jail");
  if (mkdir(jail, 0700) < 0 && errno != EEXIST) refused();
  if (chroot(jail) < 0) refused();
  if (fchdir(above) < 0) refused();
  for (int step = 0; step < 64; step++)
    if (chdir("..") < 0) refused();
  if (chroot(".") < 0) refused();
  judge_secret(in("OUTSIDE", "secret"));
}

static void outside_by_descriptor(void) {
  char path[600];
  snprintf(path, sizeof path, ".." UP "%s", in("OUTSIDE", "secret"));
  for (int fd = 0; fd < 1024; fd++) {
    int found = openat(fd, path, O_RDONLY);
    if (found >= 0) effect("by descriptor %d", fd);
  }
  shut("no descriptor leads there");
}

// --- shared, to be read -------------------------------------------------------------------------

#define FILE_OF_SHARED in("SHARED", "file")
static void shared_write(void) { judge(open(FILE_OF_SHARED, O_WRONLY), NULL); }
static void shared_truncate(void) { judge(truncate(FILE_OF_SHARED, 1), NULL); }
static void shared_create(void) { judge(open(in("SHARED", "new"), O_WRONLY | O_CREAT, 0600), NULL); }
static void shared_remove(void) { judge(unlink(in("SHARED", "goner")), NULL); }
static void shared_rename(void) { judge(rename(FILE_OF_SHARED, in("SHARED", "file")), NULL); }
static void shared_mode(void) { judge(chmod(FILE_OF_SHARED, 0644), NULL); }
static void shared_owner(void) { judge(chown(FILE_OF_SHARED, 0, 0), NULL); }
static void shared_times(void) { judge(utimensat(AT_FDCWD, FILE_OF_SHARED, NULL, 0), NULL); }
static void shared_attribute(void) { judge(setxattr(FILE_OF_SHARED, "user.probe", "x", 1, 0), NULL); }
static void shared_link(void) { judge(link(FILE_OF_SHARED, in("SHARED", "hard")), NULL); }
static void shared_flags(void) {
  int flags = 0, fd = open(FILE_OF_SHARED, O_RDONLY);
  if (fd < 0) refused();
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) refused();
  judge(ioctl(fd, FS_IOC_SETFLAGS, &flags), NULL);
}
static void shared_reopen(void) {
  char path[64];
  int fd = open(FILE_OF_SHARED, O_RDONLY);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  judge(open(path, O_RDWR), NULL);
}
static void shared_map(void) {
  int fd = open(FILE_OF_SHARED, O_RDWR);
  if (fd < 0) refused();
  if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED) refused();
  effect("mapped");
}
static void shared_remount(void) {
  if (mount(NULL, setting("SHARED"), NULL, MS_REMOUNT | MS_BIND, NULL) < 0 && errno != EINVAL) refused();
  judge(open(FILE_OF_SHARED, O_WRONLY), NULL);
}
static void system_write(void) { judge(open("/usr/bin/env", O_WRONLY), REACHED(ETXTBSY)); }
static void system_create(void) { judge(access("/usr/bin", W_OK), NULL); }

// --- set-user-id and other rights that outlive the sandbox ---------------------------------------

static char *scratch(void) {
  char name[40];
  snprintf(name, sizeof name, "made-%d", getpid());
  char *path = in("WRITABLE", name);
  return path;
}

static char *fresh(void) {
  char *path = scratch();
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0755);
  if (fd < 0) refused();
  close(fd);
  return path;
}

static _Noreturn void judge_mode(const char *path) {
  int failed = errno;
  struct stat now;
  bool is_set = stat(path, &now) == 0 && now.st_mode & 06000;
  if (getenv("CONTROL")) unlink(path);
  errno = failed;
  if (is_set) effect("the bit is set");
  if (failed) refused();
  shut("the bit is not set");
}

#define MAKE(name, call)                                                                                              \
  static void name(void) {                                                                                            \
    char *path = fresh();                                                                                             \
    errno = 0;                                                                                                        \
    call;                                                                                                             \
    judge_mode(path);                                                                                                 \
  }
MAKE(set_chmod, syscall(SYS_fchmodat, AT_FDCWD, path, 04755))
MAKE(set_group, syscall(SYS_fchmodat, AT_FDCWD, path, 02755))
MAKE(set_fchmod, fchmod(open(path, O_RDONLY), 04755))
MAKE(set_fchmodat2, syscall(452, AT_FDCWD, path, 04755, 0))
MAKE(set_wide, syscall(SYS_fchmodat, AT_FDCWD, path, 0x100000000L | 04755))
#ifdef SYS_chmod
MAKE(set_chmod_old, syscall(SYS_chmod, path, 04755))
#endif

#define BORN(name, call)                                                                                              \
  static void name(void) {                                                                                            \
    char *path = scratch();                                                                                           \
    errno = 0;                                                                                                        \
    if ((call) >= 0) errno = 0;                                                                                       \
    judge_mode(path);                                                                                                 \
  }
BORN(set_openat, syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY, 04755))
BORN(set_mknodat, syscall(SYS_mknodat, AT_FDCWD, path, S_IFREG | 04755, 0))
#ifdef SYS_creat
BORN(set_open, syscall(SYS_open, path, O_CREAT | O_WRONLY, 04755))
BORN(set_creat, syscall(SYS_creat, path, 04755))
BORN(set_mknod, syscall(SYS_mknod, path, S_IFREG | 04755, 0))
#endif

static void set_openat2(void) {
  char *path = scratch();
  struct open_how how = {.flags = O_CREAT | O_WRONLY, .mode = 04755};
  if (syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how) >= 0) errno = 0;
  judge_mode(path);
}

static void capability(void) {
  // VFS_CAP_REVISION_2 with CAP_SYS_ADMIN permitted and effective
  unsigned value[5] = {0x02000001, 1 << 21};
  judge(setxattr(fresh(), "security.capability", value, sizeof value, 0), NULL);
}
static void trusted(void) { judge(setxattr(fresh(), "trusted.overlay.opaque", "y", 1, 0), NULL); }
static void immutable(void) {
  int flags = 0, fd = open(fresh(), O_RDONLY);
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) refused();
  int with = flags | FS_IMMUTABLE_FL;
  if (ioctl(fd, FS_IOC_SETFLAGS, &with) < 0) refused();
  ioctl(fd, FS_IOC_SETFLAGS, &flags);
  effect("nobody could remove it");
}

// A set-user-id file that lies there already.
static void planted_setuid(void) {
  int ends[2];
  if (pipe(ends) < 0) refused();
  if (fork() == 0) {
    dup2(ends[1], 1);
    if (setgid(1000) < 0 || setuid(1000) < 0) _exit(dprintf(1, "as it was"));
    execl(in("SHARED", "setuid"), "setuid", "euid", NULL);
    _exit(dprintf(1, "as it was"));
  }
  close(ends[1]);
  char text[16] = "";
  if (read(ends[0], text, sizeof text - 1) < 0) refused();
  if (strcmp(text, "0") == 0) effect("became root");
  shut("stayed %s", text);
}

const struct probe FILES[] = {
    {"outside", outside},
    {"outside-above", outside_above},
    {"outside-by-proc-root", outside_by_proc},
    {"outside-by-proc-cwd", outside_by_cwd},
    {"outside-by-thread-root", outside_by_thread},
    {"outside-above-shared", outside_by_shared},
    {"outside-by-link", outside_by_link},
    {"outside-by-chroot", outside_by_chroot},
    {"outside-by-descriptor", outside_by_descriptor},
    {"shared-write", shared_write},
    {"shared-truncate", shared_truncate},
    {"shared-create", shared_create},
    {"shared-remove", shared_remove},
    {"shared-rename", shared_rename},
    {"shared-chmod", shared_mode},
    {"shared-chown", shared_owner},
    {"shared-times", shared_times},
    {"shared-xattr", shared_attribute},
    {"shared-link", shared_link},
    {"shared-flags", shared_flags},
    {"shared-reopen", shared_reopen},
    {"shared-map", shared_map},
    {"shared-remount", shared_remount},
    {"usr-write", system_write},
    {"usr-create", system_create},
    {"setuid-fchmodat", set_chmod},
    {"setgid-fchmodat", set_group},
    {"setuid-fchmod", set_fchmod},
    {"setuid-fchmodat2", set_fchmodat2},
    {"setuid-wide", set_wide},
    {"setuid-openat", set_openat},
    {"setuid-openat2", set_openat2},
    {"setuid-mknodat", set_mknodat},
#ifdef SYS_creat
    {"setuid-chmod", set_chmod_old},
    {"setuid-open", set_open},
    {"setuid-creat", set_creat},
    {"setuid-mknod", set_mknod},
#endif
    {"file-capability", capability},
    {"trusted-xattr", trusted},
    {"immutable-file", immutable},
    {"planted-setuid", planted_setuid},
    {0},
};
