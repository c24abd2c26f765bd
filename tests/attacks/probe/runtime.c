// The program that built the sandbox: to write to it, to trace it, to take what it holds.
#include "probe.h"
#include <sys/ptrace.h>

static bool is_own(int pid) {
  char path[64];
  struct stat mine, theirs;
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  return stat("/proc/self/exe", &mine) == 0 && stat(path, &theirs) == 0 && mine.st_ino == theirs.st_ino;
}

// Programs that run at the moment, of whomever but ourselves: CVE-2019-5736.
static bool is_writable(int pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  return !is_own(pid) && (open(path, O_WRONLY | O_CLOEXEC) >= 0 || errno == ETXTBSY);
}
static void programs(void) {
  if (each_process(is_writable)) effect("another program can be written to");
  shut("none but our own");
}

static bool is_traceable(int pid) { return !is_own(pid) && ptrace(PTRACE_SEIZE, pid, 0, 0) == 0; }
static void trace_others(void) {
  if (each_process(is_traceable)) effect("another process was traced");
  shut("none but our own");
}

// The image that the sandbox was started from is a file in memory.
static bool is_in_memory(int pid) {
  char path[64], text[64] = "";
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  return readlink(path, text, sizeof text - 1) > 0 && strncmp(text, "/memfd:", 7) == 0;
}
static void image(void) {
  if (each_process(is_in_memory)) effect("an image is in sight");
  shut("none in sight");
}

static void parent(void) {
  for (int up = getppid(), step = 0; up > 0 && step < 64; step++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", up);
    char *text = contents(path), *after = text ? strrchr(text, ')') : NULL;
    if (!is_own(up)) effect("a process above is in sight");
    if (!after || sscanf(after + 4, "%d", &up) != 1) break;
  }
  shut("nobody above");
}

const struct probe RUNTIME[] = {
    {"write-to-programs", programs},
    {"trace-others", trace_others},
    {"image-in-sight", image},
    {"parents", parent},
    {0},
};
