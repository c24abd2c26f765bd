import { CGROUP_MODE } from "../ffi/criu.ts";
import { openDirectory } from "../ffi/directory.ts";
import type { Fd } from "../ffi/fd.ts";
import { openPidFd, signalPidFd } from "../ffi/process.ts";
import { connect, sendWithFd } from "../ffi/socket.ts";
import { type Bundle, loadBundle } from "../runtime/bundle.ts";
import { checkFit, makeGroup } from "../runtime/lifecycle/create.ts";
import { intendedRecord } from "../runtime/lifecycle/intended.ts";
import { markGroups } from "../runtime/lifecycle/marks.ts";
import { NAMESPACE_FLAG } from "../runtime/plan/kernel.ts";
import { hasNoDevices } from "../runtime/plan/rootfs.ts";
import { placedByLinks } from "../runtime/mount_places.ts";
import { annotatedOverlay } from "../runtime/overlay_choice.ts";
import { withNetworkAnnotations } from "../runtime/network.ts";
import { prepare, type Prepared } from "../runtime/prepare.ts";
import type { Spec } from "../runtime/spec/config.ts";
import { hasHooks } from "../runtime/spec/state.ts";
import { checkId } from "../runtime/state/container_id.ts";
import { stdioNames } from "../runtime/state/descriptor_name.ts";
import { nameProcess } from "../runtime/state/liveness.ts";
import { type Entry, Store } from "../runtime/state/store.ts";
import { terminalOf } from "../runtime/supervise/terminal_streams.ts";
import { criuConfig } from "./criu_config.ts";
import { makeDirectory } from "./images.ts";
import { findCriu, type InstalledCriu } from "./installed.ts";
import type { Pages } from "./pager/pages.ts";
import type { Pagers } from "./pager/pagers.ts";
import { pagesOf } from "./pager/option.ts";
import { networkFor } from "./restored_network.ts";
import { kernelFindings } from "./kernel_findings.ts";
import { type ImageChanges, liveImages, placeIn, placesIn, removeLive } from "./live_images.ts";
import type { RestoredMemory } from "./memory/restored.ts";
import { loadForRestore, restoreFlags } from "./load_for_restore.ts";
import { makeMountTargets } from "./mount_targets.ts";
import { descend } from "./descend.ts";
import { type Images, isNetworkMissing, kindOf, openImagesSoon, openLightImages } from "./open_images.ts";
import { cgroupModeOf, emptyNamespaces, switchesOf } from "./options.ts";
import { unusable } from "./own_file.ts";
import { refusal } from "./refusal.ts";
import { inheritedFds, mountKeys, networkOf, OWN_STDIO, type Stdio } from "./restore_externals.ts";
import type { RestoreHooks } from "./restore_hooks.ts";
import { refuseRestore, type RestoreOptions } from "./restore_options.ts";
import { Stages } from "./restore_stages.ts";
import { restored, type RestoredContainer } from "./restored_container.ts";
import type { WaitingCriu } from "./waiting.ts";
import { RestoredNote } from "./restored_note.ts";
import { runCriu } from "./worker.ts";
import { FIRST_INHERITED_FD } from "./worker_plan.ts";

/** What CRIU's log of a restore is called. */
const LOG = "restore.log";
const WORK = "criu";
const SIGKILL = 9;

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
  const bundle = loadBundle(options.bundle ?? ".");
  const path = options.imagePath ?? "checkpoint";
  const wanted = { id, bundle, options, stdio: OWN_STDIO };
  return await descend(wanted, {
    kind: () => kindOf(path),
    full: async () => {
      const criu = findCriu(options.criu);
      const isLazy = options.lazyPages === true || options.pages === "lazy";
      await using waiting = loadForRestore(criu, path, { isLazy });
      const { images, verified } = await openImagesSoon(path);
      const logPath = options.workPath ?? images.path;
      using lent = await pagesOf(images, options);
      return await restoreInto(id, {
        ...wanted,
        criu,
        waiting,
        images,
        verified,
        pages: lent?.pages,
        bundle: () => bundle,
        logPath,
      });
    },
    light: () => openLightImages(path),
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
  /** Its memory, if that is to be brought in when it is touched. */
  readonly pages?: Pages | undefined;
  /** A CRIU that {@linkcode loadForRestore} has loaded for it; it stays the caller's. */
  readonly waiting?: WaitingCriu | undefined;
  /** Images that are to be others than those of the checkpoint. */
  readonly change?: (bundle: Bundle) => ImageChanges;
  /** Runs when all of it is there and attested, and nothing of it runs. */
  readonly beforeResume?: (pid: number) => void;
  /** Where CRIU's log goes; without it, it is kept only until all went well. */
  readonly logPath?: string | undefined;
}

/** What {@linkcode restoreContainer} does, with everything that it finds out given. */
export async function restoreInto(id: string, restoration: Restoration): Promise<RestoredContainer> {
  const { criu, images, options, stdio, pages } = restoration;
  const { manifest } = images;
  if (manifest?.pages === "served" && !options.lazyPages) {
    throw unusable(
      images.path,
      "its memory was served, and is there only for --lazy-pages and who fetches it",
    );
  }
  const mode = cgroupModeOf(options.manageCgroupsMode) ?? CGROUP_MODE.ignore;
  const bearsInGroups = mode === CGROUP_MODE.ignore; // otherwise CRIU moves each process into the group that it had
  const emptied = emptyNamespaces(options.emptyNs);
  using entry = new Store(options.root).claim(id);
  await using parts = new AsyncDisposableStack();
  parts.defer(() => entry.remove());
  const bundle = restoration.bundle(entry);
  const isLazy = options.lazyPages === true || pages !== undefined;
  await using waiting = restoration.waiting ?? loadForRestore(criu, images.path, { isLazy });
  const overlay = annotatedOverlay(bundle.spec.annotations);
  const config = criuConfig(bundle.spec.annotations);
  const logFile = config.logFile ?? LOG;
  const { network, connection } = await networkFor(id, bundle, restoration);
  if (connection) parts.use(connection);
  const request = prepare(
    { bundle, id, overlay, ...(network && { network }), ...(connection && { connection }) },
    { form: "detached" },
  );
  refuseRestore(request, options);
  const hooks = await hooksOf(id, request, restoration, emptied !== 0);
  const intended = {
    ...intendedRecord(id, bundle, request, stdioNames(stdio)),
    ...(hooks && { hooks: hooks.later }),
    ...(connection && { network: connection.record }),
  };
  await checkFit(intended);
  entry.writeSpec(network ? withNetworkAnnotations(bundle.spec, network) : bundle.spec);
  entry.write(intended);
  const group = await makeGroup(request);
  parts.use(group);
  const logs = makeDirectory(restoration.logPath ?? `${entry.path}/${WORK}`);
  const changes = (): ImageChanges =>
    new Map([...restoration.change?.(bundle) ?? [], ...pages?.changes ?? []]);
  using workDir = openDirectory(logs)!;
  const lazy = pages && await import("./pager/pagers.ts");
  using serving = new DisposableStack();
  let pagers: Pagers | undefined;
  using fds = new DisposableStack(); // which CRIU has taken by its second stage
  const inherited = inheritedFds(images, request, stdio, fds);
  const hasLayer = request.root.kind === "overlay" || manifest?.layer !== undefined;
  const layer = hasLayer ? await import("./layer/restored_upper.ts") : undefined;
  const layers = layer?.restoredUpper(images, request);
  if (layers) fds.use(layers);
  // The images say where they are, and not by which links they got there.
  const placed = placedByLinks(request.spec.mounts ?? [], intended.rootfs);
  const spec = { ...request.spec, mounts: placed };
  const memory = await restoredMemory(images, spec, entry, fds);
  const more = [...(layers ? [layers] : []), ...memory.map(({ fd }) => fd)];
  const fdOf = (fd: Fd): number => FIRST_INHERITED_FD + inherited.length + more.indexOf(fd);
  await connection?.ready();
  if (hooks) parts.defer(() => hooks.afterEnd());
  const stages = new Stages(id, request, images, group, {
    beforeMounts: (pid) => {
      pagers?.begin(pid);
      if (!hooks) return;
      entry.write({ ...intended, init: nameProcess(pid) }); // they may ask for its state
      hooks.beforeMounts(pid);
    },
    beforeResume: (pid) => {
      connection?.attachNow(pid);
      restoration.beforeResume?.(pid);
    },
  });
  const isEmpty = manifest?.network !== "made" &&
    (emptied !== 0 || (manifest ? manifest.network === "empty" : isNetworkMissing(images.path)));
  const note = new RestoredNote(entry, intended);
  const finish = (): void => {
    note.write(stages.pid);
    removeLive(entry);
  };
  let finished: Promise<void> | undefined;
  /** What takes no time from anybody, since CRIU is at work, by the stage that it has its answer to. */
  const besides: Readonly<Record<string, () => void>> = {
    "post-setup-namespaces": () => {
      fds.dispose();
      note.prepare(stages.pid);
    },
    "post-restore": () => stages.look(),
    "post-resume": finish, // CRIU takes a while to end
  };
  const answer = await runCriu(
    criu,
    {
      arch: request.host.arch,
      program: criu.program,
      flags: restoreFlags(isLazy),
      findings: await kernelFindings(criu),
      groups: bearsInGroups ? intended.groups : [],
      network: networkOf(images, request),
      memory: memory.map((each) => ({ ...each, fd: fdOf(each.fd) })),
      ownGroups: bearsInGroups &&
        (request.spec.linux?.namespaces?.some(({ type }) => type === "cgroup") ?? false),
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
      request: () => {
        // It gets ready: what only its work needs is made now.
        markGroups(entry, intended);
        if (!layers) makeMountTargets(intended.rootfs, { spec, bundle: bundle.path });
        pagers = lazy && serving.use(new lazy.Pagers(pages!, entry, workDir));
        return {
          imagesDir: fds.use(liveImages(images, entry, stdio, changes())),
          workDir,
          logFile,
          root: placeIn(entry),
          lsmProfile: options.lsmProfile,
          lsmMountContext: options.lsmMountContext,
          verbose: restoration.logPath !== undefined,
          switches: [
            ...new Set([...switchesOf(options), ...config.switches]),
            ...(connection ? ["tcp_close" as const] : []),
            "orphan_pts_master",
            "ext_masters",
            "ext_sharing",
          ],
          cgroupMode: mode,
          emptyNamespaces: isEmpty ? NAMESPACE_FLAG.network : 0,
          externals: [
            ...mountKeys(images, { spec, group, bundle: bundle.path }),
            ...memory.map(({ path, place }) => `mnt[${path}]:${place}`),
          ],
        };
      },
      inherited,
      more,
      waiting,
      mountsIn: bearsInGroups ? undefined : Deno.realPathSync(logs),
      ready: restoration.verified,
      onStage: (stage) => {
        if (stage.name === "pre-resume") pagers?.settle(); // from here on its memory is looked at
        stages.reach(stage);
        const todo = besides[stage.name];
        const done = todo && whenAnswered(todo);
        done?.catch(() => {}); // what failed is tried again when it is needed
        if (todo === finish) finished = done;
      },
      meanwhile: () => {
        try {
          stages.prepare();
        } catch {
          // It is said when it is needed; CRIU is at work.
        }
      },
    },
  ).catch((error) => {
    stages.end();
    throw error;
  });
  if ("refused" in answer) {
    stages.end();
    throw refusal("restore", { id, log: `${logs}/${logFile}`, kept: restoration.logPath !== undefined });
  }
  const pid = answer.result;
  const process = openPidFd(pid);
  parts.defer(() => {
    signalPidFd(process, SIGKILL);
  });
  await (finished ?? finish());
  const streams = new DisposableStack();
  const side = sendTerminal(stages.terminal, options.consoleSocket);
  const terminal = side && terminalOf(side, streams);
  await options.onPid?.(pid);
  await hooks?.afterStart(pid, process);
  parts.move(); // the container's own from here on
  return restored({ pid, process, rung: "full" }, { terminal, streams });
}

/** Runs something when CRIU has its answer to a stage: what hears of a message comes behind that, and soon. */
function whenAnswered(todo: () => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    resolve();
  };
  port2.postMessage(undefined);
  return promise.then(todo);
}

/** The hooks around it, and what comes with them; nothing if there are none. */
async function hooksOf(
  id: string,
  request: Prepared,
  { images }: Restoration,
  isEmptied: boolean,
): Promise<RestoreHooks | undefined> {
  const devices = Object.keys(request.spec.linux?.netDevices ?? {}).length > 0;
  if (!hasHooks(request.spec) && !devices) return undefined;
  return new (await import("./restore_hooks.ts")).RestoreHooks(id, request, images, isEmptied);
}

/** What lies in memory, with where it is mounted for CRIU. */
async function restoredMemory(
  images: Images,
  spec: Spec,
  entry: Entry,
  fds: DisposableStack,
): Promise<(RestoredMemory & { readonly place: string })[]> {
  if (!images.manifest?.memory) return [];
  const { restoredMemory } = await import("./memory/restored.ts");
  const found = restoredMemory(images, spec);
  const places = placesIn(entry, found.length);
  return found.map((each, index) => ({ ...each, fd: fds.use(each.fd), place: places[index]! }));
}

function sendTerminal(terminal: Fd | undefined, path: string | undefined): Fd | undefined {
  if (path === undefined || !terminal) return terminal;
  using sent = terminal;
  using socket = connect(path);
  sendWithFd(socket, new TextEncoder().encode("/dev/ptmx"), sent);
  return undefined;
}
