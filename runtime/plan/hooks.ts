import type { Hook, HookName } from "../spec/config.ts";
import type { Context } from "./context.ts";
import { CLONE, SIGKILL } from "./kernel.ts";
import { message, sendDescriptor } from "./message.ts";
import { type Bytes, flags, mark, named, type Op, op, slot, type Struct, text, zeros } from "./op.ts";
import { HOOK_END, INSIDE_HOOKS, type InsideHook, MESSAGE, START_FD, STATUS_FD } from "./protocol.ts";
import { O } from "./abi.ts";
import { unreachable } from "./unreachable.ts";
import { PID_ROOM, pipe } from "./userns.ts";

const SIGCHLD = 17;
const MFD_CLOEXEC = named("MFD_CLOEXEC", 1);
const MFD_NOEXEC = named("MFD_CLOEXEC|MFD_NOEXEC_SEAL", 9);
const SOCK_CLOEXEC = named("SOCK_CLOEXEC", 0o2000000);

function hooksOf({ spec, hooked }: Context, kind: HookName): readonly Hook[] {
  return hooked === undefined ? [] : spec.hooks?.[kind] ?? [];
}

/** Whether network devices come to it before hooks run. */
function getsDevices({ spec, hooked }: Context): boolean {
  return hooked !== undefined && (hooked.connected || Object.keys(spec.linux?.netDevices ?? {}).length > 0);
}

/**
 * Whether hooks run before the root is changed: they find it, and what is mounted in it, where the rootfs lies. A network
 * alone is no reason: init builds all of the sandbox while that is made, unless something in it is about its devices.
 */
export function hasEarlyHooks(context: Context): boolean {
  const kinds = ["prestart", "createRuntime", "createContainer"] as const;
  return usesDevices(context) || kinds.some((kind) => hooksOf(context, kind).length > 0);
}

/** Whether init works with network devices that come to it. */
function usesDevices(context: Context): boolean {
  const { netDevices, sysctl } = context.spec.linux ?? {};
  const uses = [netDevices, sysctl, context.hooked?.unreachable].some((each) =>
    Object.keys(each ?? {}).length > 0
  );
  return uses && getsDevices(context);
}

/** Whether programs run between the start gate and the program. */
export function hasStartHooks(context: Context): boolean {
  return hooksOf(context, "startContainer").length > 0;
}

/**
 * The hooks of `create`: the supervisor runs those of the runtime's namespaces, then init its own. Without any, init waits
 * here for its network.
 */
export function* createHooks(context: Context): Iterable<Op> {
  const runtime = [...hooksOf(context, "prestart"), ...hooksOf(context, "createRuntime")];
  if (runtime.length > 0 || getsDevices(context)) {
    const does = "wait for the hooks";
    yield message("ask for the hooks", MESSAGE.hooks, 0);
    yield op(does, "read", [STATUS_FD, zeros(8, "byte"), 1], { zero: "unhooked", positive: "hooked" });
    yield op("end, nobody runs the hooks", "exit_group", [1], { label: "unhooked" });
    yield mark("hooked");
  }
  yield* unreachable(context);
  yield* insideHooks(context, "createContainer", "creating", [context.bundle, rootfsOf(context)]);
}

/** The directory of the host that is the root, or the lowest layer of it. */
export function rootfsOf({ root }: Pick<Context, "root">): string | undefined {
  return root.kind === "directory" ? root.path : root.kind === "overlay" ? root.lowers[0] : undefined;
}

/**
 * The hooks between the start gate and the program, which have the rights of the program. Of a detached sandbox
 * whoever starts it hears of them: through a connection that takes the place of the creator's.
 */
export function* startHooks(context: Context): Iterable<Op> {
  if (!hasStartHooks(context)) return;
  if (context.form === "detached") {
    const does = "hear from who starts it";
    yield op(does, "accept4", [START_FD, 0, 0, SOCK_CLOEXEC], { into: "starter" });
    yield op(does, "dup3", [slot("starter"), STATUS_FD, flags("O_", { CLOEXEC: O.CLOEXEC })]);
    yield op(does, "close", [slot("starter")]);
    yield op(does, "close", [START_FD]);
  }
  yield* insideHooks(context, "startContainer", "created");
  if (context.form === "detached") yield message("report that the hooks have run", MESSAGE.started, 0);
}

function* insideHooks(
  context: Context,
  kind: InsideHook,
  status: "creating" | "created",
  directories: readonly (string | undefined)[] = [],
): Iterable<Op> {
  const hooks = hooksOf(context, kind);
  if (hooks.length === 0) return;
  const { bytes, end } = stateOf(context, status);
  yield op("ask who init is", "getpid", [], { into: `${kind}:self` });
  yield op("write the state", "decimal", [slot(`${kind}:self`), { inside: bytes, offset: end }]);
  for (const [index, hook] of hooks.entries()) {
    // As with runc, one of the program's has the program's environment unless it names one.
    const env = hook.env ?? (kind === "startContainer" ? context.spec.process?.env : undefined) ?? [];
    yield* insideHook({ ...hook, env }, { kind, index, state: bytes, directories });
  }
}

/** The state that a hook inside reads, with room for the pid. */
function stateOf(
  { spec, bundle, hooked }: Context,
  status: "creating" | "created",
): { bytes: Bytes; end: number } {
  const { id, version } = hooked!;
  const { annotations } = spec;
  const noted = annotations && Object.keys(annotations).length > 0 ? { annotations } : {};
  const rest = JSON.stringify({ ociVersion: version, id, status, bundle, ...noted }).slice(1);
  const head = `{"pid":${" ".repeat(PID_ROOM)}`;
  return { bytes: text(`${head},${rest}`), end: head.length };
}

interface InsideOptions {
  readonly kind: InsideHook;
  readonly index: number;
  readonly state: Bytes;
  /** It runs in the last of these that init may enter; where init is, if there is none. */
  readonly directories: readonly (string | undefined)[];
}

/** One hook, as a child of init. */
function* insideHook(hook: Hook, { kind, index, state, directories }: InsideOptions): Iterable<Op> {
  const { path, args = [path], env = [], timeout } = hook;
  const name = `${kind}:${index}`;
  const does = `run ${kind} hook #${index} "${path}"`;
  const label = (part: string): string => `${name}:${part}`;
  yield op(does, "memfd_create", ["state", MFD_NOEXEC], {
    into: label("state"),
    positive: label("filled"),
    ignore: ["EINVAL"], // before Linux 6.3
  });
  yield op(does, "memfd_create", ["state", MFD_CLOEXEC], { into: label("state") });
  const size = state.bytes.length;
  yield op(does, "write", [slot(label("state")), state, size], { label: label("filled") });
  yield op(does, "lseek", [slot(label("state")), 0, named("SEEK_SET", 0)]);
  for (const [number, stream] of ["stdout", "stderr"].entries()) {
    yield* pipe(does, label(stream));
    const value = INSIDE_HOOKS.indexOf(kind) * 2 ** 32 + index * 2 + number;
    yield sendDescriptor(does, MESSAGE.hookOutput, value, label(`${stream}:read`));
    yield op(does, "close", [slot(label(`${stream}:read`))]);
  }
  // Not clone3, which the filters of engines forbid because they cannot look into its arguments.
  const how = named("CLONE_PIDFD|SIGCHLD", CLONE.PIDFD + SIGCHLD);
  yield op(does, "clone", [how, 0, { address: label("pidfd") }, 0, 0], {
    into: label("pid"),
    zero: label("child"),
    positive: label("wait"),
  });
  const begin = [
    ...["state", "stdout:write", "stderr:write"].map((each, fd) =>
      op(does, "dup3", [slot(label(each)), fd, 0])
    ),
    ...directories.filter((each) => each !== undefined).map((each, index) =>
      op(does, "chdir", [each], index === 0 ? {} : { ignore: ["EACCES"] })
    ),
    op(does, "execve", [path, { strings: args }, { strings: env }], { failed: label("missing") }),
    endMessage(does, HOOK_END.missing, "errno", { label: label("missing") }),
    op(does, "exit_group", [127]),
  ];
  yield { ...begin[0]!, label: label("child") };
  yield* begin.slice(1);
  yield op(does, "close", [slot(label("stdout:write"))], { label: label("wait") });
  yield op(does, "close", [slot(label("stderr:write"))]);
  yield op(does, "close", [slot(label("state"))]);
  yield* awaitHook(does, name, timeout);
}

/** Waits for the hook, kills it when its time is up, and reports how it failed. */
function* awaitHook(does: string, name: string, timeout: number | undefined): Iterable<Op> {
  const label = (part: string): string => `${name}:${part}`;
  const info = zeros(128, "siginfo");
  const wait = op(does, "waitid", [named("P_PID", 1), slot(label("pid")), info, named("WEXITED", 4), 0]);
  if (timeout !== undefined) {
    const [sec, part] = [Math.floor(timeout), timeout % 1];
    const time: Struct = {
      struct: "timespec",
      members: [["sec", 8, sec], ["nsec", 8, Math.round(part * 1e9)]],
    };
    yield op(does, "let", [slot(label("pidfd")), 1, 1n << 32n], { into: label("poll") });
    const poll: Struct = { struct: "pollfd", members: [["hook", 8, slot(label("poll"))]] };
    yield op(does, "ppoll", [poll, 1, time, 0, 8], { zero: label("late"), positive: label("ended") });
    yield op(does, "kill", [slot(label("pid")), SIGKILL], { label: label("late"), ignore: ["ESRCH"] });
    yield wait;
    yield endMessage(does, HOOK_END.timeout, label("pidfd"));
    yield op(does, "exit_group", [1]);
  }
  yield { ...wait, label: label("ended") };
  yield op(does, "close", [slot(label("pidfd"))]);
  yield op(does, "load", [{ inside: info, offset: 24 }, 0], { into: label("status") });
  yield op(does, "let", [slot(label("status"))], { zero: label("done") });
  yield op(does, "load", [{ inside: info, offset: 8 }, 0], { into: label("code") });
  yield op(does, "let", [slot(label("code")), -1, 1], { zero: label("exited") }); // CLD_EXITED
  yield endMessage(does, HOOK_END.signal, label("status"));
  yield op(does, "exit_group", [1]);
  yield endMessage(does, HOOK_END.code, label("status"), { label: label("exited") });
  yield op(does, "exit_group", [1]);
  yield mark(label("done"));
}

function endMessage(does: string, end: number, value: string, rest: Partial<Op> = {}): Op {
  return { ...message(does, MESSAGE.hookFailed + end, slot(value)), ...rest };
}
