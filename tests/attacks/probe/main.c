// probe NAME…: runs probes, each in a process of its own, and prints two lines for each: "> NAME", then
// "NAME open WHAT", "NAME closed WHY", or "NAME broken HOW" if it did not say.
#include "probe.h"
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

static const struct probe *const TABLES[] = {CALLS, NAMESPACES, SOCKETS, KERNEL_FILES, FILES,
                                             USERS, NEIGHBOURS, LEAKS, RUNTIME};
static const unsigned LIMIT_S = 5;
static const char *running;

static _Noreturn void say(const char *verdict, const char *format, va_list arguments) {
  char text[300], line[400];
  vsnprintf(text, sizeof text, format, arguments);
  for (char *at = text; *at; at++)
    if (*at == '\n') *at = ' ';
  int length = snprintf(line, sizeof line, "%s %s %s\n", running, verdict, text);
  if (write(STDOUT_FILENO, line, (size_t)length) != length) _exit(2);
  _exit(0);
}

void effect(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say("open", format, arguments);
}

void shut(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say("closed", format, arguments);
}

void refused(void) { shut("%s", strerrorname_np(errno)); }

void judge(long result, const int *reached) {
  if (result >= 0) effect("done");
  for (; reached && *reached; reached++)
    if (errno == *reached) effect("the kernel looked at the arguments: %s", strerrorname_np(errno));
  refused();
}

const char *setting(const char *name) {
  const char *value = getenv(name);
  if (value) return value;
  fprintf(stderr, "%s is not set\n", name);
  exit(3);
}

char *contents(const char *path) {
  static char buffer[65536];
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return NULL;
  size_t length = 0;
  ssize_t more;
  while (length < sizeof buffer - 1 && (more = read(fd, buffer + length, sizeof buffer - 1 - length)) > 0)
    length += (size_t)more;
  int failed = errno;
  close(fd);
  errno = failed;
  if (length == 0 && more < 0) return NULL;
  buffer[length] = 0;
  return buffer;
}

void judge_open(const char *path, int flags) {
  int fd = open(path, flags | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) refused();
  struct stat now;
  // What masks a file.
  if (fstat(fd, &now) == 0 && S_ISCHR(now.st_mode) && now.st_rdev == 0x103) shut("masked");
  effect("opened %s", path);
}

bool each_process(bool (*visit)(int pid)) {
  DIR *proc = opendir("/proc");
  if (!proc) return false;
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(proc));) {
    int pid = atoi(entry->d_name);
    if (pid > 0) found = visit(pid);
  }
  closedir(proc);
  return found;
}

static const struct probe *find(const char *name) {
  for (size_t table = 0; table < sizeof TABLES / sizeof *TABLES; table++)
    for (const struct probe *one = TABLES[table]; one->name; one++)
      if (strcmp(one->name, name) == 0) return one;
  return NULL;
}

static void attempt(const char *name) {
  printf("> %s\n", name);
  fflush(stdout);
  const struct probe *probe = find(name);
  if (!probe) {
    printf("%s broken there is no such probe\n", name);
    return;
  }
  pid_t child = fork();
  if (child < 0) {
    printf("%s broken fork: %s\n", name, strerrorname_np(errno));
    return;
  }
  if (child == 0) {
    running = name;
    // What it leaves behind goes with it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(LIMIT_S);
    if (getenv("CONTROL")) unshare(CLONE_NEWNS); // what one mounts is not the next one's
    probe->run();
    _exit(4);
  }
  int status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (WIFSIGNALED(status)) {
    // A filter's signal is an answer; any other is a defect of the probe.
    const char *signal = sigabbrev_np(WTERMSIG(status));
    printf("%s %s SIG%s\n", name, WTERMSIG(status) == SIGSYS ? "closed" : "broken", signal ? signal : "?");
  } else if (WEXITSTATUS(status) != 0) {
    printf("%s broken status %d\n", name, WEXITSTATUS(status));
  }
  fflush(stdout);
}

int main(int count, char **words) {
  if (count > 1 && strcmp(words[1], "victim") == 0) return victim(words);
  if (count > 2 && strcmp(words[1], "watch") == 0) return watch(words[2]);
  if (count > 1 && strcmp(words[1], "euid") == 0) return printf("%d", (int)geteuid()) < 0;
  if (count > 1 && strcmp(words[1], "pulse") == 0) return pulse();
  if (count > 2 && strcmp(words[1], "exhaust") == 0) return exhaust(words[2]);
  for (int word = 1; word < count; word++) attempt(words[word]);
  return 0;
}
