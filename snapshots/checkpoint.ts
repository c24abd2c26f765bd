import { resolve } from "@std/path";
import { CGROUP_MODE, NETWORK_LOCK } from "../ffi/criu.ts";
import { openDirectory } from "../ffi/directory.ts";
import { isFrozen } from "../runtime/cgroup/frozen.ts";
import { EPOLLIN, reactor } from "../runtime/launch/reactor.ts";
import { parseMountinfo } from "../runtime/attest/parse.ts";
import { LifecycleError, UnsupportedError, UsageError } from "../runtime/errors.ts";
import { probeHost } from "../runtime/host/probe.ts";
import { annotatedOverlay } from "../runtime/overlay_choice.ts";
import { groupOf, type Known, lockContainer, specOf } from "../runtime/lifecycle/container.ts";
import { deleteLocked } from "../runtime/lifecycle/delete.ts";
import { statusOf } from "../runtime/lifecycle/status.ts";
import { NAMESPACE_FLAG } from "../runtime/plan/kernel.ts";
import type { Spec } from "../runtime/spec/config.ts";
import { hold } from "../runtime/state/liveness.ts";
import { type ExternalFile, externalFiles, linksOf } from "./descriptors.ts";
import { copiedUp, type ExternalMount, externalMounts } from "./external_mounts.ts";
import { criuConfig } from "./criu_config.ts";
import { earlierImages } from "./earlier_images.ts";
import { makeDirectory, Stage } from "./images.ts";
import { findCriu } from "./installed.ts";
import { LayerKeeper } from "./layer/keeper.ts";
import { refuseLostNames } from "./link_remaps.ts";
import { MemoryKeeper } from "./memory/keeper.ts";
import { type MemoryMount, memoryMounts } from "./memory/which.ts";
import { encodeManifest, MANIFEST, type Manifest } from "./manifest.ts";
import { type CheckpointOptions, CONFIG, type FinishedCheckpoint } from "./checkpoint_options.ts";
import { cgroupModeOf, emptyNamespaces, switchesOf } from "./options.ts";
import { pageFlags, refusePages, tellServing } from "./page_server.ts";
import { fetchAll } from "./pager/fetch.ts";
import { refusal } from "./refusal.ts";
import { cpuFeatures, kernelRelease } from "./machine.ts";
import { runCriu } from "./worker.ts";

/** What CRIU's log of a checkpoint is called. */
const LOG = "dump.log";
const DESCRIPTORS = "descriptors.json";
/** A removed file that is still open is kept with the images up to this size. */
const GHOST_LIMIT_BYTES = 64 << 20;

/**
 * Writes the state of a running container to a directory. Unless it is left running, it is gone afterwards with all
 * that belonged to it. If anything fails it goes on as if nothing had been.
 *
 * @throws {LifecycleError} if it does not run, or CRIU cannot do it, which is said with what its log says.
 * @throws {UnsupportedError} if something asked for cannot be done here.
 */
export async function checkpointContainer(id: string, options: CheckpointOptions = {}): Promise<void> {
  await writeCheckpoint(id, options);
}

/** What {@linkcode checkpointContainer} does. */
export async function writeCheckpoint(id: string, options: FinishedCheckpoint): Promise<void> {
  if (options.light) return await (await import("./light/write.ts")).writeLight(id, options);
  refuseCheckpoint(options);
  const mode = cgroupModeOf(options.manageCgroupsMode) ?? CGROUP_MODE.ignore; // CRIU mounts every hierarchy otherwise
  const empty = emptyNamespaces(options.emptyNs);
  const criu = findCriu(options.criu);
  using container = await lockContainer(id, options);
  const status = statusOf(container, true);
  if (status === "created" || status === "stopped") {
    throw new LifecycleError(`Container cannot be checkpointed in ${status} state`);
  }
  const spec = await specOf(container);
  const { init, groups } = container.record;
  await fetchAll(container.entry, () => groups.length > 0 ? groupOf(container).members : [init!.pid]);
  const config = criuConfig(container.record.annotations);
  const logFile = config.logFile ?? LOG;
  using process = hold(init!);
  if (!process) throw new LifecycleError("Container cannot be checkpointed in stopped state");
  const found = look(container, spec);
  const isConnected = container.record.network !== undefined;
  const whole = isConnected ? networkOfConnected(spec, options) : networkOf(spec, empty, options);
  // CRIU works in the network that it is to make anew; what serves pages is outside of that.
  const network = whole === "made" && options.pageServer !== undefined ? "empty" : whole;
  using stage = new Stage(options.imagePath ?? "checkpoint");
  const logs = options.workPath === undefined ? stage.path : makeDirectory(options.workPath);
  using imagesDir = openDirectory(stage.path)!;
  using workDir = openDirectory(logs)!;
  const { arch } = probeHost();
  const hasLayer = !options.preDump && annotatedOverlay(container.record.annotations).kind !== "none";
  const { rootfs } = container.record;
  using layer = hasLayer ? new LayerKeeper({ pid: init!.pid, arch, rootfs, spec }) : undefined;
  using memory = found.memory.length === 0 || options.preDump ? undefined : new MemoryKeeper({
    pid: init!.pid,
    arch,
    mounts: found.memory,
    spec,
    lookAgain: () => look(container, spec).memory,
  });
  const goesOn = options.leaveRunning === true || options.preDump === true;
  const { sealAllNow } = await import("./seal_now.ts");
  const begun = await import("./light/begun.ts");
  const complete = (): void => {
    Deno.writeTextFileSync(`${stage.path}/${DESCRIPTORS}`, JSON.stringify(found.links));
    Deno.writeTextFileSync(`${stage.path}/${CONFIG}`, container.entry.readSpec());
    const captured = layer?.finish(stage.path);
    const kept = memory?.finish(stage.path);
    const manifest: Omit<Manifest, "version"> = {
      id,
      created: new Date().toISOString(),
      kernel: kernelRelease(),
      arch: Deno.build.arch,
      cpu: cpuFeatures(),
      kind: options.preDump ? "pre" : "full",
      bundle: container.record.bundle,
      mounts: found.mounts,
      files: found.files,
      network,
      ...(isConnected && { isConnected }),
      ...(options.parentPath !== undefined && { parent: options.parentPath }),
      ...(captured && { layer: captured }),
      ...(kept && { memory: kept }),
      ...(options.pageServer !== undefined &&
        { pages: options.lazyPages ? "served" as const : "elsewhere" as const }),
      seals: sealAllNow(stage.path),
    };
    Deno.writeTextFileSync(`${stage.path}/${MANIFEST}`, encodeManifest(manifest));
    options.finish?.(stage.path, manifest);
    stage.commit(MANIFEST, earlierImages);
  };
  const answer = await runCriu(criu, {
    arch,
    program: criu.program,
    flags: pageFlags(options),
    ...(network === "made" && { network: `/proc/${init!.pid}/ns/net` }),
  }, {
    what: options.preDump ? "pre_dump" : "dump",
    request: () => ({
      pid: init!.pid,
      imagesDir,
      workDir,
      parentImages: options.parentPath,
      logFile,
      // That a page server cannot be reached is no error to CRIU; else some thousand lines, while everything is held.
      verbose: options.workPath !== undefined || options.pageServer !== undefined,
      root: rootfs,
      freezeCgroup: freezerOf(container),
      switches: [
        ...new Set([...switchesOf(options), ...config.switches]),
        ...(isConnected ? ["tcp_close" as const] : []),
        "orphan_pts_master",
        "ext_masters",
        "ext_sharing",
        ...(options.leaveRunning ? ["leave_running" as const] : []),
        ...(options.preDump ? ["track_mem" as const] : []),
      ],
      cgroupMode: mode,
      networkLock: options.tcpEstablished ? NETWORK_LOCK.nftables : NETWORK_LOCK.skip,
      emptyNamespaces: network === "empty" ? NAMESPACE_FLAG.network : 0,
      ghostLimitBytes: GHOST_LIMIT_BYTES,
      externals: [...externalKeys(found), ...externalNamespaces(spec, init!.pid)],
    }),
    onStage: ({ name }) => {
      if (name === "status-ready" && options.statusFd !== undefined && !tellServing(options.statusFd)) {
        options.onWarning?.("can't write \\0 to status fd");
      }
      if (name !== "post-dump") return;
      // The memory is written, and all processes are still held: the files are those that belong to it.
      if (!options.preDump) {
        begun.writeBegun(stage.path, begun.begunOf(init!.pid, spec));
      }
      layer?.capture(stage.path);
      memory?.capture(stage.path);
      // Those that CRIU is to end are ended only when the checkpoint is there and would outlast a power cut.
      if (!goesOn) complete();
    },
  });
  if ("refused" in answer) {
    stage.revoke();
    throw refusal("checkpoint", { id, log: `${logs}/${logFile}`, kept: options.workPath !== undefined });
  }
  if (goesOn) {
    refuseLostNames(id, stage.path, { mounts: found.paths, root: hasLayer, external: found.mounts });
    return complete();
  }
  stage.follow();
  await reactor.ready(process, EPOLLIN); // CRIU has killed it
  await deleteLocked(container, options);
}

function refuseCheckpoint(options: CheckpointOptions): void {
  refuseParent(options);
  refusePages(options);
}

/** Images to build upon that are not there are not left to CRIU, which ends without a word. */
function refuseParent({ parentPath, imagePath = "checkpoint" }: CheckpointOptions): void {
  if (parentPath === undefined) return;
  if (parentPath.startsWith("/")) throw new UsageError("--parent-path must be relative");
  const path = `${imagePath}/${parentPath}`;
  try {
    if (Deno.statSync(resolve(path)).isDirectory) return;
  } catch (error) {
    throw new UsageError(`invalid --parent-path: ${path}: ${error instanceof Error ? error.message : error}`);
  }
  throw new UsageError(`invalid --parent-path: ${path}: not a directory`);
}

interface Found {
  /** Where it has mounts of its own namespace. */
  readonly paths: readonly string[];
  readonly links: readonly string[];
  readonly mounts: readonly ExternalMount[];
  readonly files: readonly ExternalFile[];
  readonly memory: readonly MemoryMount[];
}

/** What of a container is not its own. It is looked at while it runs: what it changes meanwhile CRIU refuses. */
function look(container: Known, spec: Spec): Found {
  const { linux } = spec;
  const { init, groups, stdio = [] } = container.record;
  const pid = init!.pid;
  const own = linux?.namespaces?.some(({ type }) => type === "mount") ?? false;
  const read = (path: string): string => Deno.readTextFileSync(path);
  const lines = parseMountinfo(own ? read(`/proc/${pid}/mountinfo`) : "");
  const host = parseMountinfo(read("/proc/self/mountinfo"));
  const above = copiedUp(lines, host);
  if (above !== undefined) {
    throw new UnsupportedError(
      "a checkpoint",
      `what was written to "${above}", which is mounted with tmpcopyup, cannot be kept`,
      "leave tmpcopyup out",
    );
  }
  return {
    paths: lines.map(({ path }) => path),
    links: linksOf(pid),
    mounts: externalMounts(lines, host),
    memory: memoryMounts(lines, host, spec),
    files: externalFiles(stdio, groups.length > 0 ? groupOf(container).members : [pid]),
  };
}

function externalKeys({ mounts, memory, files }: Found): string[] {
  return [
    ...[...mounts, ...memory].map(({ path }) => `mnt[${path}]:${path}`),
    ...files.flatMap(({ key }) => key.startsWith("file[") ? [key] : []),
  ];
}

/** Network namespaces that others made: CRIU finds them by inode, a restore by these names, which runc uses too. */
function externalNamespaces({ linux }: Spec, pid: number): string[] {
  const names = [["network", "net", "extRootNetNS"], ["pid", "pid", "extRootPidNS"]] as const;
  return names.flatMap(([type, file, key]) => {
    if (!linux?.namespaces?.some((each) => each.type === type && each.path !== undefined)) return [];
    const inode = /\[(\d+)\]/.exec(Deno.readLinkSync(`/proc/${pid}/ns/${file}`))?.[1];
    return [`${file}[${inode}]:${key}`];
  });
}

/** A network that only has loopback is made anew; one that the program could change, or a sysctl did, is kept. */
function networkOf(spec: Spec, empty: number, { tcpEstablished }: CheckpointOptions): Manifest["network"] {
  const namespace = spec.linux?.namespaces?.find(({ type }) => type === "network");
  if (!namespace) return "shared";
  if (namespace.path !== undefined) return "external";
  const canChange = spec.process?.capabilities?.bounding?.includes("CAP_NET_ADMIN") ?? false;
  const changed = Object.keys(spec.linux?.sysctl ?? {}).some((name) => name.startsWith("net."));
  if (!empty && (canChange || changed)) return "kept";
  // CRIU makes one that belongs to the container's user namespace, and keeps connections in it.
  const isCrius = tcpEstablished || spec.linux?.namespaces?.some(({ type }) => type === "user");
  return isCrius ? "empty" : "made";
}

/**
 * A place on our network is taken anew: by another address, so that connections over it are closed. Those over loopback are
 * closed with them.
 */
function networkOfConnected(spec: Spec, { tcpEstablished }: CheckpointOptions): Manifest["network"] {
  if (tcpEstablished) {
    throw new UnsupportedError(
      "--tcp-established",
      "a restore gets another address on the network, where connections end",
      "leave it out: they are closed then",
    );
  }
  const name = Object.keys(spec.linux?.sysctl ?? {}).find((each) => each.startsWith("net."));
  if (name !== undefined) {
    throw new UnsupportedError(
      "a checkpoint",
      `"${name}" was set in a network that is made anew`,
      "take it out of /linux/sysctl",
    );
  }
  return spec.linux?.namespaces?.some(({ type }) => type === "user") ? "empty" : "made";
}

/** Where CRIU is to hold all processes: of a container that is paused already, where that was done. */
function freezerOf({ record }: Known): string | undefined {
  const unified = record.groups.find(({ version }) => version === 2)?.directory;
  if (isFrozen({ unified })) return unified;
  return record.groups.find(({ version, controllers }) => {
    return version === 2
      ? !record.groups.some((each) => hasFreezer(each.controllers))
      : hasFreezer(controllers);
  })?.directory;
}

function hasFreezer(controllers: string): boolean {
  return controllers.split(",").includes("freezer");
}
