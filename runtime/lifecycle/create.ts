import { forbidden } from "../attest/permits.ts";
import type { CgroupGroup } from "../cgroup/group.ts";
import { UnsupportedError, UsageError } from "../errors.ts";
import type { Hooked, Made } from "../image_of.ts";
import {
  annotatedNetwork,
  type Connection,
  needsConnection,
  type NetworkOptions,
  withNetworkAnnotations,
} from "../network.ts";
import type { SandboxOptions } from "../options.ts";
import type { Child } from "../launch/child.ts";
import { annotatedOverlay } from "../overlay_choice.ts";
import { checkId } from "../state/container_id.ts";
import { nameProcess } from "../state/liveness.ts";
import type { Record } from "../state/record.ts";
import { type Entry, Store } from "../state/store.ts";
import { sendPidFd, sendTerminal } from "./console.ts";
import type { StoreOptions } from "./container.ts";
import { intendedRecord } from "./intended.ts";
import { markGroups } from "./marks.ts";
import type { Scope } from "./scope.ts";

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
}

/**
 * Makes a container that goes on without this process: all is built, and its first process waits to be started. Its
 * stdin, stdout and stderr are those of this process.
 *
 * @returns The pid of its first process.
 * @throws {SpecError} if the bundle is wrong.
 * @throws {UnsupportedError} if this version or host cannot do what was asked.
 * @throws {LaunchError} if the kernel refuses a step.
 * @throws {LifecycleError} if there is a container of that name.
 */
export async function createContainer(id: string, options: CreateOptions = {}): Promise<number> {
  const child = await createChild(id, options);
  const { pid } = child;
  child.letGo();
  return pid;
}

/** What {@linkcode createContainer} does, but its first process is not left to itself; `attached`: its terminal is not sent. */
export async function createChild(id: string, options: CreateOptions, attached = false): Promise<Child> {
  checkId(id);
  const { loadBundle } = await import("../bundle.ts");
  const { imageOf } = await import("../image_of.ts");
  const bundle = loadBundle(options.bundle ?? ".");
  const overlay = annotatedOverlay(bundle.spec.annotations);
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
  // What is mounted must be there when it is looked at.
  const network = options.network ?? annotatedNetwork(bundle.spec);
  const isPlaced = network !== undefined && needsConnection(network);
  const early = options.notify || isPlaced ? claim() : undefined;
  const { onWarning } = options;
  const { cgroupManager = "cgroupfs" } = options;
  const asked = {
    bundle,
    id,
    overlay,
    ...(onWarning && { onWarning }),
    cgroupManager,
    ...(attached && { newlines: "plain" as const }),
    ...await inherited(options, options.notify ? early : undefined),
  };
  const connection = isPlaced ? await connect(id, network, options, parts) : undefined;
  const made = imageOf({ ...asked, ...(network && { network, connection }) }, {
    form: "detached",
    attended: attached,
  });
  refuse(made, options, attached);
  const entry = early ?? claim();
  const intended: Omit<Record, "version"> = {
    ...intendedRecord(id, bundle, made),
    ...await hooksOf(made),
    ...(made.rdt && { resctrl: made.rdt.group.own }),
    ...(made.request.keepKeys && { keepsKeys: true }),
    ...(connection && { network: connection.record }),
  };
  const { hooked } = made;
  await checkFit(intended); // what is written down as its own will be ended with it
  entry.writeSpec(options.network ? withNetworkAnnotations(bundle.spec, options.network) : bundle.spec);
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
  const child = parts.use(await launchInto(entry, made, options));
  if (hooked) {
    const { runCreateHooks } = await import("../hooks.ts");
    child.onHooks(async (pid) => {
      entry.write({ ...intended, init: nameProcess(pid) }); // they may ask for its state
      await connection?.attach(pid);
      await runCreateHooks(hooked, pid, child.ended);
    }, hooked.hooks);
  }
  const { listener } = made;
  if (listener) {
    const { sendListener } = await import("../supervise/seccomp_listener.ts");
    child.onListener((fd, pid) => sendListener(fd, { ...listener, id, pid }));
  }
  await child.whenReady();
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
  return child;
}

/** Takes a place on the network, which is given back with the other parts of what does not come to be. */
async function connect(
  id: string,
  network: NetworkOptions,
  { root }: CreateOptions,
  parts: AsyncDisposableStack,
): Promise<Connection> {
  const { placed } = await import("../connect.ts");
  return parts.use(await placed(id, { ...network, root }));
}

/** What the program gets from who creates it, beside the bundle. */
async function inherited(
  { env = [], preserveFds, pivot, newKeyring }: CreateOptions,
  entry: Entry | undefined,
): Promise<Partial<SandboxOptions>> {
  const same = { preserveFds, pivot, newKeyring };
  if (!entry) return { ...(env.length > 0 && { env }), ...same };
  const { NOTIFY_ENV, notifyMount } = await import("./notify.ts");
  return { env: [...env, NOTIFY_ENV], mounts: [notifyMount(entry)], ...same };
}

/** Whoever killed the launcher has kept it from telling who init is. */
async function endNameless(entry: Entry): Promise<void> {
  const { endWaiting } = await import("./end.ts");
  await endWaiting(entry);
}

/** What takes somebody who stays. */
function refuse(
  { image, listener, request }: Made,
  { consoleSocket }: CreateOptions,
  attached: boolean,
): void {
  const hasTerminal = request.spec.process?.terminal ?? false;
  if (hasTerminal && consoleSocket === undefined && !attached) {
    throw new UsageError(
      "Cannot give the program a terminal: name a socket that takes it by --console-socket",
    );
  }
  if (!hasTerminal && consoleSocket !== undefined) {
    throw new UsageError(
      "Cannot use --console-socket: the program has no terminal, process.terminal is not true",
    );
  }
  const call = listener && request.filter && forbidden(request.filter, request.host.arch, true);
  if (call !== undefined) {
    throw new UnsupportedError(
      "/linux/seccomp",
      `the filter does not allow ${call}, by which the container waits to be started when the agent has its listener`,
      `allow ${call}`,
    );
  }
  if (image.idsAt.length > 0) {
    throw new UnsupportedError(
      "a range of user ids",
      "nobody would keep it for a detached container",
      "use run",
    );
  }
}

/** @throws {LifecycleError} if a cgroup is there already and cannot be the container's. */
export async function checkFit({ groups }: Pick<Record, "groups">): Promise<void> {
  if (groups.every(({ directory }) => !isThere(directory))) return;
  const { CgroupGroup } = await import("../cgroup/group.ts");
  CgroupGroup.restore(groups, []).checkFit();
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
}

async function makeScope(id: string, { group }: Made): Promise<Scope | undefined> {
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
    ...(holder !== undefined && { holder }),
  });
}

async function hooksOf({ hooked }: Made): Promise<Pick<Record, "hooks">> {
  if (!hooked) return {};
  const { laterHooks } = await import("./hooks.ts");
  return { hooks: laterHooks(hooked.hooks) };
}

async function runPoststop(hooked: Hooked, { onWarning }: CreateOptions): Promise<void> {
  const { runPoststopHooks } = await import("../hooks.ts");
  for (const warning of await runPoststopHooks(hooked)) onWarning?.(warning);
}

async function launchInto(
  entry: Entry,
  { image, hooked }: Made,
  { preserveFds: preserved }: CreateOptions,
): Promise<Child> {
  const { launch } = await import("../launch/launch.ts");
  using gate = entry.makeGate();
  using starts = hooked?.hooks.startContainer?.length ? entry.makeStarts() : undefined;
  return launch(image, { stdin: 0, stdout: 1, stderr: 2 }, { gate, starts, preserved });
}
