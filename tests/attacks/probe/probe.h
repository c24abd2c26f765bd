// What the probes share. Each attempts one attack and says what came of it; none returns in silence.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct probe {
  const char *name;
  void (*run)(void);
};

// Every table ends with an empty entry.
extern const struct probe CALLS[], NAMESPACES[], SOCKETS[], KERNEL_FILES[], FILES[], USERS[], NEIGHBOURS[], LEAKS[],
    RUNTIME[];

// Says that the attack had its effect, and ends the probe.
_Noreturn void effect(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Says why it had none.
_Noreturn void shut(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Says that it had none, by the errno that is set.
_Noreturn void refused(void);
// Open if `result` is none of an error, or if the errno is one that the kernel gives only behind its permission check.
_Noreturn void judge(long result, const int *reached);
#define REACHED(...) ((const int[]){__VA_ARGS__, 0})

// Environment that the tests set.
const char *setting(const char *name);
// The whole of a small file, or NULL with errno; the buffer is used again.
char *contents(const char *path);
// Judges opening a path; nothing is read or written.
_Noreturn void judge_open(const char *path, int flags);
// Calls `visit` for each process that /proc shows; stops when it says so.
bool each_process(bool (*visit)(int pid));

int victim(char **words);
int exhaust(const char *what);
int pulse(void);
int watch(const char *path);
