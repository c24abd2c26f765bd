// A process that wants to be left alone, and what others may do to it. Its names are made of NONCE; VICTIMS lists the
// pids of those that there are.
#include "probe.h"
#include <arpa/inet.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <sys/un.h>

static const char *name(const char *prefix) {
  static char text[100];
  snprintf(text, sizeof text, "%sattack-%s", prefix, setting("NONCE"));
  return text;
}
static key_t key(void) { return (key_t)(0x41000000 | (strtoul(setting("NONCE"), NULL, 16) & 0xffffff)); }

static socklen_t abstract(struct sockaddr_un *address) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  const char *text = name("");
  memcpy(address->sun_path + 1, text, strlen(text));
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(text));
}

static struct sockaddr_un at_path(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", setting("OUTSIDE"));
  return address;
}

static struct sockaddr_in port(void) {
  return (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_port = htons((unsigned short)atoi(setting("PORT"))),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void listen_at(int family, const void *address, socklen_t size) {
  int fd = socket(family, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (bind(fd, address, size) < 0 || listen(fd, 100) < 0) perror("victim: listen");
}

// A program that runs from a file in memory, as the runtime's images do.
static void move_into_memory(char **words) {
  if (getenv("IN_MEMORY")) return;
  setenv("IN_MEMORY", "1", 1);
  static char block[1 << 16];
  int from = open("/proc/self/exe", O_RDONLY), to = memfd_create("victim", MFD_CLOEXEC);
  for (ssize_t length; (length = read(from, block, sizeof block)) > 0;)
    if (write(to, block, (size_t)length) != length) return;
  fexecve(to, words, environ);
}

int victim(char **words) {
  if (getenv("CONTROL")) move_into_memory(words);
  prctl(PR_SET_NAME, "victim");
  struct sockaddr_un hidden;
  listen_at(AF_UNIX, &hidden, abstract(&hidden));
  struct sockaddr_un path = at_path();
  unlink(path.sun_path);
  if (access(setting("OUTSIDE"), W_OK) == 0) listen_at(AF_UNIX, &path, sizeof path);
  struct sockaddr_in internet = port();
  listen_at(AF_INET, &internet, sizeof internet);
  int memory = shmget(key(), 4096, IPC_CREAT | 0666);
  int queue = msgget(key(), IPC_CREAT | 0666);
  int semaphore = semget(key(), 1, IPC_CREAT | 0666);
  int file = shm_open(name("/"), O_CREAT | O_RDWR, 0666);
  flock(file, LOCK_EX);
  mq_open(name("/"), O_CREAT | O_RDWR, 0666, NULL);
  // A sandbox is ended for that.
  long secret = getenv("WITHOUT_KEYS") ? 0 : syscall(SYS_add_key, "user", name(""), "secret", 6, KEY_SPEC_USER_KEYRING);
  if (secret > 0) syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, secret, 60);
  printf("ready %d\n", getpid());
  fflush(stdout);
  // The end of stdin is the end.
  for (char byte; read(STDIN_FILENO, &byte, 1) > 0;) {}
  shmctl(memory, IPC_RMID, NULL);
  msgctl(queue, IPC_RMID, NULL);
  semctl(semaphore, 0, IPC_RMID);
  shm_unlink(name("/"));
  mq_unlink(name("/"));
  unlink(path.sun_path);
  if (secret > 0) syscall(SYS_keyctl, KEYCTL_INVALIDATE, secret);
  return 0;
}

// Open as soon as one victim can be had.
static _Noreturn void judge_each(long (*attack)(int pid), const int *reached) {
  int failed = ESRCH;
  char *rest = NULL, *list = strdup(setting("VICTIMS"));
  for (char *word = strtok_r(list, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
    if (attack(atoi(word)) >= 0) effect("done to %s", word);
    for (const int *one = reached; one && *one; one++)
      if (errno == *one) effect("the kernel looked at %s: %s", word, strerrorname_np(errno));
    failed = errno;
  }
  errno = failed;
  refused();
}

static long open_of(int pid, const char *file, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  return open(path, flags | O_CLOEXEC);
}

#define ATTACK(what, call, ...)                                                                                       \
  static long do_##what(int pid) { return call; }                                                                     \
  static void what(void) { judge_each(do_##what, REACHED(__VA_ARGS__ 0)); }
ATTACK(send_signal, kill(pid, 0))
ATTACK(queue_signal, sigqueue(pid, 0, (union sigval){0}))
ATTACK(thread_signal, syscall(SYS_tkill, pid, 0))
ATTACK(descriptor_of, syscall(SYS_pidfd_open, pid, 0))
ATTACK(trace, ptrace(PTRACE_SEIZE, pid, 0, 0))
ATTACK(memory_file, open_of(pid, "mem", O_RDWR))
ATTACK(root_of, open_of(pid, "root", O_RDONLY | O_DIRECTORY))
ATTACK(cwd_of, open_of(pid, "cwd", O_RDONLY | O_DIRECTORY))
ATTACK(descriptors_of, open_of(pid, "fd/0", O_RDONLY))
ATTACK(environment_of, open_of(pid, "environ", O_RDONLY))
ATTACK(program_of, open_of(pid, "exe", O_RDONLY))
ATTACK(overwrite, open_of(pid, "exe", O_WRONLY), ETXTBSY, )
ATTACK(oom_of, open_of(pid, "oom_score_adj", O_WRONLY))
ATTACK(namespace_of, open_of(pid, "ns/net", O_RDONLY))
ATTACK(renice, setpriority(PRIO_PROCESS, (id_t)pid, 0))
ATTACK(session_of, getsid(pid))

static long do_affinity(int pid) {
  cpu_set_t all;
  if (sched_getaffinity(pid, sizeof all, &all) < 0) return -1;
  return sched_setaffinity(pid, sizeof all, &all);
}
static void affinity(void) { judge_each(do_affinity, NULL); }

static long do_limits(int pid) {
  struct rlimit now;
  return prlimit((pid_t)pid, RLIMIT_NOFILE, NULL, &now);
}
static void limits(void) { judge_each(do_limits, NULL); }

static bool is_victim(int pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/comm", pid);
  char *text = contents(path);
  return text && strcmp(text, "victim\n") == 0;
}
static void process_list(void) {
  if (each_process(is_victim)) effect("it is listed");
  shut("not listed");
}

static void file_locks(void) {
  char *text = contents("/proc/locks");
  if (!text) refused();
  if (*text) effect("locks of others are listed");
  shut("empty");
}

static void connect_to(int family, const void *address, socklen_t size) {
  int fd = socket(family, SOCK_STREAM, 0);
  if (fd < 0) refused();
  judge(connect(fd, address, size), NULL);
}
static void abstract_socket(void) {
  struct sockaddr_un address;
  socklen_t size = abstract(&address);
  connect_to(AF_UNIX, &address, size);
}
static void socket_file(void) {
  struct sockaddr_un address = at_path();
  connect_to(AF_UNIX, &address, sizeof address);
}
static void loopback(void) {
  struct sockaddr_in address = port();
  connect_to(AF_INET, &address, sizeof address);
}

static void memory_segment(void) { judge(shmget(key(), 0, 0), NULL); }
static void message_queue(void) { judge(msgget(key(), 0), NULL); }
static void semaphores(void) { judge(semget(key(), 0, 0), NULL); }
static void memory_object(void) { judge(shm_open(name("/"), O_RDWR, 0), NULL); }
static void posix_queue(void) { judge(mq_open(name("/"), O_RDWR), NULL); }
static void their_key(void) {
  judge(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", name(""), 0), NULL);
}

const struct probe NEIGHBOURS[] = {
    {"signal", send_signal},
    {"queue-signal", queue_signal},
    {"thread-signal", thread_signal},
    {"pidfd", descriptor_of},
    {"trace-neighbour", trace},
    {"memory-of-neighbour", memory_file},
    {"root-of-neighbour", root_of},
    {"cwd-of-neighbour", cwd_of},
    {"descriptors-of-neighbour", descriptors_of},
    {"environment-of-neighbour", environment_of},
    {"program-of-neighbour", program_of},
    {"overwrite-program", overwrite},
    {"oom-score-of-neighbour", oom_of},
    {"namespace-of-neighbour", namespace_of},
    {"renice-neighbour", renice},
    {"affinity-of-neighbour", affinity},
    {"limits-of-neighbour", limits},
    {"session-of-neighbour", session_of},
    {"process-list", process_list},
    {"file-locks", file_locks},
    {"abstract-socket", abstract_socket},
    {"socket-file", socket_file},
    {"loopback", loopback},
    {"sysv-memory", memory_segment},
    {"sysv-queue", message_queue},
    {"sysv-semaphores", semaphores},
    {"posix-memory", memory_object},
    {"posix-queue", posix_queue},
    {"key-of-neighbour", their_key},
    {0},
};
