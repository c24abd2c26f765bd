// watch FILE: says "opened" when somebody opens it, until its stdin ends.
#include "probe.h"
#include <sys/inotify.h>

int watch(const char *path) {
  int events = inotify_init1(IN_NONBLOCK);
  if (events < 0 || inotify_add_watch(events, path, IN_OPEN | IN_ACCESS) < 0) return 1;
  printf("ready\n");
  fflush(stdout);
  for (char byte; read(STDIN_FILENO, &byte, 1) > 0;) {}
  char buffer[4096];
  if (read(events, buffer, sizeof buffer) > 0) printf("opened\n");
  return 0;
}
