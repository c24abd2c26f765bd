import { resolve } from "@std/path";
import { CGROUP_MODE, type CriuStage } from "../ffi/criu.ts";
import { openDirectory } from "../ffi/directory.ts";
import { SyscallError } from "../ffi/errno.ts";
import type { Fd } from "../ffi/fd.ts";
import { openPidFd, reap, signalPidFd } from "../ffi/process.ts";
import { open } from "../ffi/fd.ts";
import { layered } from "../ffi/layers.ts";
import { connect, sendWithFd } from "../ffi/socket.ts";
import { parseMountinfo } from "../runtime/attest/parse.ts";
import { loadBundle } from "../runtime/bundle.ts";
import type { CgroupGroup } from "../runtime/cgroup/group.ts";
import { LifecycleError, UnsupportedError, UsageError } from "../runtime/errors.ts";
import { checkFit, groupsOf, makeGroup } from "../runtime/lifecycle/create.ts";
import { writeMoves } from "../runtime/lifecycle/moves.ts";
import { EPOLLIN, reactor } from "../runtime/launch/reactor.ts";
import { NAMESPACE_FLAG } from "../runtime/plan/kernel.ts";
import { hasNoDevices } from "../runtime/plan/rootfs.ts";
import { prepare, type Prepared } from "../runtime/prepare.ts";
import { checkId } from "../runtime/state/container_id.ts";
import { ownStdio } from "../runtime/state/descriptor_name.ts";
import { nameProcess } from "../runtime/state/liveness.ts";
import type { Record } from "../runtime/state/record.ts";
import { type Entry, Store } from "../runtime/state/store.ts";
import { type Terminal, terminalOf } from "../runtime/supervise/terminal_streams.ts";
import { attestRestored } from "./attest_restored.ts";
import { refusal, refuseOverlay } from "./checkpoint.ts";
import { configuredMounts, type LiveMounts, sourceOf } from "./external_mounts.ts";
import { substituteFiles, substituteOf } from "./files_image.ts";
import { makeDirectory } from "./images.ts";
import { findCriu } from "./installed.ts";
import { loopbackUp } from "./loopback.ts";
import { missingFeatures } from "./machine.ts";
import { type Manifest, readManifest, unusable } from "./manifest.ts";
import { cgroupModeOf, type CriuOptions, emptyNamespaces, refuseLazyPages, switchesOf } from "./options.ts";
import { checkSeals } from "./seals.ts";
import { keptFilters } from "./seccomp_image.ts";
import { runCriu } from "./worker.ts";

/** What CRIU's log of a restore is called. */
const LOG = "restore.log";
const DESCRIPTORS = "descriptors.json";
const FILES = "files.img";
const SIGKILL = 9;

/** Options of {@linkcode restoreContainer}. */
export interface RestoreOptions extends CriuOptions {
  /** Directory of the bundle: its config.json decides what the container may do. @default the working directory */
  readonly bundle?: string | undefined;
  /** Path of the Unix socket that gets the terminal, if the program has one; without it the caller must stay with it. */
  readonly consoleSocket?: string | undefined;
  /** The caller goes away. @default {false} */
  readonly detach?: boolean;
  /** Another AppArmor profile or SELinux label, as `apparmor:NAME`. */
  readonly lsmProfile?: string | undefined;
  /** Another SELinux context of mounts. */
  readonly lsmMountContext?: string | undefined;
  /** Hears the pid of its first process before the container counts as restored. */
  readonly onPid?: ((pid: number) => void | Promise<void>) | undefined;
}

/** A container that runs again. */
export interface RestoredContainer {
  /** Its first process. */
  readonly pid: number;
  /** Its terminal, if it has one that went to no socket. */
  readonly terminal?: Terminal;
  /** Resolves with the exit code of its first process, a child of this one: 128 + n if signal n has ended it. */
  wait(): Promise<number>;
}

/**
 * Makes a container from a checkpoint: its processes go on where they were, under what the bundle's config.json asks for
 * now. stdin, stdout and stderr are those of this process.
 *
 * @throws {SpecError} if the bundle is wrong.
 * @throws {LifecycleError} if there is a container of that name, or the images cannot be used.
 * @throws {AttestationError} if what the images hold is not what the bundle asks for.
 * @throws {UnsupportedError} if this version or host cannot do what was asked.
 */
export async function restoreContainer(id: string, options: RestoreOptions = {}): Promise<RestoredContainer> {
  checkId(id);
  refuseLazyPages(options);
  const mode = cgroupModeOf(options.manageCgroupsMode) ?? CGROUP_MODE.ignore;
  const emptied = emptyNamespaces(options.emptyNs);
  const criu = findCriu(options.criu);
  const bundle = loadBundle(options.bundle ?? ".");
  const request = prepare({ bundle, id, overlay: { kind: "none" } }, { form: "detached" });
  refuse(request, options);
  refuseOverlay(bundle.spec.annotations);
  const images = await openImages(options.imagePath ?? "checkpoint");
  const { manifest } = images;
  using entry = new Store(options.root).claim(id);
  const intended: Omit<Record, "version"> = {
    id,
    bundle: bundle.path,
    rootfs: resolve(bundle.path, bundle.spec.root.path),
    annotations: bundle.spec.annotations ?? {},
    created: new Date().toISOString(),
    owner: Deno.uid()!,
    phase: "creating",
    stdio: ownStdio(),
    ...groupsOf(request),
  };
  await using parts = new AsyncDisposableStack();
  parts.defer(() => entry.remove());
  await checkFit(intended);
  entry.writeSpec(bundle.spec);
  entry.write(intended);
  const group = await makeGroup(request);
  parts.use(group);
  const logs = options.workPath === undefined ? images.path : makeDirectory(options.workPath);
  using imagesDir = liveImages(images, entry);
  using workDir = openDirectory(logs)!;
  using fds = new DisposableStack();
  const inherited = inheritedFds(images, request, fds);
  const stages = new Stages(id, request, images, group);
  const isEmpty = emptied !== 0 || (manifest ? manifest.network === "empty" : isNetworkMissing(images.path));
  const answer = await runCriu(
    criu,
    {
      arch: request.host.arch,
      program: criu.program,
      flags: ["--restore-sibling"],
      groups: group?.directories ?? [],
      ownGroups: request.spec.linux?.namespaces?.some(({ type }) => type === "cgroup") ?? false,
      root: {
        path: intended.rootfs,
        place: placeIn(entry),
        readonly: request.spec.root.readonly ?? false,
        noDevices: hasNoDevices(request.spec),
      },
    },
    {
      what: "restore",
      request: {
        imagesDir,
        workDir,
        logFile: LOG,
        root: placeIn(entry),
        lsmProfile: options.lsmProfile,
        lsmMountContext: options.lsmMountContext,
        switches: [...switchesOf(options), "orphan_pts_master", "ext_masters", "ext_sharing"],
        cgroupMode: mode,
        emptyNamespaces: isEmpty ? NAMESPACE_FLAG.network : 0,
        externals: [...mountKeys(images, { request, group, bundle: bundle.path })],
      },
      inherited,
      onStage: (stage) => stages.reach(stage),
    },
  ).catch((error) => {
    stages.end();
    throw error;
  });
  if ("refused" in answer) {
    stages.end();
    throw refusal("restore", { id, log: `${logs}/${LOG}`, kept: true });
  }
  removeLive(entry);
  const pid = answer.result;
  const process = openPidFd(pid);
  parts.defer(() => {
    signalPidFd(process, SIGKILL);
  });
  const streams = new DisposableStack();
  const side = sendTerminal(stages.terminal, options.consoleSocket);
  const terminal = side && terminalOf(side, streams);
  await options.onPid?.(pid);
  const record = { ...intended, phase: "created", init: nameProcess(pid) } as const;
  entry.write(record);
  writeMoves(entry, record);
  parts.move(); // the container's own from here on
  return { pid, ...(terminal && { terminal }), wait: () => end(pid, process, streams) };
}

async function end(pid: number, process: Fd, streams: DisposableStack): Promise<number> {
  await reactor.ready(process, EPOLLIN);
  process[Symbol.dispose]();
  const { code, signal = 0 } = reap(pid, true) ?? { code: 0 };
  streams.dispose();
  return code ?? 128 + signal;
}

/** Follows CRIU through a restore. */
class Stages {
  terminal: Fd | undefined;
  #pid = 0;

  constructor(
    readonly id: string,
    readonly request: Prepared,
    readonly images: Images,
    readonly group: CgroupGroup | undefined,
  ) {}

  reach({ name, pid, terminal }: CriuStage): void {
    if (pid > 0) this.#pid = pid;
    if (terminal) {
      this.terminal?.[Symbol.dispose]();
      this.terminal = terminal;
    }
    if (name === "setup-namespaces" && this.#hasOwnNetwork) loopbackUp(pid, this.request.host.arch);
    // All is there but nothing runs: CRIU holds every process.
    if (name === "pre-resume") this.#attest();
  }

  #attest(): void {
    const pids = this.group ? inNamespaceOf(this.#pid, this.group.members) : [this.#pid];
    try {
      const filters = keptFilters(this.images.path);
      attestRestored({ id: this.id, pid: this.#pid, pids, request: this.request, filters });
    } catch (error) {
      for (const each of pids) kill(each); // CRIU would let them go on all the same
      throw error;
    }
  }

  /** Ends what there is of the container, when CRIU has ended: before that it keeps the dead from their parent. */
  end(): void {
    this.terminal?.[Symbol.dispose]();
    this.terminal = undefined;
    if (this.#pid === 0) return;
    kill(this.#pid); // with the first process of a pid namespace all others end
    reap(this.#pid, true);
  }

  get #hasOwnNetwork(): boolean {
    const namespace = this.request.spec.linux?.namespaces?.find(({ type }) => type === "network");
    return namespace !== undefined && namespace.path === undefined;
  }
}

function kill(pid: number): void {
  try {
    using process = openPidFd(pid);
    signalPidFd(process, SIGKILL);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error; // it has ended
  }
}

/** CRIU itself is in the cgroup as well, outside of the container's pid namespace. */
function inNamespaceOf(init: number, pids: readonly number[]): number[] {
  const namespace = (pid: number): string | undefined => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/ns/pid`);
    } catch {
      return undefined;
    }
  };
  const own = namespace(init);
  return pids.filter((pid) => namespace(pid) === own);
}

function refuse({ spec, filter }: Prepared, { consoleSocket, detach }: RestoreOptions): void {
  if (spec.process?.terminal && detach && consoleSocket === undefined) {
    throw new UsageError("cannot allocate tty if runtime will detach without setting console socket");
  }
  if (consoleSocket !== undefined && !spec.process?.terminal) {
    throw new UsageError(
      "Cannot use --console-socket: the program has no terminal, process.terminal is not true",
    );
  }
  if (Object.values(spec.hooks ?? {}).some((each) => each.length > 0)) {
    throw new UnsupportedError("/hooks", "this version runs none in a restore", "leave them out");
  }
  if (Object.keys(spec.linux?.netDevices ?? {}).length > 0) {
    throw new UnsupportedError("/linux/netDevices", "this version moves none in a restore", "leave them out");
  }
  if (filter?.notify) {
    throw new UnsupportedError(
      "/linux/seccomp",
      "CRIU cannot restore a filter that asks user space",
      "leave it out",
    );
  }
}

/** The images of a checkpoint. */
export interface Images {
  /** Absolute path of their directory. */
  readonly path: string;
  /** What is known of them; nothing if another runtime has written them. */
  readonly manifest: Manifest | undefined;
  /** What stdin, stdout and stderr led to. */
  readonly links: readonly string[];
}

/**
 * Looks at images before anything is done with them.
 *
 * @throws {LifecycleError} if they are not whole, or not for this machine.
 */
async function openImages(given: string): Promise<Images> {
  const path = resolve(given);
  if (!exists(path)) throw new LifecycleError(`Cannot restore from "${path}": there is no such directory`);
  const manifest = readManifest(path);
  if (manifest) {
    if (manifest.kind === "pre") throw unusable(path, "it holds only memory, as --pre-dump asked for");
    if (manifest.arch !== Deno.build.arch) throw unusable(path, `it is of a machine of ${manifest.arch}`);
    const missing = missingFeatures(manifest.cpu);
    if (missing.length > 0) {
      throw unusable(path, `it is of a processor with ${missing.join(", ")}, which this one lacks`);
    }
    await checkSeals(path, manifest.seals);
  } else if (!exists(`${path}/inventory.img`)) throw unusable(path, "it holds no images of CRIU");
  return { path, manifest, links: readLinks(path) };
}

function readLinks(path: string): readonly string[] {
  try {
    const links: unknown = JSON.parse(Deno.readTextFileSync(`${path}/${DESCRIPTORS}`));
    return Array.isArray(links) ? links.filter((each) => typeof each === "string") : [];
  } catch {
    return []; // CRIU says what it misses
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}

/** Whether the images say nothing of network devices, as runc's never do. */
function isNetworkMissing(path: string): boolean {
  return !Array.from(Deno.readDirSync(path)).some(({ name }) =>
    name.startsWith("netdev-") || name.startsWith("netns-")
  );
}

/** Where the root is mounted for CRIU: the host sees nothing of that. */
function placeIn(entry: Entry): string {
  const place = resolve(entry.path, "root"); // CRIU works in another directory
  Deno.mkdirSync(place, { recursive: true, mode: 0o700 });
  return place;
}

/**
 * The images as CRIU is to read them: with what stdin, stdout and stderr are now. Nothing is copied. Their own directory is
 * closed to others; here processes of another user namespace may look for images, and nobody else can come.
 */
function liveImages({ path, manifest }: Images, entry: Entry): Fd {
  const files = manifest?.files.filter(({ key }) => key.startsWith("file[")) ?? [];
  const changed = `${entry.path}/images`;
  Deno.mkdirSync(changed, { mode: 0o711 });
  if (files.length > 0) {
    const substitutes = new Map(files.map(({ key, stdio }) => [key, substituteOf(stdio)]));
    Deno.writeFileSync(
      `${changed}/${FILES}`,
      substituteFiles(Deno.readFileSync(`${path}/${FILES}`), substitutes),
    );
  }
  return layered([changed, path]);
}

/** The mounts that CRIU takes from the host, each with its source by the config of now. */
function* mountKeys(
  { path, manifest }: Images,
  { request: { spec }, group, bundle }: {
    readonly request: Prepared;
    readonly group: CgroupGroup | undefined;
    readonly bundle: string;
  },
): Iterable<string> {
  if (!manifest) {
    for (const [mount, source] of configuredMounts({ spec, bundle })) yield `mnt[${mount}]:${source}`;
    return;
  }
  const host = parseMountinfo(Deno.readTextFileSync("/proc/self/mountinfo"));
  const live: LiveMounts = { spec, bundle, host, groups: group?.directories ?? [] };
  for (const mount of manifest.mounts) {
    const source = sourceOf(mount, live);
    if (source === undefined) {
      throw unusable(path, `it has a mount at "${mount.path}", which config.json does not ask for`);
    }
    yield `mnt[${mount.path}]:${source}`;
  }
}

/** What takes the place of the host's files, pipes and namespaces. */
function inheritedFds(
  { manifest, links }: Images,
  { spec }: Prepared,
  stack: DisposableStack,
): { fd: number; key: string }[] {
  const files = manifest?.files ??
    links.flatMap((key, stdio) => key.includes("pipe:") ? [{ key, stdio }] : []);
  const namespaces = [["network", "extRootNetNS"], ["pid", "extRootPidNS"]].flatMap(([type, key]) => {
    const path = spec.linux?.namespaces?.find((each) => each.type === type)?.path;
    return path === undefined ? [] : [{ fd: stack.use(open(path, 0)).raw, key: key! }];
  });
  return [...files.map(({ key, stdio }) => ({ fd: stdio, key })), ...namespaces];
}

function sendTerminal(terminal: Fd | undefined, path: string | undefined): Fd | undefined {
  if (path === undefined || !terminal) return terminal;
  using sent = terminal;
  using socket = connect(path);
  sendWithFd(socket, new TextEncoder().encode("/dev/ptmx"), sent);
  return undefined;
}

/** Removes what only CRIU needed. */
function removeLive(entry: Entry): void {
  for (const name of ["images", "root"]) {
    try {
      Deno.removeSync(`${entry.path}/${name}`, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
