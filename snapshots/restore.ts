import { CGROUP_MODE } from "../ffi/criu.ts";
import { openDirectory } from "../ffi/directory.ts";
import type { Fd } from "../ffi/fd.ts";
import { openPidFd, reap, signalPidFd } from "../ffi/process.ts";
import { connect, sendWithFd } from "../ffi/socket.ts";
import { type Bundle, loadBundle } from "../runtime/bundle.ts";
import { EPOLLIN, reactor } from "../runtime/launch/reactor.ts";
import { checkFit, makeGroup } from "../runtime/lifecycle/create.ts";
import { intendedRecord } from "../runtime/lifecycle/intended.ts";
import { markGroups } from "../runtime/lifecycle/marks.ts";
import { writeMoves } from "../runtime/lifecycle/moves.ts";
import { NAMESPACE_FLAG } from "../runtime/plan/kernel.ts";
import { hasNoDevices } from "../runtime/plan/rootfs.ts";
import { annotatedOverlay } from "../runtime/overlay_choice.ts";
import { withNetworkAnnotations } from "../runtime/network.ts";
import { prepare, type Prepared } from "../runtime/prepare.ts";
import { checkId } from "../runtime/state/container_id.ts";
import { stdioNames } from "../runtime/state/descriptor_name.ts";
import { nameProcess } from "../runtime/state/liveness.ts";
import { type Entry, Store } from "../runtime/state/store.ts";
import { type Terminal, terminalOf } from "../runtime/supervise/terminal_streams.ts";
import { makeDirectory } from "./images.ts";
import { findCriu, type InstalledCriu } from "./installed.ts";
import { networkFor } from "./restored_network.ts";
import { kernelFindings } from "./kernel_findings.ts";
import { type ImageChanges, liveImages, placeIn, placesIn, removeLive } from "./live_images.ts";
import type { RestoredMemory } from "./memory/restored.ts";
import { makeMountTargets } from "./mount_targets.ts";
import { type Images, isNetworkMissing, openImagesSoon } from "./open_images.ts";
import { cgroupModeOf, emptyNamespaces, refuseLazyPages, switchesOf } from "./options.ts";
import { refusal } from "./refusal.ts";
import { inheritedFds, mountKeys, networkOf, OWN_STDIO, type Stdio } from "./restore_externals.ts";
import { refuseRestore, type RestoreOptions } from "./restore_options.ts";
import { Stages } from "./restore_stages.ts";
import { runCriu } from "./worker.ts";
import { FIRST_INHERITED_FD } from "./worker_plan.ts";

/** What CRIU's log of a restore is called. */
const LOG = "restore.log";
const WORK = "criu";
const SIGKILL = 9;

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
  const criu = findCriu(options.criu);
  const bundle = loadBundle(options.bundle ?? ".");
  const { images, verified } = await openImagesSoon(options.imagePath ?? "checkpoint");
  return await restoreInto(id, {
    criu,
    images,
    verified,
    bundle: () => bundle,
    options,
    stdio: OWN_STDIO,
    logPath: options.workPath ?? images.path,
  });
}

/** What a container is restored from. */
export interface Restoration {
  readonly criu: InstalledCriu;
  readonly images: Images;
  /** Resolves when nothing of them is left to be compared: CRIU may not read them before. */
  readonly verified?: Promise<void>;
  /** What it is restored under; it may come to lie in the directory of the container, which is there already. */
  readonly bundle: (entry: Entry) => Bundle;
  readonly options: RestoreOptions;
  /** The descriptors that take the place of stdin, stdout and stderr. */
  readonly stdio: Stdio;
  /** Images that are to be others than those of the checkpoint. */
  readonly change?: (bundle: Bundle) => ImageChanges;
  /** Runs when all of it is there and attested, and nothing of it runs. */
  readonly beforeResume?: (pid: number) => void;
  /** Where CRIU's log goes; without it, it is kept only until all went well. */
  readonly logPath?: string | undefined;
}

/** What {@linkcode restoreContainer} does, with everything that it finds out given. */
export async function restoreInto(id: string, restoration: Restoration): Promise<RestoredContainer> {
  const { criu, images, options, stdio } = restoration;
  const { manifest } = images;
  const mode = cgroupModeOf(options.manageCgroupsMode) ?? CGROUP_MODE.ignore;
  const emptied = emptyNamespaces(options.emptyNs);
  using entry = new Store(options.root).claim(id);
  await using parts = new AsyncDisposableStack();
  parts.defer(() => entry.remove());
  const bundle = restoration.bundle(entry);
  const overlay = annotatedOverlay(bundle.spec.annotations);
  const { network, connection } = await networkFor(id, bundle, restoration);
  if (connection) parts.use(connection);
  const request = prepare(
    { bundle, id, overlay, ...(network && { network }), ...(connection && { connection }) },
    { form: "detached" },
  );
  refuseRestore(request, options);
  const intended = {
    ...intendedRecord(id, bundle, request, stdioNames(stdio)),
    ...(connection && { network: connection.record }),
  };
  await checkFit(intended);
  entry.writeSpec(network ? withNetworkAnnotations(bundle.spec, network) : bundle.spec);
  entry.write(intended);
  const group = await makeGroup(request);
  parts.use(group);
  markGroups(entry, intended);
  const logs = makeDirectory(restoration.logPath ?? `${entry.path}/${WORK}`);
  using imagesDir = liveImages(images, entry, stdio, restoration.change?.(bundle));
  using workDir = openDirectory(logs)!;
  using fds = new DisposableStack();
  const inherited = inheritedFds(images, request, stdio, fds);
  const hasLayer = request.root.kind === "overlay" || manifest?.layer !== undefined;
  const layer = hasLayer ? await import("./layer/restored_upper.ts") : undefined;
  const layers = layer?.restoredUpper(images, request);
  if (layers) fds.use(layers);
  const mounts = [...mountKeys(images, { request, group, bundle: bundle.path })];
  if (!layers) makeMountTargets(intended.rootfs, { spec: request.spec, bundle: bundle.path });
  const memory = await restoredMemory(images, request, entry, fds);
  const more = [...(layers ? [layers] : []), ...memory.map(({ fd }) => fd)];
  const fdOf = (fd: Fd): number => FIRST_INHERITED_FD + inherited.length + more.indexOf(fd);
  await connection?.ready();
  const stages = new Stages(id, request, images, group, (pid) => {
    connection?.attachNow(pid);
    restoration.beforeResume?.(pid);
  });
  const isEmpty = manifest?.network !== "made" &&
    (emptied !== 0 || (manifest ? manifest.network === "empty" : isNetworkMissing(images.path)));
  const answer = await runCriu(
    criu,
    {
      arch: request.host.arch,
      program: criu.program,
      flags: ["--restore-sibling"],
      findings: await kernelFindings(criu),
      groups: intended.groups,
      network: networkOf(images, request),
      memory: memory.map((each) => ({ ...each, fd: fdOf(each.fd) })),
      ownGroups: request.spec.linux?.namespaces?.some(({ type }) => type === "cgroup") ?? false,
      root: {
        path: intended.rootfs,
        place: placeIn(entry),
        readonly: request.spec.root.readonly ?? false,
        noDevices: hasNoDevices(request.spec),
        ...(layers && {
          overlay: {
            fd: fdOf(layers),
            userMarks: layer!.hasUserMarks(request.spec),
          },
        }),
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
        verbose: restoration.logPath !== undefined,
        switches: [
          ...switchesOf(options),
          ...(connection ? ["tcp_close" as const] : []),
          "orphan_pts_master",
          "ext_masters",
          "ext_sharing",
        ],
        cgroupMode: mode,
        emptyNamespaces: isEmpty ? NAMESPACE_FLAG.network : 0,
        externals: [...mounts, ...memory.map(({ path, place }) => `mnt[${path}]:${place}`)],
      },
      inherited,
      more,
      ready: restoration.verified,
      onStage: (stage) => stages.reach(stage),
    },
  ).catch((error) => {
    stages.end();
    throw error;
  });
  if ("refused" in answer) {
    stages.end();
    throw refusal("restore", { id, log: `${logs}/${LOG}`, kept: restoration.logPath !== undefined });
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

/** What lies in memory, with where it is mounted for CRIU. */
async function restoredMemory(
  images: Images,
  { spec }: Prepared,
  entry: Entry,
  fds: DisposableStack,
): Promise<(RestoredMemory & { readonly place: string })[]> {
  if (!images.manifest?.memory) return [];
  const { restoredMemory } = await import("./memory/restored.ts");
  const found = restoredMemory(images, spec);
  const places = placesIn(entry, found.length);
  return found.map((each, index) => ({ ...each, fd: fds.use(each.fd), place: places[index]! }));
}

async function end(pid: number, process: Fd, streams: DisposableStack): Promise<number> {
  await reactor.ready(process, EPOLLIN);
  process[Symbol.dispose]();
  const { code, signal = 0 } = reap(pid, true) ?? { code: 0 };
  streams.dispose();
  return code ?? 128 + signal;
}

function sendTerminal(terminal: Fd | undefined, path: string | undefined): Fd | undefined {
  if (path === undefined || !terminal) return terminal;
  using sent = terminal;
  using socket = connect(path);
  sendWithFd(socket, new TextEncoder().encode("/dev/ptmx"), sent);
  return undefined;
}
