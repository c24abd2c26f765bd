/*
 * Runs a command and makes one of its system calls fail, kills a process just before it, has it write fewer bytes than it
 * wants to, or lets it wait until a script has ended, to which $COMMAND is the pid of the command.
 *
 *   inject [--from TEXT] [--log FILE] [--at PROCESS:CALL]
 *          [--errno N | --kill self | --kill command | --less BYTES | --meanwhile SCRIPT]
 *          [--attach PID] [--limit SECONDS] -- COMMAND [ARGUMENT]...
 *
 * It follows the threads and children of the command by ptrace(2) and counts those calls that change something or make
 * a descriptor, for each process by itself: 0 is the command, 1 its first child, and so on in the order of their
 * birth. Processes run beside each other, but each makes its own calls in the same order every time. Counting begins
 * with the first path that contains TEXT. A process that has become another program in other namespaces is the sandbox's
 * own and let go.
 *
 * The file gets a line for each call, "PROCESS CALL NAME DETAIL", and one that begins with "hit" for the one that was
 * hit. The exit status is that of the command, 128 + signal if one ended it, and 124 if it took too long.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
enum { LATE = 124, BROKEN = 125, MOST_TASKS = 4096, MOST_PROCESSES = 1024, DEAD_TRIES = 2000 };

/* What a call is told by, and when it counts. */
enum how {
    ALWAYS,
    OPEN,     /* a path, unless it is a device or a library */
    WRITE,    /* a descriptor of a file, a pipe or a socket */
    CLONE,    /* no thread */
    PATH,     /* the first argument is a path */
    PATH_AT,  /* the second argument is a path */
    FCNTL,    /* a new descriptor, a seal */
    SETTIME,  /* a limit, unless it is only read */
};

static const struct call {
    const char *name;
    long number;
    enum how how;
} CALLS[] = {
#define CALL(name, how) { #name, SYS_##name, how }
#ifdef SYS_open
    { "open", SYS_open, PATH }, CALL(mkdir, PATH), CALL(rmdir, PATH), CALL(unlink, PATH), CALL(rename, PATH),
    CALL(symlink, PATH), CALL(link, PATH), CALL(mknod, PATH), CALL(chmod, PATH), CALL(chown, PATH), CALL(lchown, PATH),
    CALL(dup2, ALWAYS), CALL(fork, ALWAYS), CALL(vfork, ALWAYS), CALL(pipe, ALWAYS), CALL(epoll_create, ALWAYS),
#endif
    CALL(openat, OPEN), CALL(openat2, OPEN), CALL(write, WRITE), CALL(pwrite64, WRITE), CALL(writev, WRITE),
    CALL(mkdirat, PATH_AT), CALL(unlinkat, PATH_AT), CALL(renameat, PATH_AT), CALL(renameat2, PATH_AT),
    CALL(symlinkat, ALWAYS), CALL(linkat, PATH_AT), CALL(mknodat, PATH_AT), CALL(fchmodat, PATH_AT),
    CALL(fchownat, PATH_AT), CALL(fchmod, ALWAYS), CALL(fchown, ALWAYS), CALL(ftruncate, ALWAYS), CALL(fsync, ALWAYS),
    CALL(fdatasync, ALWAYS), CALL(flock, ALWAYS), CALL(fcntl, FCNTL), CALL(dup, ALWAYS), CALL(dup3, ALWAYS),
    CALL(memfd_create, ALWAYS), CALL(pipe2, ALWAYS), CALL(socket, ALWAYS), CALL(socketpair, ALWAYS),
    CALL(connect, ALWAYS), CALL(bind, ALWAYS), CALL(sendmsg, ALWAYS), CALL(sendto, ALWAYS),
    CALL(epoll_create1, ALWAYS), CALL(epoll_ctl, ALWAYS), CALL(eventfd2, ALWAYS), CALL(timerfd_create, ALWAYS),
    CALL(timerfd_settime, ALWAYS), CALL(pidfd_open, ALWAYS), CALL(pidfd_send_signal, ALWAYS),
    CALL(pidfd_getfd, ALWAYS), CALL(kill, ALWAYS), CALL(clone, CLONE), CALL(clone3, CLONE), CALL(execve, PATH),
    CALL(execveat, PATH_AT), CALL(setns, ALWAYS), CALL(unshare, ALWAYS), CALL(mount, PATH_AT), CALL(umount2, PATH),
    CALL(pivot_root, PATH), CALL(chroot, PATH), CALL(chdir, PATH), CALL(fchdir, ALWAYS), CALL(open_tree, PATH_AT),
    CALL(move_mount, PATH_AT), CALL(mount_setattr, PATH_AT), CALL(fsopen, PATH), CALL(fsconfig, ALWAYS),
    CALL(fsmount, ALWAYS), CALL(sethostname, PATH), CALL(setdomainname, PATH), CALL(ioctl, ALWAYS),
    CALL(setsid, ALWAYS), CALL(setuid, ALWAYS), CALL(setgid, ALWAYS), CALL(setresuid, ALWAYS), CALL(setresgid, ALWAYS),
    CALL(setgroups, ALWAYS), CALL(capset, ALWAYS), CALL(prctl, ALWAYS), CALL(keyctl, ALWAYS), CALL(seccomp, ALWAYS),
    CALL(setxattr, PATH), CALL(bpf, ALWAYS), CALL(prlimit64, SETTIME), CALL(sched_setaffinity, ALWAYS), CALL(close_range, ALWAYS),
};

struct task {
    pid_t tid, tgid;
    int process; /* index into processes */
    int failing; /* the errno that the call under way is to end with */
};

static struct task tasks[MOST_TASKS];
static size_t task_count;
static struct { pid_t tgid; int calls; int gone; } processes[MOST_PROCESSES];
static int process_count;

static const char *from;
static int begun, at_process = -1, at_call = -1, give_errno, kill_self, kill_command, was_hit, fewer;
static const char *meanwhile;
static FILE *log_file;
static pid_t command;

static void die(const char *what) {
    fprintf(stderr, "inject: Cannot %s: %s\n", what, strerror(errno));
    exit(BROKEN);
}

static int tgid_of(pid_t tid) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    FILE *file = fopen(path, "re");
    int found = tid;
    while (file && fgets(line, sizeof line, file)) if (sscanf(line, "Tgid: %d", &found) == 1) break;
    if (file) fclose(file);
    return found;
}

static int process_of(pid_t tgid) {
    for (int index = process_count - 1; index >= 0; index--) {
        if (processes[index].tgid == tgid && !processes[index].gone) return index;
    }
    if (process_count == MOST_PROCESSES) { errno = ENOBUFS; die("follow another process"); }
    processes[process_count].tgid = tgid;
    return process_count++;
}

static struct task *task_of(pid_t tid) {
    for (size_t index = 0; index < task_count; index++) if (tasks[index].tid == tid) return &tasks[index];
    if (task_count == MOST_TASKS) { errno = ENOBUFS; die("follow another thread"); }
    struct task *task = &tasks[task_count++];
    pid_t tgid = tgid_of(tid);
    *task = (struct task) { .tid = tid, .tgid = tgid, .process = process_of(tgid) };
    return task;
}

static void forget(pid_t tid) {
    for (size_t index = 0; index < task_count; index++) {
        if (tasks[index].tid != tid) continue;
        if (tasks[index].tgid == tid) processes[tasks[index].process].gone = 1;
        tasks[index] = tasks[--task_count];
        return;
    }
}

static void text_of(pid_t tid, uint64_t address, char *text, size_t size) {
    text[0] = 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", tid);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    if (memory < 0) return;
    ssize_t count = pread(memory, text, size - 1, (off_t) address);
    close(memory);
    text[count > 0 ? count : 0] = 0;
    for (char *each = text; *each; each++) if (*each == '\n' || *each == ' ') *each = '?';
}

static void link_of(pid_t tid, int fd, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, fd);
    ssize_t count = readlink(path, text, size - 1);
    text[count > 0 ? count : 0] = 0;
}

static int begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* Whether a call counts; `detail` says what it is about. */
static int counts(const struct task *task, const struct call *call, const uint64_t *args, char *detail, size_t size) {
    detail[0] = 0;
    switch (call->how) {
    case ALWAYS:
        snprintf(detail, size, "%lld", (long long) args[0]);
        return call->number != SYS_ioctl || task->process != 0; /* terminals and the like */
    case PATH:
        text_of(task->tid, args[0], detail, size);
        break;
    case OPEN:
    case PATH_AT:
        text_of(task->tid, args[1], detail, size);
        break;
    case WRITE:
        link_of(task->tid, (int) args[0], detail, size);
        if (begins(detail, "anon_inode:") || begins(detail, "/dev/")) return 0;
        return task->process != 0 || detail[0] == '/' || args[0] <= 2;
    case CLONE: {
        uint64_t flags = args[0];
        if (call->number == SYS_clone3) {
            char path[64];
            snprintf(path, sizeof path, "/proc/%d/mem", task->tid);
            int memory = open(path, O_RDONLY | O_CLOEXEC);
            if (memory < 0 || pread(memory, &flags, sizeof flags, (off_t) args[0]) != sizeof flags) flags = 0;
            if (memory >= 0) close(memory);
        }
        snprintf(detail, size, "%#llx", (unsigned long long) flags);
        return !(flags & 0x10000); /* CLONE_THREAD */
    }
    case FCNTL:
        snprintf(detail, size, "%lld,%lld", (long long) args[0], (long long) args[1]);
        return args[1] == F_DUPFD || args[1] == F_DUPFD_CLOEXEC || args[1] == F_ADD_SEALS;
    case SETTIME:
        return args[2] != 0;
    }
    if (!begun && from && strstr(detail, from)) begun = 1;
    return 1;
}

static void fail_call(struct task *task) {
#if defined(__x86_64__)
    /* orig_rax, see user_regs_struct */
    if (ptrace(PTRACE_POKEUSER, task->tid, (void *) (15 * 8), (void *) -1L) != 0) die("leave a call out");
#else
    int none = -1;
    struct iovec part = { &none, sizeof none };
    if (ptrace(PTRACE_SETREGSET, task->tid, (void *) 0x404 /* NT_ARM_SYSTEM_CALL */, &part) != 0) die("leave a call out");
#endif
    task->failing = give_errno;
}

/* Takes bytes away from what write(2) and its like are to do. */
static void shorten_call(const struct task *task, uint64_t size) {
#if defined(__x86_64__)
    /* rdx, see user_regs_struct */
    if (ptrace(PTRACE_POKEUSER, task->tid, (void *) (12 * 8), (void *) (size - fewer)) != 0) die("shorten a call");
#else
    uint64_t registers[34];
    struct iovec part = { registers, sizeof registers };
    if (ptrace(PTRACE_GETREGSET, task->tid, (void *) NT_PRSTATUS, &part) != 0) die("read a call");
    registers[2] = size - fewer;
    if (ptrace(PTRACE_SETREGSET, task->tid, (void *) NT_PRSTATUS, &part) != 0) die("shorten a call");
#endif
}

static void run_script(void) {
    char pid[16];
    snprintf(pid, sizeof pid, "%d", command);
    setenv("COMMAND", pid, 1);
    if (system(meanwhile) != 0) die("run the script");
}

static void end_call(struct task *task) {
    long result = -task->failing;
    task->failing = 0;
#if defined(__x86_64__)
    if (ptrace(PTRACE_POKEUSER, task->tid, (void *) (10 * 8), (void *) result) != 0) die("set the result of a call");
#else
    uint64_t registers[34];
    struct iovec part = { registers, sizeof registers };
    if (ptrace(PTRACE_GETREGSET, task->tid, (void *) NT_PRSTATUS, &part) != 0) die("read the result of a call");
    registers[0] = (uint64_t) result;
    if (ptrace(PTRACE_SETREGSET, task->tid, (void *) NT_PRSTATUS, &part) != 0) die("set the result of a call");
#endif
}

/* Kills the command; whoever called goes on only when it is dead, if it is another process. */
static void end_command(int wait) {
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", command);
    kill(command, SIGKILL);
    for (int tries = 0; wait && tries < DEAD_TRIES && state != 'Z'; tries++) {
        FILE *file = fopen(path, "re");
        if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
        if (file) fclose(file);
        if (state != 'Z') usleep(1000);
    }
}

static void at_entry(struct task *task, const struct __ptrace_syscall_info *info) {
    const struct call *call = NULL;
    for (size_t index = 0; index < COUNT(CALLS); index++) {
        if (CALLS[index].number == (long) info->entry.nr) { call = &CALLS[index]; break; }
    }
    char detail[256];
    if (!call || !counts(task, call, (const uint64_t *) info->entry.args, detail, sizeof detail)) return;
    if (from && !begun) return;
    int number = ++processes[task->process].calls;
    int hit = task->process == at_process && number == at_call;
    if (log_file) fprintf(log_file, "%s%d %d %s %s\n", hit ? "hit " : "", task->process, number, call->name, detail);
    if (!hit) return;
    was_hit = 1;
    if (kill_self) kill(task->tgid, SIGKILL);
    else if (kill_command) end_command(task->process != 0);
    else if (give_errno) fail_call(task);
    else if (fewer) shorten_call(task, info->entry.args[2]);
    else if (meanwhile) run_script();
}

/* Whether a process is in another mount namespace than this one. */
static int is_inside(pid_t tid) {
    char ours[64], theirs[64], path[64];
    ssize_t count = readlink("/proc/self/ns/mnt", ours, sizeof ours - 1);
    ours[count > 0 ? count : 0] = 0;
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", tid);
    count = readlink(path, theirs, sizeof theirs - 1);
    theirs[count > 0 ? count : 0] = 0;
    return count > 0 && strcmp(ours, theirs) != 0;
}

static void go_on(pid_t tid, int signal) {
    if (ptrace(PTRACE_SYSCALL, tid, NULL, (void *) (long) signal) != 0 && errno != ESRCH) die("let a thread go on");
}

static void stopped(pid_t tid, int status) {
    struct task *task = task_of(tid);
    int signal = WSTOPSIG(status), event = status >> 16;
    if (signal == (SIGTRAP | 0x80)) {
        struct __ptrace_syscall_info info;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) > 0) {
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY) at_entry(task, &info);
            else if (info.op == PTRACE_SYSCALL_INFO_EXIT && task->failing) end_call(task);
        }
        return go_on(tid, 0);
    }
    if (event == PTRACE_EVENT_EXEC) {
        /* The thread that called has taken the number of its process; its own is gone. */
        unsigned long before = 0;
        ptrace(PTRACE_GETEVENTMSG, tid, NULL, &before);
        if (before && (pid_t) before != tid) forget((pid_t) before);
        if (is_inside(tid)) {
            ptrace(PTRACE_DETACH, tid, NULL, NULL);
            return forget(tid);
        }
        return go_on(tid, 0);
    }
    if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
        /* Its own first stop may come later than that of a younger one. */
        unsigned long born = 0;
        ptrace(PTRACE_GETEVENTMSG, tid, NULL, &born);
        if (born && kill((pid_t) born, 0) == 0) task_of((pid_t) born);
        return go_on(tid, 0);
    }
    if (event == PTRACE_EVENT_STOP) {
        if (signal == SIGTRAP) return go_on(tid, 0);
        ptrace(PTRACE_LISTEN, tid, NULL, NULL);
        return;
    }
    go_on(tid, event ? 0 : signal);
}

static void follow(pid_t pid) {
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
        PTRACE_O_TRACEEXEC;
    if (ptrace(PTRACE_SEIZE, pid, NULL, (void *) options) != 0) die("follow a process");
}

static pid_t begin(char **argv) {
    int gate[2];
    if (pipe2(gate, O_CLOEXEC) != 0) die("make a pipe");
    pid_t pid = fork();
    if (pid < 0) die("start a process");
    if (pid == 0) {
        char byte;
        close(gate[1]);
        if (read(gate[0], &byte, 1) != 1) _exit(BROKEN);
        execvp(argv[0], argv);
        _exit(127);
    }
    follow(pid);
    task_of(pid);
    if (write(gate[1], "", 1) != 1) die("let the command begin");
    close(gate[0]);
    close(gate[1]);
    return pid;
}

static int is_failing(void) {
    for (size_t index = 0; index < task_count; index++) if (tasks[index].failing) return 1;
    return 0;
}

static volatile sig_atomic_t late;
static void on_alarm(int signal) { (void) signal; late = 1; }

int main(int argc, char **argv) {
    pid_t attach = 0;
    int limit = 60, index = 1;
    for (; index < argc && strcmp(argv[index], "--") != 0; index += 2) {
        const char *flag = argv[index], *value = index + 1 < argc ? argv[index + 1] : NULL;
        if (!value) { fprintf(stderr, "inject: %s takes a value\n", flag); return BROKEN; }
        if (!strcmp(flag, "--from")) from = value;
        else if (!strcmp(flag, "--log")) log_file = fopen(value, "we");
        else if (!strcmp(flag, "--at")) sscanf(value, "%d:%d", &at_process, &at_call);
        else if (!strcmp(flag, "--errno")) give_errno = atoi(value);
        else if (!strcmp(flag, "--kill")) *(strcmp(value, "self") ? &kill_command : &kill_self) = 1;
        else if (!strcmp(flag, "--less")) fewer = atoi(value);
        else if (!strcmp(flag, "--meanwhile")) meanwhile = value;
        else if (!strcmp(flag, "--attach")) attach = atoi(value);
        else if (!strcmp(flag, "--limit")) limit = atoi(value);
        else { fprintf(stderr, "inject: there is no %s\n", flag); return BROKEN; }
    }
    if (index + 1 >= argc) { fprintf(stderr, "inject: name a command after --\n"); return BROKEN; }
    struct sigaction action = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &action, NULL);
    command = begin(argv + index + 1);
    if (attach) {
        follow(attach);
        task_of(attach);
        ptrace(PTRACE_INTERRUPT, attach, NULL, NULL);
    }
    alarm(limit);
    int code = BROKEN, ended = 0;
    while (!ended || is_failing()) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR) {
            if (ended) break;
            if (late) kill(command, SIGKILL);
            continue;
        }
        if (tid < 0) break;
        if (WIFSTOPPED(status)) {
            stopped(tid, status);
            continue;
        }
        if (tid == command) {
            code = late ? LATE : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
            ended = 1;
        }
        forget(tid);
    }
    /* Whoever is still followed goes on by itself when this process ends. */
    if (log_file) fclose(log_file);
    return code;
}
