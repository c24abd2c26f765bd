import { O, O_DIRECTORY } from "./abi.ts";
import type { Context } from "./context.ts";
import { deathSignal, setCapabilities } from "./identity.ts";
import {
  AT_FDCWD,
  CLONE,
  CLOSE_RANGE_CLOEXEC,
  LANDLOCK_ACCESS_FS,
  LANDLOCK_RULE,
  PR,
  SIGKILL,
} from "./kernel.ts";
import { awaitEither } from "./launcher.ts";
import { landlock } from "./landlock.ts";
import { rlimits, scheduling } from "./limits.ts";
import { sendDescriptor } from "./message.ts";
import { flags, mark, named, type Op, op, slot, type Struct, zeros } from "./op.ts";
import {
  closeDescriptors,
  enterDirectory,
  execute,
  findProgram,
  leaveKeys,
  noNewPrivileges,
  resetSignals,
  seccomp,
  setUmask,
  startGate,
} from "./process.ts";
import { MESSAGE, STATUS_FD } from "./protocol.ts";

/**
 * The launcher of a program that stays in the host's namespaces. What ends such a program's processes, when there is
 * no pid namespace that would, are signals that do not leave a Landlock domain: the launcher enters one first, so that
 * whatever comes after it can be reached by kill(-1) and nothing else can. The program enters a second domain within,
 * from which the launcher cannot be reached.
 */
export function* bareLauncher(context: Context): Iterable<Op> {
  yield op("name the process", "prctl", [named("PR_SET_NAME", 15), "ai-sandbox", 0, 0, 0]);
  const all = named("~0", 0xffffffff);
  yield op("close at execve what was inherited", "close_range", [3, all, CLOSE_RANGE_CLOEXEC]);
  // A key that ends the command must not end who ends the program.
  yield op("leave the caller's session", "setsid", []);
  yield* resetSignals();
  const subreaper = named("PR_SET_CHILD_SUBREAPER", PR.SET_CHILD_SUBREAPER);
  yield op("inherit what the program leaves behind", "prctl", [subreaper, 1, 0, 0, 0]);
  yield noNewPrivileges();
  yield* landlock({
    ...context,
    landlock: { abi: context.landlock!.abi, handled: [], rules: [], scoped: ["signals"] },
  });
  yield* mustBeKept();
  const parts = flags("CLONE_", { PIDFD: CLONE.PIDFD });
  const how = named(`${parts.named}|SIGCHLD`, CLONE.PIDFD + SIGCHLD);
  // Not clone3, which the filters of some containers forbid because they cannot look into its arguments.
  yield op("start init", "clone", [how, 0, { address: "init:pidfd" }, 0, 0], {
    into: "init:pid",
    zero: "init",
    positive: "born",
  });
  yield* keep();
}

const SIGCHLD = 17;
const EVERYBODY = -1;

/** kill(-1) would end all of the caller's processes if the kernel did not keep it inside: asks before relying on it. */
function* mustBeKept(): Iterable<Op> {
  const does = "make sure that signals stay inside";
  yield op(does, "getppid", [], { into: "supervisor" });
  yield op(does, "kill", [slot("supervisor"), 0], { failed: "kept" });
  yield op(does, "chdir", [""]);
  yield mark("kept");
}

/** Waits for the end of init or of the supervisor, ends what is left, and then ends as init did. */
function* keep(): Iterable<Op> {
  const none = named("PR_SET_DUMPABLE", PR.SET_DUMPABLE);
  yield op("forbid tracing, and a second core dump", "prctl", [none, 0, 0, 0, 0], { label: "born" });
  // By descriptor: it is not the supervisor's child, and may have ended before the supervisor looks for it.
  yield {
    ...sendDescriptor(
      "report init, which the launcher waits for",
      MESSAGE.kept,
      slot("init:pid"),
      "init:pidfd",
    ),
    failed: "unguarded",
  };
  for (const fd of [STATUS_FD, 0, 1, 2]) {
    yield op("leave the streams to the program", "close", [fd], { ignore: ["EBADF"] });
  }
  yield* awaitEither();
  const end = op("end everything inside", "kill", [EVERYBODY, SIGKILL], { ignore: ["ESRCH"] });
  const info = zeros(128, "siginfo");
  const how = named("WEXITED|__WALL", 0x40000004);
  yield { ...end, label: "unguarded" };
  yield op("wait for init", "waitid", [named("P_PID", 1), slot("init:pid"), info, how, 0]);
  yield { ...end, label: "sweep" };
  yield op("wait for the rest", "waitid", [named("P_ALL", 0), 0, 0, how, 0], {
    zero: "sweep",
    failed: "swept",
  });
  yield op("read its status", "load", [{ inside: info, offset: 24 }, 0], {
    into: "init:status",
    label: "swept",
  });
  yield op("read its end", "load", [{ inside: info, offset: 8 }, 0], { into: "init:end" });
  yield op("tell exit from signal", "let", [slot("init:end"), -1, 1], { zero: "exited" });
  yield op("end by the same signal", "getpid", [], { into: "launcher:pid" });
  yield op("end by the same signal", "kill", [slot("launcher:pid"), slot("init:status")]);
  yield op("end", "exit_group", [slot("init:status")], { label: "exited" });
}

/** What becomes the program: as the caller, with nothing but what the rules and the filter leave. */
export function* bareInit(all: Context): Iterable<Op> {
  yield { ...deathSignal(), label: "init" };
  yield op("leave the launcher's session", "setsid", []);
  yield leaveKeys();
  yield* rlimits(all);
  yield* scheduling(all);
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[all.arch], CLOEXEC: O.CLOEXEC });
  yield op("open the root", "openat", [AT_FDCWD, "/", how, 0], { into: "root" });
  yield* landlock(all, allowOutput(all));
  yield* closeDescriptors(all);
  yield* enterDirectory(all);
  yield* setCapabilities(all);
  yield noNewPrivileges();
  yield setUmask(all);
  yield* findProgram(all);
  yield* startGate();
  if (all.filter) yield* seccomp(all.filter);
  yield execute(all);
}

/** /dev/stdout and /dev/stderr are to work where they are files; pipes and sockets are under no rule. */
function* allowOutput({ arch }: Context): Iterable<Op> {
  const does = "let the program write to its own output by name";
  const directory = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  for (const fd of [1, 2]) {
    const [rule, next] = [`output:${fd}`, `output:${fd}:done`];
    // A rule for a directory would be one for all below it.
    const path = `/proc/self/fd/${fd}`;
    yield op(does, "openat", [AT_FDCWD, path, directory, 0], { zero: next, positive: next, failed: rule });
    const attr: Struct = {
      struct: "landlock_path_beneath_attr",
      members: [
        ["allowed_access", 8, flags("LANDLOCK_ACCESS_FS_", { WRITE_FILE: LANDLOCK_ACCESS_FS.WRITE_FILE })],
        ["parent_fd", 8, fd],
      ],
    };
    const kind = named("LANDLOCK_RULE_PATH_BENEATH", LANDLOCK_RULE.PATH_BENEATH);
    yield op(does, "landlock_add_rule", [slot("landlock"), kind, attr, 0], {
      label: rule,
      ignore: ["EBADF", "EBADFD"],
    });
    yield mark(next);
  }
}
