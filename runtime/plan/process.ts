import { type Arch, O, O_DIRECTORY } from "./abi.ts";
import type { Context, Filter } from "./context.ts";
import type { GateSignals } from "./gate_signals.ts";
import { GIVEN_ARGS, GIVEN_PATH, givenCandidate, IS_GIVEN_PATH } from "./given.ts";
import { AT, AT_FDCWD, PR } from "./kernel.ts";
import { message, sendDescriptor } from "./message.ts";
import { type Arg, flags, mark, named, type Op, op, slot, type Struct, zeros } from "./op.ts";
import { firstPreserved } from "./preserved.ts";
import { FIRST_FREE_FD, GATE_FD, MESSAGE } from "./protocol.ts";

/** What execvp(3) searches when the environment names no PATH. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** How many signals there are. */
const SIGNALS = 64;

/**
 * Gives the signals their default meaning and blocks none. Callers leave some ignored: nohup SIGHUP, a shell SIGINT of what
 * it runs in the background, Deno SIGPIPE, Python SIGXFSZ, glibc's posix_spawn its own two.
 */
export function* resetSignals(): Iterable<Op> {
  const does = "stop ignoring signals";
  yield op(does, "let", [SIGNALS], { into: "signal" });
  yield op(does, "rt_sigaction", [slot("signal"), zeros(32, "SIG_DFL"), 0, 8], {
    label: "signals:next",
    ignore: ["EINVAL"], // SIGKILL and SIGSTOP, which nobody can ignore
  });
  yield op(does, "let", [slot("signal"), -1, 1], { into: "signal", positive: "signals:next" });
  yield op("block no signals", "rt_sigprocmask", [named("SIG_SETMASK", 2), zeros(8, "{}"), 0, 8]);
}

/** KEYCTL_JOIN_SESSION_KEYRING without a name: a new, empty one. Kernels without keys have nothing to leak. */
export function leaveKeys(): Op {
  const join = named("KEYCTL_JOIN_SESSION_KEYRING", 1);
  return op("leave the launcher's keys behind", "keyctl", [join, 0], { ignore: ["ENOSYS"] });
}

/** No path of the spec or the rootfs may begin at a descriptor of ours: /proc/self/fd/7 (CVE-2024-21626). */
export function* closeDescriptors(context: Context): Iterable<Op> {
  const { form, idRange, preserved = 0 } = context;
  if (idRange && preserved > 0) yield op("leave the ids to the guard", "close", [FIRST_FREE_FD]);
  const free = idRange && preserved === 0 ? FIRST_FREE_FD : firstPreserved(context) + preserved;
  const first = form === "standalone" ? 3 : free;
  yield op("close what is not needed any more", "close_range", [first, named("~0", 0xffffffff), 0]);
}

/** Sets the umask of the program. */
export function setUmask({ spec }: Context): Op {
  const mask = spec.process?.user?.umask ?? 0o22;
  return op(`set the umask to 0${mask.toString(8)}`, "umask", [named(`0${mask.toString(8)}`, mask)]);
}

/** The working directory may be closed to the user of the program and open to root, who tries it first, as in runc. */
export function* tryDirectory({ spec }: Context): Iterable<Op> {
  const cwd = spec.process?.cwd ?? "/";
  const does = `change directory to "${cwd}"`;
  yield op(does, "chdir", [cwd], { ignore: ["EACCES", "EPERM"], zero: "cwd:tried" });
  yield op("try again as the user", "let", [1], { into: "cwd:closed" });
  yield mark("cwd:tried");
}

/**
 * Enters the working directory, unless {@linkcode tryDirectory} could, and makes sure that it lies inside the root
 * (CVE-2024-21626).
 */
export function* enterDirectory({ spec }: Context, tried = false): Iterable<Op> {
  const cwd = spec.process?.cwd ?? "/";
  if (tried) yield op("stay in the working directory", "let", [slot("cwd:closed")], { zero: "cwd:entered" });
  yield op(`change directory to "${cwd}"`, "chdir", [cwd]);
  if (tried) yield mark("cwd:entered");
  // The byte that a load of 8 ends with is the first of the path; "(unreachable)" is what lies outside.
  const path = zeros(8 + 4096, "path");
  const does = `keep the working directory "${cwd}" inside the root`;
  yield op(does, "getcwd", [{ inside: path, offset: 8 }, 4096]);
  yield op(does, "load", [{ inside: path, offset: 1 }, 0], { into: "cwd" });
  yield op(does, "let", [slot("cwd"), -1, BigInt("/".charCodeAt(0)) << 56n], { zero: "cwd:inside" });
  yield op(does, "chdir", [""]);
  yield mark("cwd:inside");
}

/** Finds the program before the start gate, as the user who will run it; slot `program` becomes its path. */
export function* findProgram({ spec, given, arch }: Context): Iterable<Op> {
  const [name = ""] = spec.process?.args ?? [];
  const path = searchPath(spec.process?.env);
  if (given) {
    yield op("was a path given?", "load", [IS_GIVEN_PATH, 0], { into: "program", zero: "find:0" });
    yield* findPath("what was given", GIVEN_PATH, arch, "found");
    yield* search("what was given", path, (_, index) => givenCandidate(index));
  } else if (name.includes("/")) yield* findPath(`"${name}"`, name, arch);
  else {
    yield* search(`"${name}"`, path, (directory) => {
      const candidate = `${inDirectory(directory)}${name}`;
      return [candidate, `${candidate}/.`, candidate];
    });
  }
}

/** The directories that a name without a slash is looked for in, each ending in a slash. */
export function searchDirectories(env: readonly string[] | undefined): string[] {
  return searchPath(env).map(inDirectory);
}

function inDirectory(directory: string): string {
  return `${directory === "" ? "." : directory.replace(/\/+$/, "")}/`;
}

function* findPath(what: string, path: Arg, arch: Arch, found?: string): Iterable<Op> {
  const [access, executable] = [named("AT_EACCESS", AT.EACCESS), named("X_OK", 1)];
  const does = `run ${what}`;
  // Root may "execute" a directory, as far as access(2) tells.
  const directory = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, path, directory, 0], { label: "find", failed: "find:file" });
  yield op(does, "openat", [AT_FDCWD, path, flags("O_", { WRONLY: O.WRONLY }), 0]); // ends with EISDIR
  yield op(does, "faccessat2", [AT_FDCWD, path, executable, access], { label: "find:file" });
  yield op(does, "let", [addressOf(path)], {
    into: "program",
    ...(found !== undefined && { positive: found }),
  });
}

/** A place where a program may lie: its path, what is there only if that is a directory, and the path in words. */
type Candidate = readonly [path: Arg, asDirectory: Arg, shows?: string];

function* search(
  what: string,
  path: readonly string[],
  candidateIn: (directory: string, index: number) => Candidate,
): Iterable<Op> {
  const [access, executable] = [named("AT_EACCESS", AT.EACCESS), named("X_OK", 1)];
  for (const [index, directory] of path.entries()) {
    const [candidate, asDirectory, shows = `${what} in ${directory}`] = candidateIn(directory, index);
    const next = `find:${index + 1}`;
    const test = `find:${index}:test`;
    const does = `look for "${shows}"`;
    yield op(does, "faccessat2", [AT_FDCWD, asDirectory, 0, 0], {
      label: `find:${index}`,
      zero: next,
      failed: test,
    });
    yield op(does, "faccessat2", [AT_FDCWD, candidate, executable, access], { label: test, failed: next });
    yield op(does, "let", [addressOf(candidate)], { into: "program", positive: "found" });
  }
  // The empty path is never there: ends with ENOENT.
  yield op(`find ${what} in PATH (${path.join(":")})`, "faccessat2", [AT_FDCWD, "", 0, 0], {
    label: `find:${path.length}`,
  });
  yield mark("found");
}

/** An argument that points to a text, as the number of its address. */
function addressOf(path: Arg): Arg {
  return typeof path === "string" ? { inside: cstring(path), offset: 0 } : path;
}

function cstring(value: string): { bytes: Uint8Array; shows: string } {
  return { bytes: new TextEncoder().encode(value + "\0"), shows: JSON.stringify(value) };
}

function searchPath(env: readonly string[] = []): string[] {
  const entry = env.findLast((each) => each.startsWith("PATH="));
  return (entry?.slice("PATH=".length) ?? DEFAULT_PATH).split(":");
}

/** Says that everything is ready and waits for the word to start, or for signals; without a word, init ends. */
export function* startGate({ hold, wait }: GateSignals = { hold: [], wait: [] }): Iterable<Op> {
  yield* hold;
  yield message("report that init is ready", MESSAGE.ready, 0);
  yield* wait;
  const does = "wait for the start";
  yield op(does, "read", [GATE_FD, zeros(8, "byte"), 1], { zero: "gone", positive: "start" });
  yield op("end, nobody can start it any more", "exit_group", [1], { label: "gone" });
  yield mark("start");
}

/** Forbids gaining privileges by execve (PR_SET_NO_NEW_PRIVS). */
export function noNewPrivileges(): Op {
  return op("forbid new privileges", "prctl", [
    named("PR_SET_NO_NEW_PRIVS", PR.SET_NO_NEW_PRIVS),
    1,
    0,
    0,
    0,
  ]);
}

/** Installs the seccomp filter. A filter that asks user space sends its listener and waits until it has arrived. */
export function* seccomp(filter: Filter): Iterable<Op> {
  yield install(filter);
  if (!filter.notify) return;
  yield message("report the seccomp listener", MESSAGE.listener, slot("listener"));
  yield op("wait until the listener has arrived", "read", [GATE_FD, zeros(8, "byte"), 1]);
}

/** Installs a filter of the policy, which is known to let init send its listener. */
export function* policyFilter(filter: Filter): Iterable<Op> {
  yield install(filter);
  if (!filter.notify) return;
  yield sendDescriptor("send the listener for forbidden calls", MESSAGE.forbidden, 0, "listener");
}

function install({ program, flags: filterFlags }: Filter): Op {
  const code = { bytes: program, shows: `${program.length / 8} instructions` };
  const fprog: Struct = {
    struct: "sock_fprog",
    members: [["len", 8, program.length / 8], ["filter", 8, code]],
  };
  const does = "install the seccomp filter";
  return op(does, "seccomp", [named("SECCOMP_SET_MODE_FILTER", 1), filterFlags, fprog], { into: "listener" });
}

/** Becomes the program. */
export function execute({ spec, given }: Context): Op {
  const { args = [], env = [] } = spec.process ?? {};
  const words = given ? GIVEN_ARGS : { strings: args };
  return op(`run "${args[0]}"`, "execve", [slot("program"), words, { strings: env }], {
    label: "execute",
  });
}

/** Whether /proc/<pid> belongs to the process's user, or to the host's root (proc(5)). */
export function dumpable(does: string, value: 0 | 1): Op {
  return op(does, "prctl", [named("PR_SET_DUMPABLE", PR.SET_DUMPABLE), value, 0, 0, 0]);
}
