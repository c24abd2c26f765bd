// exhaust WHAT: takes all of it that can be had and keeps it. pulse: takes a little of everything, over and over.
#include "probe.h"
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

static const char *scratch_file;

static long take_process(void) {
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  return child;
}
static long take_inotify(void) { return inotify_init1(IN_CLOEXEC); }
static long take_pipe(void) {
  int ends[2];
  if (pipe(ends) < 0) return -1;
  // Beyond the user's share the kernel refuses to make one larger.
  return fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
}
static long take_timer(void) {
  timer_t timer;
  return timer_create(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1}, &timer);
}
static long take_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  return sigqueue(getpid(), SIGRTMIN, (union sigval){0});
}
static long take_queue(void) {
  static int count;
  char name[64];
  snprintf(name, sizeof name, "/exhaust-%d-%d", getpid(), count++);
  mqd_t queue = mq_open(name, O_CREAT | O_RDWR, 0600, &(struct mq_attr){.mq_maxmsg = 10, .mq_msgsize = 8192});
  if (queue >= 0) mq_unlink(name); // it counts as long as it is open
  return queue;
}
static long take_memory(void) {
  static int file = -1;
  static char block[1 << 20];
  if (file < 0) file = memfd_create("hog", 0);
  memset(block, 1, sizeof block);
  return write(file, block, sizeof block);
}
static long take_disk(void) {
  static int file = -1;
  static char block[1 << 16];
  if (file < 0) file = open(scratch_file, O_CREAT | O_WRONLY, 0600);
  if (file < 0) return -1;
  return write(file, block, sizeof block);
}
static long take_output(void) {
  static char block[1 << 16];
  return write(STDOUT_FILENO, block, sizeof block);
}
static long take_errors(void) {
  static char block[1 << 16];
  return write(STDERR_FILENO, block, sizeof block);
}

// How much is taken at most: enough to show the effect, too little to hurt the machine where nothing defends it.
static const struct {
  const char *name;
  long (*take)(void);
  long most;
} KINDS[] = {
    {"processes", take_process, 150}, {"inotify", take_inotify, 300}, {"pipes", take_pipe, 200},
    {"timers", take_timer, 3000},     {"signals", take_signal, 3000}, {"queues", take_queue, 100},
    {"memory", take_memory, 96},      {"disk", take_disk, 5000},      {"output", take_output, 1024},
    {"errors", take_errors, 1024},
};

int exhaust(const char *what) {
  scratch_file = getenv("SCRATCH") ? getenv("SCRATCH") : "/tmp/exhaust";
  // If anybody has to go, then this one.
  int first = open("/proc/self/oom_score_adj", O_WRONLY);
  if (first < 0 || write(first, "1000", 4) != 4) return 4;
  // Descriptors are not what is to run out.
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  for (size_t kind = 0; kind < sizeof KINDS / sizeof *KINDS; kind++) {
    if (strcmp(KINDS[kind].name, what) != 0) continue;
    long taken = 0;
    while (taken < KINDS[kind].most && KINDS[kind].take() >= 0) taken++;
    fprintf(stderr, "full %ld%s\n", taken, taken < KINDS[kind].most ? "" : " of all that it wants");
    for (;;) pause();
  }
  return 3;
}

static long pulse_process(void) {
  pid_t child = fork();
  if (child == 0) _exit(0);
  if (child > 0) waitpid(child, NULL, 0);
  return child;
}
static long pulse_memory(void) {
  size_t size = 8 << 20;
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return -1;
  return munmap(memory, size);
}
static long pulse_disk(void) {
  char block[1 << 16] = "";
  int fd = open(scratch_file, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  if (fd < 0) return -1;
  long written = write(fd, block, sizeof block);
  close(fd);
  return written == sizeof block ? 0 : -1;
}
static long pulse_timer(void) {
  timer_t timer;
  long result = timer_create(CLOCK_MONOTONIC, NULL, &timer);
  return result < 0 ? result : timer_delete(timer);
}
static long closing(long fd) {
  if (fd >= 0) close((int)fd);
  return fd;
}
static long pulse_inotify(void) { return closing(take_inotify()); }
static long pulse_queue(void) { return closing(take_queue()); }
static long pulse_pipe(void) {
  int ends[2];
  if (pipe(ends) < 0) return -1;
  long result = fcntl(ends[1], F_SETPIPE_SZ, 1 << 17);
  close(ends[0]);
  close(ends[1]);
  return result;
}

int pulse(void) {
  scratch_file = getenv("SCRATCH") ? getenv("SCRATCH") : "/tmp/pulse";
  static const struct {
    const char *name;
    long (*beat)(void);
  } BEATS[] = {{"processes", pulse_process}, {"memory", pulse_memory}, {"disk", pulse_disk},
               {"timers", pulse_timer},      {"inotify", pulse_inotify}, {"queues", pulse_queue},
               {"pipes", pulse_pipe}};
  const char *without = getenv("WITHOUT") ? getenv("WITHOUT") : "";
  // One round for each line of stdin.
  for (char byte; read(STDIN_FILENO, &byte, 1) > 0;) {
    char failed[200] = "";
    for (size_t beat = 0; beat < sizeof BEATS / sizeof *BEATS; beat++) {
      if (strstr(without, BEATS[beat].name) || BEATS[beat].beat() >= 0) continue;
      snprintf(failed + strlen(failed), sizeof failed - strlen(failed), " %s:%s", BEATS[beat].name,
               strerrorname_np(errno));
    }
    printf("beat%s\n", failed);
    fflush(stdout);
  }
  return 0;
}
