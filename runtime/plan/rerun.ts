import type { Arch } from "./abi.ts";
import { findRights, type RightsRequest } from "./caller.ts";
import { AT, AT_FDCWD } from "./kernel.ts";
import { findKinds, type Kinds } from "./kinds.ts";
import { flags, jump, mark, named, type Op, op, type Plan, slot, type Struct, text, zeros } from "./op.ts";
import { MESSAGE, MESSAGE_BYTES } from "./protocol.ts";
import { tellWarnings } from "./tell_warnings.ts";
import {
  beginWithNothing,
  CLD_EXITED,
  connectLauncher,
  end,
  holdSignals,
  isStill,
  LAUNCH_FDS,
  leave,
  makeImage,
  readEnd,
  type Stamp,
  startLauncher,
  waitFor,
  WEXITED_NOWAIT,
} from "./unaided.ts";

/** The number that the stub of the executable gives to `run DIR`, behind those of containers' moves: `tools/build/stub_x86_64.S`. */
export const RERUN = 5;

/** What the steps of running a bundle once more are made from. */
export interface RerunRequest {
  readonly arch: Arch;
  /** Absolute path of the bundle, by which the image knows its files; and that directory. */
  readonly bundle: string;
  readonly directory: Pick<Stamp, "inode" | "device">;
  /** The config.json that the image was made from. */
  readonly config: Stamp;
  /** The executable that made it. */
  readonly executable: Stamp;
  /** Who had it made: it has his limit of open files, and what it takes his rights for. */
  readonly caller: RightsRequest;
  /** What must lie at the paths that the image depends on. */
  readonly kinds: Kinds;
  /** The image, of the supervised form. */
  readonly elf: Uint8Array<ArrayBuffer>;
  /** What is told of the bundle each time. */
  readonly warnings: readonly string[];
  /** Numbers of the signals that are meant for the program. */
  readonly signals: readonly number[];
}

const F_SETFD = named("F_SETFD", 2);
/** What is open until the end, and closed if all is left to Deno. */
const OPENED = ["file", ...LAUNCH_FDS, "process"];
const DIGITS = 10;
/** How long it may take to become the program. */
const EXECUTE_S = 10;
const ORPHANED = text(
  "runtime: Cannot supervise the sandbox: the kernel lets nobody watch it; it was ended\n",
);

/**
 * The steps of `run DIR` when the same was run before: they check that the bundle is still what the image was made from,
 * start it, and wait for its end. Who walks through them is the executable itself, before it loads anything.
 *
 * Whatever is not as expected before the program begins leaves all to Deno, which begins anew. From then on only the
 * program's own exit ends here; after a signal, or when one has ended the program, the executable is run once more, as
 * this very process, to supervise what there is: `runtime adopt`.
 */
export function planRerun(request: RerunRequest): Plan {
  return { arch: request.arch, sections: [{ by: "move", ops: [...steps(request)] }] };
}

function* steps(request: RerunRequest): Iterable<Op> {
  yield op("take the bundle's directory", "let", [slot("failed")], { into: "bundle" });
  yield* beginWithNothing(OPENED, ["launcher", "init", "ready"]);
  yield* holdSignals(request.signals, "bundle");
  yield* looks(request);
  yield* makeImage(request.elf);
  yield* connectLauncher();
  yield* tellWarnings(request.warnings);
  yield op("open the start gate", "write", [slot("gate:write"), text("\0"), 1]);
  yield* startLauncher();
  yield* hear();
  yield* wait();
  yield* leave(["launcher", "init"], [...OPENED, "bundle"]);
}

function* looks({ arch, bundle, directory, config, executable, caller, kinds }: RerunRequest): Iterable<Op> {
  yield* isStill("/proc/self/exe", [AT_FDCWD, "/proc/self/exe", 0], executable);
  yield* isStill("the bundle", [slot("bundle"), "", flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH })], directory);
  yield* isStill(bundle, [AT_FDCWD, bundle, 0], directory);
  yield* isStill("config.json", [slot("bundle"), "config.json", 0], config);
  yield* findRights(caller);
  yield* findKinds(kinds, arch);
}

/** Hears who init is, that it is ready, and by the end of the socket that it has become the program. */
function* hear(): Iterable<Op> {
  const does = "hear of the launch";
  const message = zeros(MESSAGE_BYTES, "message");
  yield* waitFor("status:read", { again: "hear", signal: "signalled", failed: "orphan" });
  yield op(does, "read", [slot("status:read"), message, MESSAGE_BYTES], {
    label: "listen",
    zero: "silent",
    failed: "orphan",
  });
  yield op(does, "load", [message, 0], { into: "what" });
  yield op(does, "let", [slot("what"), -MESSAGE.cloned, 1], { zero: "cloned" });
  yield op(does, "let", [slot("what"), -MESSAGE.ready, 1], { zero: "ready", positive: "fail" });
  yield op(does, "load", [{ inside: message, offset: 8 }, 0], { label: "cloned", into: "init" });
  yield jump("hear");
  yield op(does, "let", [1], { label: "ready", into: "ready" });
  yield jump("hear");
  yield op("was it ready?", "let", [slot("ready")], { label: "silent", zero: "fail" });
  yield op("know init", "let", [slot("init")], { zero: "orphan" }); // it has begun, and its launcher was killed
}

/**
 * A signal that comes while the launch is heard: what was said before it goes first. Once init was ready nothing keeps it
 * from becoming the program, which may handle the signal, and may long have begun: the guard closes the socket when it
 * gets to it.
 */
function* heed(): Iterable<Op> {
  const does = "hear first what was said before the signal";
  const status: Struct = { struct: "pollfd", members: [["status:read", 8, slot("hear:poll")]] };
  const within = (seconds: number): Struct => {
    return { struct: "timespec", members: [["sec", 8, seconds], ["nsec", 8, 0]] };
  };
  const then = { zero: "early", positive: "listen", failed: "orphan" };
  yield op("was it ready?", "let", [slot("ready")], { label: "signalled", positive: "begins" });
  yield op(does, "ppoll", [status, 1, within(0), 0, 8], then);
  yield op(does, "ppoll", [status, 1, within(EXECUTE_S), 0, 8], { label: "begins", ...then });
}

function* wait(): Iterable<Op> {
  yield op("hold the program", "pidfd_open", [slot("init"), 0], { into: "process", failed: "adopt" });
  yield* waitFor("process", { again: "run", signal: "adopt", failed: "adopt" });
  yield* readEnd("init", WEXITED_NOWAIT, { failed: "adopt" });
  yield op("did it exit?", "let", [slot("end"), -CLD_EXITED, 1], { zero: "exited", positive: "adopt" });
  yield mark("exited");
  yield* end("init", "exited:init");
  yield* end("launcher", "exited:launcher");
  yield op("end", "exit_group", [slot("status")]);
  yield* heed();
  yield* early();
  yield* adopt();
}

/** A signal before the program has begun ends all, as if it had come to a program that does not handle it. */
function* early(): Iterable<Op> {
  const info = zeros(128, "signalfd_siginfo");
  yield op("take the signal", "read", [slot("signals"), info, 128], { label: "early", failed: "orphan" });
  yield op("take the signal", "load", [info, 0], { into: "signal" });
  yield* end("launcher", "early:launcher");
  yield* end("init", "early:init");
  yield op("tell of the signal", "let", [slot("signal"), 128, 1], { into: "signal" });
  yield op("end", "exit_group", [slot("signal")]);
}

/** Becomes a process of Deno's that goes on: it has the same pid, and so the same children. */
function* adopt(): Iterable<Op> {
  const does = "let Deno go on";
  yield op(does, "fcntl", [slot("gate:write"), F_SETFD, 0], { label: "adopt", failed: "orphan" });
  const numbers = ["init", "launcher", "gate:write"].map((name) => ({
    name,
    digits: text(`${"0".repeat(DIGITS)}\0`),
  }));
  for (const { name, digits } of numbers) {
    yield op(does, "decimal", [slot(name), { inside: digits, offset: DIGITS }], {
      zero: `told:${name}`,
      positive: `told:${name}`,
    });
    yield mark(`told:${name}`);
  }
  const argv = { strings: ["runtime", "adopt", ...numbers.map(({ digits }) => digits)] };
  yield op(does, "execve", ["/proc/self/exe", argv, { strings: [] }], { failed: "orphan" });
  yield op("say what happened", "write", [2, ORPHANED, ORPHANED.bytes.length], {
    label: "orphan",
    failed: "orphan:end",
  });
  yield op("end the program with us", "exit_group", [1], { label: "orphan:end" });
}
