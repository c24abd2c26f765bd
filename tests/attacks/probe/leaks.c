// What a program gets to know, and what it gets along with its start.
#include "probe.h"
#include <dirent.h>

static void descriptors(void) {
  for (int fd = 3; fd < 4096; fd++)
    if (fcntl(fd, F_GETFD) >= 0) effect("descriptor %d is open", fd);
  shut("0, 1 and 2 only");
}

static bool knows_secret(int pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/environ", pid);
  int fd = open(path, O_RDONLY);
  static char text[65536];
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text);
  close(fd);
  return length > 0 && memmem(text, (size_t)length, "HOST_SECRET=", 12);
}
static void environment(void) {
  if (each_process(knows_secret)) effect("the host's environment is there");
  shut("not there");
}

static void host_name(void) {
  char name[100] = "";
  gethostname(name, sizeof name - 1);
  if (strcmp(name, setting("HOST_NAME")) == 0) effect("the host's");
  shut("another");
}

static void interfaces(void) {
  DIR *all = opendir("/sys/class/net");
  if (!all) refused();
  for (struct dirent *one; (one = readdir(all));)
    if (one->d_name[0] != '.' && strcmp(one->d_name, "lo") != 0) effect("%s", one->d_name);
  shut("lo only");
}

static void mount_table(void) {
  char *text = contents("/proc/self/mountinfo");
  if (!text) refused();
  if (strstr(text, setting("HOST_PATH"))) effect("it names directories of the host");
  shut("no path of the host");
}

static void told(const char *path) {
  char *text = contents(path);
  if (!text) refused();
  if (!*text) shut("empty");
  effect("readable");
}
static void command_line(void) { told("/proc/cmdline"); }
static void processor(void) { told("/proc/cpuinfo"); }
static void load(void) { told("/proc/loadavg"); }
static void disks(void) { told("/proc/diskstats"); }
static void boot(void) { told("/proc/sys/kernel/random/boot_id"); }
static void version(void) { told("/proc/version"); }
static void internet(void) { judge(socket(AF_INET, SOCK_STREAM, 0), NULL); }

const struct probe LEAKS[] = {
    {"descriptors", descriptors},
    {"host-environment", environment},
    {"host-name", host_name},
    {"host-interfaces", interfaces},
    {"mount-table", mount_table},
    {"command-line", command_line},
    {"cpuinfo", processor},
    {"load", load},
    {"diskstats", disks},
    {"boot-id", boot},
    {"kernel-version", version},
    {"internet-sockets", internet},
    {0},
};
