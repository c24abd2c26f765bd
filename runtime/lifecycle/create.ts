import { BUILD_ID } from "../build_id.ts";
import type { CgroupGroup } from "../cgroup/group.ts";
import type { Hooked, Made } from "../image_of.ts";
import { connectWhileBuilt } from "../network.ts";
import type { Fd } from "../../ffi/fd.ts";
import { isThere } from "../../ffi/look.ts";
import type { Bundle } from "../bundle.ts";
import type { SandboxOptions } from "../options.ts";
import type { PlanRequest } from "../plan/context.ts";
import type { Child } from "../launch/child.ts";
import { checkId } from "../state/container_id.ts";
import { stdioNames } from "../state/descriptor_name.ts";
import { nameProcess } from "../state/liveness.ts";
import type { Record } from "../state/record.ts";
import { type Entry, GATE, Store } from "../state/store.ts";
import { sendPidFd, sendTerminal } from "./console.ts";
import type { StoreOptions } from "./container.ts";
import { intendedRecord } from "./intended.ts";
import { type Asked, findKept, isUsual, readAsked } from "./kept_source.ts";
import { isMarked, markGroups } from "./marks.ts";
import type { Scope } from "./scope.ts";
import { isLikeEngines } from "./shape.ts";
import type { Making, Source } from "./source.ts";
import type { OnStep } from "./told.ts";

/** What a container is made from. */
export interface CreateOptions
  extends StoreOptions, Pick<SandboxOptions, "env" | "preserveFds" | "pivot" | "newKeyring" | "network"> {
  /** Directory of the bundle. @default the working directory */
  readonly bundle?: string | undefined;
  /** Who makes its cgroup: `systemd` by a scope of its own. @default "cgroupfs" */
  readonly cgroupManager?: "cgroupfs" | "systemd" | undefined;
  /** Path of the Unix socket that gets the terminal, if the program has one. */
  readonly consoleSocket?: string | undefined;
  /** Whether somebody waits for the program to say that it is ready: it finds a socket for that, as with systemd. */
  readonly notify?: boolean | undefined;
  /** Path of the Unix socket that gets a pidfd of the first process. */
  readonly pidfdSocket?: string | undefined;
  /** Hears what is wrong with hooks that cannot stop anything any more. */
  readonly onWarning?: ((warning: string) => void) | undefined;
  /** Hears the pid of its first process before the container counts as created. */
  readonly onPid?: ((pid: number) => void | Promise<void>) | undefined;
  /** Hears how far the start is, in runc's words. */
  readonly onStep?: OnStep | undefined;
}

/** What else may be given where a container is made for somebody of ours. */
export interface ChildOptions {
  /** Whether its terminal is not sent. */
  readonly attached?: boolean;
  /** Its bundle, of which something may come to lie in the directory of the container, which is there already. */
  readonly bundle?: (entry: Entry) => Bundle;
  /** Its stdin, stdout and stderr; they stay the caller's. */
  readonly stdio?: readonly [number, number, number];
  /** Makes the file system in which the upper layer of its overlay lies; called in any case, since it may refuse. */
  readonly upper?: (request: PlanRequest) => Fd | undefined;
}

/**
 * Makes a container that goes on without this process: all is built, and its first process waits to be started. Its
 * stdin, stdout and stderr are those of this process.
 *
 * @returns The pid of its first process.
 * @throws {SpecError} if the bundle is wrong.
 * @throws {UnsupportedError} if this version or host cannot do what was asked.
 * @throws {LaunchError} if the kernel refuses a step.
 * @throws {LifecycleError} if there is a container of that name, or its program cannot be run.
 */
export async function createContainer(id: string, options: CreateOptions = {}): Promise<number> {
  const child = await createChild(id, options);
  const { pid } = child;
  child.letGo();
  return pid;
}

/** What {@linkcode createContainer} does, but its first process is not left to itself. */
export async function createChild(
  id: string,
  options: CreateOptions,
  { attached = false, stdio = [0, 1, 2], ...given }: ChildOptions = {},
): Promise<Child> {
  checkId(id);
  using held = new DisposableStack();
  const parts = new AsyncDisposableStack();
  await using whole = new AsyncDisposableStack();
  const claim = (): Entry => {
    const entry = held.use(new Store(options.root).claim(id));
    whole.defer(async () => {
      await parts.disposeAsync(); // what cannot be removed stays written down
      entry.remove();
    });
    return entry;
  };
  const source = await sourceOf(id, options, { given, attached, claim, parts });
  for (const warning of source.warnings ?? []) options.onWarning?.(warning);
  const { bundle, made, connection } = source;
  const entry = source.entry ?? claim();
  const intended: Omit<Record, "version"> = {
    ...intendedRecord(id, bundle, made, stdioNames(stdio)),
    ...await hooksOf(made),
    ...(made.rdt && { resctrl: made.rdt.group.own }),
    ...(source.keepsKeys && { keepsKeys: true }),
    ...(connection && { network: connection.record }),
  };
  const { hooked } = made;
  if (isThere(`${entry.path}/${GATE}`)) await endLeft(entry);
  await checkFit(intended); // what is written down as its own will be ended with it
  entry.writeSpecText(source.specText);
  // Before anything is done: from here on whoever deletes the container knows what there may be.
  entry.write(intended);
  const scope = await makeScope(id, made);
  if (scope) parts.use(scope);
  parts.use(await makeGroup(made, scope?.holder));
  markGroups(entry, intended);
  const rdt = made.rdt && await import("../rdt.ts");
  if (rdt) {
    parts.defer(() => rdt.removeRdt(made.rdt!.group.own));
    rdt.makeRdt(made.rdt!.root, made.rdt!.group);
  }
  if (hooked) parts.defer(() => runPoststop(hooked, options));
  parts.defer(() => endNameless(entry));
  const upper = source.upper?.();
  if (upper) held.use(upper);
  const child = parts.use(await launchInto(entry, made, { ...options, stdio, upper }));
  const told = options.onStep && new (await import("./told.ts")).Told(options.onStep);
  told?.launched(child);
  if (hooked) {
    const { runCreateHooks } = await import("../hooks.ts");
    const connectIt = connectWhileBuilt(connection, child, hooked);
    child.onHooks(async (pid) => {
      entry.write({ ...intended, init: nameProcess(pid) }); // they may ask for its state
      await connectIt(pid);
      await runCreateHooks(hooked, pid, child.ended);
    }, hooked.hooks);
  }
  const { listener } = made;
  if (listener) {
    const { sendListener } = await import("../supervise/seccomp_listener.ts");
    child.onListener((fd, pid) => sendListener(fd, { ...listener, id, pid }));
  }
  const ready = child.whenReady().catch(async (error) => {
    const { asProgramError } = await import("../exec/words.ts");
    throw asProgramError(error, JSON.parse(source.specText).process);
  });
  const keep = source.keep?.(); // what can be done of it while all is built
  await ready;
  if (told) {
    told.ready(child);
    child.executed.then(() => told.executed(source.filterFlags), () => {});
  }
  rdt?.joinRdt(made.rdt!.root, made.rdt!.group, child.pid);
  sendTerminal(child, options.consoleSocket);
  sendPidFd(child.pid, options.pidfdSocket, "standard");
  await options.onPid?.(child.pid);
  const record = { ...intended, phase: "created", init: nameProcess(child.pid) } as const;
  entry.write(record);
  const { writeMoves } = await import("./moves.ts");
  writeMoves(entry, record);
  scope?.letGo();
  whole.move(); // the container's own from here on
  await keep?.(entry, record);
  return child;
}

/** What a command has begun that left it to this one, and could not end: nobody has told it who init is. */
async function endLeft(entry: Entry): Promise<void> {
  const { endRemains } = await import("./salvage.ts");
  await endRemains(entry);
}

/** Whoever killed the launcher has kept it from telling who init is. */
async function endNameless(entry: Entry): Promise<void> {
  const { endWaiting } = await import("./end.ts");
  await endWaiting(entry);
}

/** From what a container is made: what was kept of another one from the same bundle, or all anew. */
async function sourceOf(id: string, options: CreateOptions, making: Making): Promise<Source> {
  const asked = isUsual(options, making.given) && BUILD_ID !== ""
    ? readAsked(id, options.bundle ?? ".", making.attached)
    : undefined;
  const kept = asked && (findKept(asked) ?? await findLike(asked));
  if (kept) return kept;
  const { newSource } = await import("./source.ts");
  return await newSource(id, options, { ...making, asked });
}

/** What it is made from as others that an engine has made alike. */
async function findLike(asked: Asked): Promise<Source | undefined> {
  if (!isLikeEngines(asked.id)) return undefined;
  const { findTemplate } = await import("./template.ts");
  return findTemplate(asked);
}

/** @throws {LifecycleError} if a cgroup is there already and cannot be the container's. */
export async function checkFit({ groups }: Pick<Record, "groups">): Promise<void> {
  if (groups.every(({ directory }) => !isThere(directory))) return;
  const { CgroupGroup } = await import("../cgroup/group.ts");
  CgroupGroup.restore(groups, []).checkFit();
}

async function makeScope(id: string, { group }: Pick<Made, "group">): Promise<Scope | undefined> {
  if (!group?.unit) return undefined;
  const { startScope } = await import("./scope.ts");
  return await startScope(id, group.unit, group.resources);
}

/** Makes the cgroup, if there is to be one; `holder` may be in it already. */
export async function makeGroup(
  { group }: Pick<Made, "group">,
  holder?: number,
): Promise<CgroupGroup | undefined> {
  if (!group) return undefined;
  const { CgroupGroup } = await import("../cgroup/group.ts");
  const { path, resources, hierarchies, complete } = group;
  return await CgroupGroup.create(path, resources, hierarchies, {
    complete,
    rejoin: true,
    isLeft: isMarked,
    ...(holder !== undefined && { holder }),
  });
}

async function hooksOf({ hooked }: Pick<Made, "hooked">): Promise<Pick<Record, "hooks">> {
  if (!hooked) return {};
  const { laterHooks } = await import("./hooks.ts");
  return { hooks: laterHooks(hooked.hooks) };
}

async function runPoststop(hooked: Hooked, { onWarning }: CreateOptions): Promise<void> {
  const { runPoststopHooks } = await import("../hooks.ts");
  for (const warning of await runPoststopHooks(hooked)) onWarning?.(warning);
}

interface Launching extends Pick<CreateOptions, "preserveFds">, Required<Pick<ChildOptions, "stdio">> {
  readonly upper: Fd | undefined;
}

async function launchInto(
  entry: Entry,
  { image, hooked }: Pick<Made, "image" | "hooked">,
  { preserveFds: preserved, stdio: [stdin, stdout, stderr], upper }: Launching,
): Promise<Child> {
  const { launch } = await import("../launch/launch.ts");
  using gate = entry.makeGate();
  using starts = hooked?.hooks.startContainer?.length ? entry.makeStarts() : undefined;
  const beside = upper && [upper];
  return launch(image, { stdin, stdout, stderr }, { gate, starts, preserved, beside });
}
