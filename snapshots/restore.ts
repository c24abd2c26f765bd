import { CGROUP_MODE } from "../ffi/criu.ts";
import { openDirectory } from "../ffi/directory.ts";
import type { Fd } from "../ffi/fd.ts";
import { openPidFd, reap, signalPidFd } from "../ffi/process.ts";
import { connect, sendWithFd } from "../ffi/socket.ts";
import { loadBundle } from "../runtime/bundle.ts";
import { UnsupportedError, UsageError } from "../runtime/errors.ts";
import { EPOLLIN, reactor } from "../runtime/launch/reactor.ts";
import { checkFit, makeGroup } from "../runtime/lifecycle/create.ts";
import { intendedRecord } from "../runtime/lifecycle/intended.ts";
import { writeMoves } from "../runtime/lifecycle/moves.ts";
import { NAMESPACE_FLAG } from "../runtime/plan/kernel.ts";
import { hasNoDevices } from "../runtime/plan/rootfs.ts";
import { prepare, type Prepared } from "../runtime/prepare.ts";
import { annotatedOverlay } from "../runtime/overlay_choice.ts";
import { checkId } from "../runtime/state/container_id.ts";
import { nameProcess } from "../runtime/state/liveness.ts";
import { Store } from "../runtime/state/store.ts";
import { type Terminal, terminalOf } from "../runtime/supervise/terminal_streams.ts";
import { refusal } from "./checkpoint.ts";
import { makeDirectory } from "./images.ts";
import { hasUserMarks, restoredUpper } from "./layer/restored_upper.ts";
import { findCriu } from "./installed.ts";
import { liveImages, placeIn, removeLive } from "./live_images.ts";
import { isNetworkMissing, openImages } from "./open_images.ts";
import { cgroupModeOf, type CriuOptions, emptyNamespaces, refuseLazyPages, switchesOf } from "./options.ts";
import { inheritedFds, mountKeys } from "./restore_externals.ts";
import { Stages } from "./restore_stages.ts";
import { runCriu } from "./worker.ts";
import { FIRST_INHERITED_FD } from "./worker_plan.ts";

/** What CRIU's log of a restore is called. */
const LOG = "restore.log";
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
  const overlay = annotatedOverlay(bundle.spec.annotations);
  const request = prepare({ bundle, id, overlay }, { form: "detached" });
  refuse(request, options);
  const images = await openImages(options.imagePath ?? "checkpoint");
  const { manifest } = images;
  using entry = new Store(options.root).claim(id);
  const intended = intendedRecord(id, bundle, request);
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
  const layers = restoredUpper(images, request);
  if (layers) fds.use(layers);
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
        ...(layers && {
          overlay: { fd: FIRST_INHERITED_FD + inherited.length, userMarks: hasUserMarks(request.spec) },
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
        switches: [...switchesOf(options), "orphan_pts_master", "ext_masters", "ext_sharing"],
        cgroupMode: mode,
        emptyNamespaces: isEmpty ? NAMESPACE_FLAG.network : 0,
        externals: [...mountKeys(images, { request, group, bundle: bundle.path })],
      },
      inherited,
      layers,
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

function sendTerminal(terminal: Fd | undefined, path: string | undefined): Fd | undefined {
  if (path === undefined || !terminal) return terminal;
  using sent = terminal;
  using socket = connect(path);
  sendWithFd(socket, new TextEncoder().encode("/dev/ptmx"), sent);
  return undefined;
}
