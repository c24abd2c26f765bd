import type { Arch } from "../runtime/plan/abi.ts";
import { O, O_DIRECTORY, O_NOFOLLOW } from "../runtime/plan/abi.ts";
import {
  AT_FDCWD,
  CLONE,
  CLOSE_RANGE_CLOEXEC,
  MOUNT_ATTR,
  NAMESPACE_FLAG,
  PROPAGATION,
} from "../runtime/plan/kernel.ts";
import { attach, cloneMount, setAttributes } from "../runtime/plan/mount_ops.ts";
import type { Attributes } from "../runtime/plan/mount_options.ts";
import { bringLoopbackUp } from "../runtime/plan/network.ts";
import { flags, mark, named, type Op, op, type Plan, slot, text } from "../runtime/plan/op.ts";
import { joinLayers, openOwn } from "../runtime/plan/overlay.ts";
import { CLONE_ARGS_BYTES, cloneArgs } from "../runtime/plan/userns.ts";

/** The descriptor of CRIU's conversation, and the one on which CRIU's number and a step that failed are told. */
export const SERVICE_FD = 3;
export const FAILURE_FD = 4;
/** The first descriptor that is handed to CRIU for the container. */
export const FIRST_INHERITED_FD = 5;
/** What a CRIU has that was loaded before: where it is told to begin, its plan then, and the library that waits for that. */
export const GATE_FD = 5;
export const TABLE_FD = 6;
export const LIBRARY_FD = 7;
/** Above all that the worker has otherwise. */
const [LAYERS_FD, MOVED_FD] = [100, 101];
const LAST_FD = 2 ** 32 - 1;
/** Where CRIU looks for what it has found out of the kernel. */
const FINDINGS = "/run/criu.kdat";
const PR_GET_TID_ADDRESS = 40; // linux/prctl.h
const CLONE_CHILD_SETTID = 0x01000000; // linux/sched.h

/** The root that a container is restored on. */
export interface WorkerRoot {
  /** The directory on the host. */
  readonly path: string;
  /** Where it is mounted, in a mount namespace of CRIU's own: a directory. */
  readonly place: string;
  readonly readonly: boolean;
  readonly noDevices: boolean;
  /** An overlay over that directory, in a file system of its own: the worker's descriptor of it, not mounted yet. */
  readonly overlay?: { readonly fd: number; readonly userMarks: boolean } | undefined;
}

/** A file system that is mounted nowhere yet. */
export interface WorkerMount {
  /** The worker's descriptor of it. */
  readonly fd: number;
  /** Where it is mounted, in a mount namespace of CRIU's own: a directory. */
  readonly place: string;
  readonly set: Attributes;
  readonly clear: Attributes;
}

/** How CRIU is loaded before it is known what it is to do. */
export interface LoadRequest
  extends Pick<WorkerRequest, "arch" | "program" | "loader" | "preload" | "flags"> {
  /** Whether it is likely to work in a new network namespace. */
  readonly network?: "new" | undefined;
  /** Whether it gets its mount namespace only when it is used. */
  readonly inHostMounts?: boolean | undefined;
}

/** How CRIU is started. */
export interface WorkerRequest {
  readonly arch: Arch;
  /** Path of CRIU. */
  readonly program: string;
  /** What is run in its place: file and arguments. */
  readonly loader?: readonly string[] | undefined;
  /** The descriptor of a library that the loader is to load before all others; it stays open. */
  readonly preload?: number | undefined;
  /** Flags that libcriu has no function for. */
  readonly flags: readonly string[];
  /** The cgroups that the restored processes are to be in; CRIU joins them and bears the processes there. */
  readonly groups?: readonly { readonly directory: string; readonly version: 1 | 2 }[];
  /** Whether the container has a cgroup namespace of its own. */
  readonly ownGroups?: boolean;
  readonly root?: WorkerRoot | undefined;
  /** File systems in memory that CRIU finds on its side. */
  readonly memory?: readonly WorkerMount[];
  /** The network namespace that CRIU works in: a new one with loopback, or one by its path. */
  readonly network?: "new" | string | undefined;
  /** A file with what CRIU has found out of this kernel before. */
  readonly findings?: string | undefined;
  /** CRIU only finds out what the kernel can do; the file system that follows its descriptors is its `/run`. */
  readonly checks?: boolean;
}

/**
 * Everything CRIU finds in its environment: it runs tar for file systems in memory, and ip. The library for TLS, which it
 * is linked with and is never told to use, is not to begin.
 */
const ENVIRONMENT = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GNUTLS_NO_IMPLICIT_INIT=1"];

/**
 * The steps of the process that becomes CRIU. What they mount is seen by nobody else and goes with CRIU, however that
 * ends.
 */
export function workerPlan(request: WorkerRequest): Plan {
  return planOf(request.arch, [...keepFailures(), ...enter(request), ...run(request)]);
}

/** The steps of the process that loads CRIU, which then waits for {@linkcode enterPlan}. */
export function loadPlan(request: LoadRequest): Plan {
  const { network, inHostMounts } = request;
  const namespaces = [
    ...(network === undefined ? [] : enterNetwork(network)),
    ...(inHostMounts ? [] : ownMounts()),
  ];
  return planOf(request.arch, [...keepFailures(), ...namespaces, ...run(request)]);
}

/**
 * The steps of CRIU when it has been loaded and hears of its work: it takes its descriptors from who has started it, and
 * tells that how it went.
 *
 * @param given The descriptors, as `parent` has them.
 */
export function enterPlan(
  request: WorkerRequest,
  loaded: Pick<LoadRequest, "network" | "inHostMounts">,
  { parent, given }: { readonly parent: number; readonly given: readonly number[] },
): Plan {
  return planOf(request.arch, [...take(parent, given), ...enter(request, loaded), ...begin()]);
}

function planOf(arch: Arch, ops: readonly Op[]): Plan {
  return { arch, sections: [{ by: "launcher", ops }, { by: "end", ops: FAIL }] };
}

function* keepFailures(): Iterable<Op> {
  const does = "keep the failure pipe from CRIU";
  yield op(does, "close_range", [FAILURE_FD, FAILURE_FD, CLOSE_RANGE_CLOEXEC]);
}

/** Into the cgroups and namespaces that CRIU works in; some it may be in since it was loaded. */
function* enter(
  request: WorkerRequest,
  loaded?: Pick<LoadRequest, "network" | "inHostMounts">,
): Iterable<Op> {
  const { arch, groups = [], ownGroups, root, memory = [], findings, network, checks } = request;
  yield* joinGroups(arch, groups, loaded !== undefined);
  if (ownGroups) {
    yield op("make a cgroup namespace", "unshare", [named("CLONE_NEWCGROUP", CLONE.NEWCGROUP)]);
  }
  if (network !== undefined && network !== loaded?.network) yield* enterNetwork(network);
  if ((root || checks) && (!loaded || loaded.inHostMounts)) yield* ownMounts();
  if (root) yield* mountRoot(arch, root);
  for (const each of memory) yield* mountMemory(arch, each);
  if (root && findings !== undefined) yield* mountFindings(arch, findings);
  if (checks) yield* mountRun(arch);
}

function* run({ program, loader = [], preload, flags: given, checks }: WorkerRequest): Iterable<Op> {
  const [file = program, ...begins] = loader;
  yield op("run CRIU", "execve", [
    file,
    {
      strings: [
        "criu",
        ...(preload === undefined ? [] : ["--preload", `/proc/self/fd/${preload}`]),
        ...begins,
        "--no-default-config",
        ...given,
        ...(checks ? ["check"] : ["swrk", String(SERVICE_FD)]),
      ],
    },
    { strings: ENVIRONMENT },
  ]);
}

/**
 * CRIU bears the processes where it is itself. To move a process into a group takes some ten milliseconds, in which the kernel
 * waits for every processor: not so if it has one thread and moves only that, which version 1 allows, or if it is
 * born there, which version 2 allows. So the worker bears the one that becomes CRIU, as a sibling, and says its number.
 */
function* joinGroups(
  arch: Arch,
  groups: NonNullable<WorkerRequest["groups"]>,
  isLoaded: boolean,
): Iterable<Op> {
  const write = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  for (const { directory } of groups.filter(({ version }) => version === 1)) {
    const says = `join cgroup "${directory}"`;
    yield op(says, "openat", [AT_FDCWD, `${directory}/tasks`, write, 0], { into: "group" });
    yield op(says, "write", [slot("group"), text("0"), 1]);
    yield op(says, "close", [slot("group")]);
  }
  const born = groups.find(({ version }) => version === 2);
  if (!born) return;
  const says = `be born into cgroup "${born.directory}"`;
  const how = flags("O_", { RDONLY: O.RDONLY, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  yield op(says, "openat", [AT_FDCWD, born.directory, how, 0], { into: "group" });
  if (isLoaded) { // the C library keeps the number of its thread where the kernel clears it at the end
    const where = named("PR_GET_TID_ADDRESS", PR_GET_TID_ADDRESS);
    yield op(says, "prctl", [where, { address: "tid" }, 0, 0, 0]);
  }
  const args = isLoaded
    ? cloneArgs({ PARENT: CLONE.PARENT, CHILD_SETTID: CLONE_CHILD_SETTID }, 0, {
      childTid: slot("tid"),
      cgroup: slot("group"),
    })
    : cloneArgs({ PARENT: CLONE.PARENT }, 0, { cgroup: slot("group") });
  const ways = { into: "criu:pid", zero: "criu", positive: "told" };
  yield op(says, "clone3", [args, CLONE_ARGS_BYTES], ways);
  yield op("say the number of CRIU", "write", [FAILURE_FD, { address: "criu:pid" }, 8], { label: "told" });
  yield op("end", "exit_group", [0]);
  yield mark("criu");
  yield op(says, "close", [slot("group")]);
}

/** Takes descriptors to where they would be had CRIU been started with them. */
function* take(parent: number, given: readonly number[]): Iterable<Op> {
  const does = "take the descriptors that CRIU is given";
  const cloexec = named("O_CLOEXEC", O.CLOEXEC);
  yield op(does, "dup3", [GATE_FD, FAILURE_FD, cloexec]);
  yield op(does, "close_range", [GATE_FD, LAST_FD, 0]); // the first free number is that of the first one from now on
  yield op(does, "pidfd_open", [parent, 0], { into: "parent" });
  yield op(does, "dup3", [slot("parent"), MOVED_FD, cloexec]);
  yield op(does, "close", [slot("parent")]);
  for (const fd of given) yield op(does, "pidfd_getfd", [MOVED_FD, fd, 0]);
  yield op(does, "close", [MOVED_FD]);
}

function* begin(): Iterable<Op> {
  yield op("say that CRIU begins", "close", [FAILURE_FD]);
  yield op("let CRIU begin", "leave", []);
}

/** CRIU works in the network namespace of the processes, and takes it for everybody's. */
function* enterNetwork(network: "new" | string): Iterable<Op> {
  const flag = named("CLONE_NEWNET", NAMESPACE_FLAG.network);
  if (network === "new") {
    yield op("make a network namespace", "unshare", [flag]);
    return yield* bringLoopbackUp();
  }
  const does = `enter network "${network}"`;
  const how = flags("O_", { RDONLY: O.RDONLY, CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, network, how, 0], { into: "network" });
  yield op(does, "setns", [slot("network"), flag]);
  yield op(does, "close", [slot("network")]);
}

const SPREAD = { propagation: named("MS_SLAVE", PROPAGATION.SLAVE), recursive: true };

function* ownMounts(): Iterable<Op> {
  yield op("make a mount namespace", "unshare", [named("CLONE_NEWNS", CLONE.NEWNS)]);
  yield setAttributes("keep mounts from spreading to the host", AT_FDCWD, SPREAD, "/");
}

/**
 * Shows CRIU what it has found out of this kernel before, where it looks for that; the file there is empty otherwise. A
 * CRIU that sees it so removes it: if one does just now, this one finds out again.
 */
function* mountFindings(arch: Arch, path: string): Iterable<Op> {
  const does = "show CRIU what it knows of the kernel";
  const how = flags("O_", { CREAT: O.CREAT, NOFOLLOW: O_NOFOLLOW[arch], CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, FINDINGS, how, 0o600], { into: "place" });
  yield cloneMount(does, AT_FDCWD, path, false, "findings");
  yield { ...attach(does, "findings", "place"), ignore: ["ENOENT"] };
}

function* mountRun(arch: Arch): Iterable<Op> {
  const does = "give CRIU a /run of its own";
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  yield op(does, "dup3", [FIRST_INHERITED_FD, LAYERS_FD, named("O_CLOEXEC", O.CLOEXEC)], { into: "run" });
  yield op(does, "close", [FIRST_INHERITED_FD]);
  yield op(does, "openat", [AT_FDCWD, "/run", how, 0], { into: "place" });
  yield attach(does, "run", "place");
}

function* mountRoot(arch: Arch, root: WorkerRoot): Iterable<Op> {
  const { path, place, readonly, noDevices, overlay } = root;
  const does = `mount "${path}" as the root`;
  yield cloneMount(does, AT_FDCWD, path, overlay === undefined, "root");
  yield setAttributes(does, slot("root"), SPREAD);
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  yield op("open the place of the root", "openat", [AT_FDCWD, place, how, 0], { into: "place" });
  if (overlay) yield* mountOverlay(arch, overlay);
  const set = {
    ...(readonly && { RDONLY: MOUNT_ATTR.RDONLY }),
    ...(noDevices && { NODEV: MOUNT_ATTR.NODEV }),
  };
  if (readonly || noDevices) yield setAttributes("restrict the root", slot("root"), { set });
  yield attach(does, "root", "place");
}

function* mountMemory(arch: Arch, { fd, place, set, clear }: WorkerMount): Iterable<Op> {
  const does = "mount what lies in memory";
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, place, how, 0], { into: "place" });
  yield op(does, "dup3", [fd, MOVED_FD, named("O_CLOEXEC", O.CLOEXEC)], { into: "memory" });
  yield op(does, "close", [fd]);
  yield attach(does, "memory", "place");
  if (Object.keys(set).length > 0) yield setAttributes(does, slot("memory"), { set, clear });
  yield op(does, "close", [slot("place")]);
}

/** Lays the overlay over what slot `root` is; that slot is the overlay then. Its layers lie under it, out of sight. */
function* mountOverlay(
  arch: Arch,
  { fd, userMarks }: NonNullable<WorkerRoot["overlay"]>,
): Iterable<Op> {
  const does = "mount the overlay";
  yield op(does, "dup3", [fd, LAYERS_FD, named("O_CLOEXEC", O.CLOEXEC)], { into: "tmpfs" });
  yield op(does, "close", [fd]);
  yield attach(does, "tmpfs", "place");
  yield openOwn({ arch }, "tmpfs", "lower0", "lower");
  yield attach(does, "root", "lower");
  yield* joinLayers(does, { lowers: ["lower0"], userMarks }, "tmpfs", "root");
  yield op(does, "chdir", ["/"]);
}

const FAIL: readonly Op[] = [
  op("report the failure", "write", [FAILURE_FD, { address: "failed" }, 16], {
    label: "fail",
    failed: "over",
  }),
  op("end", "exit_group", [1], { label: "over", failed: "over" }),
];
