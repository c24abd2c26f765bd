import { isAbsolute, join, normalize, resolve } from "@std/path";
import { whyClosed } from "./closed.ts";
import { readConfig } from "./config_file.ts";
import { SpecError } from "./errors.ts";
import { filled } from "./from_rootfs.ts";
import type { Host } from "./host/facts.ts";
import { led } from "./mount_places.ts";
import type { Filter, PlanRequest, Root } from "./plan/context.ts";
import type { Kind } from "./plan/files.ts";
import { mountOptions } from "./plan/mount_options.ts";
import { pathInRoot } from "./plan/rootfs.ts";
import type { Mount, Spec } from "./spec/config.ts";
import { parseSpec } from "./spec/validate.ts";

/** An OCI bundle: a directory with a config.json (OCI bundle.md). */
export interface Bundle {
  /** Absolute path of the directory. */
  readonly path: string;
  /** What its config.json asks for. */
  readonly spec: Spec;
}

const DEFAULT_UPPER_BYTES = 256 << 20;

/**
 * Reads the bundle at `path`.
 *
 * @param config The text of its config.json, if that was read before.
 * @throws {SpecError} with every problem of the config.json.
 */
export function loadBundle(path: string, config?: string): Bundle {
  const directory = resolve(path);
  const text = config ?? readConfig(directory);
  return { path: directory, spec: parseSpec(text, join(directory, "config.json")) };
}

/** What to put over the root file system: nothing, or an overlay whose upper layer is a tmpfs of this size. */
export type OverlayChoice = { readonly kind: "none" } | {
  readonly kind: "tmpfs";
  readonly sizeBytes?: number;
};

/** Options of {@linkcode request}. */
export interface RequestOptions {
  /** The facts of the machine. */
  readonly host: Host;
  /** What to put over the root file system. */
  readonly overlay: OverlayChoice;
  /** How the sandbox is to be run. */
  readonly form: PlanRequest["form"];
  /** The compiled seccomp filter. */
  readonly filter?: Filter | undefined;
  /** The sources that must lie beneath a directory. */
  readonly beneath?: PlanRequest["beneath"];
  /**
   * Whether the root file system may say more of the program, and its links where mounts lie: files of a hostile one are
   * better not read. And whether binds may clear flags that the host has set on their sources.
   */
  readonly trusted?: boolean;
  /** Whether the upper layer of an overlay comes by a descriptor, with files in it already. */
  readonly keptUpper?: boolean | undefined;
  /** Used instead of the bundle's rootfs. */
  readonly root?: Root | undefined;
}

/**
 * Everything that a plan is made from: the bundle, the host and what lies at the mounts' sources.
 *
 * @throws {SpecError} if the root file system or a source cannot be used.
 */
export function request(
  { path, spec }: Bundle,
  { host, overlay, form, filter, root, beneath, trusted = false, keptUpper = false }: RequestOptions,
): PlanRequest {
  const sources = new Map<string, Kind>();
  const from = root ?? bundleRoot({ path, spec }, overlay, keptUpper);
  spec.mounts?.forEach((mount, index) => {
    if (!mountOptions(mount.options ?? [], mount.type).bind) return;
    const source = mount.source ?? "";
    const whole = source.startsWith("/") ? source : `${path}/${source}`;
    // What an earlier mount will show in the root is not there yet.
    const isLater = pathInRoot(from, whole) !== undefined && !isThere(whole);
    sources.set(whole, isLater ? "directory" : kindOf(whole, path, `/mounts/${index}/source`));
  });
  const asked = spec.mounts?.map((mount) => placed(mount, from));
  const rootfs = trusted && from.kind !== "scratch"
    ? from.kind === "directory" ? from.path : from.lowers[0]
    : undefined;
  const { mounts, seen } = asked && rootfs !== undefined ? led(asked, rootfs) : { mounts: asked, seen: {} };
  const whole = filled({ ...spec, ...(mounts && { mounts }) }, from, trusted);
  return {
    spec: whole.spec,
    seen: { ...seen, ...whole.seen },
    bundle: path,
    root: from,
    host,
    sources,
    beneath,
    ...(trusted && { clearsFlags: true }),
    filter,
    form,
  };
}

/** A destination may be named by its path on the host, as runc takes it. */
function placed(mount: Mount, root: Root): Mount {
  const destination = pathInRoot(root, mount.destination);
  return destination === undefined ? mount : { ...mount, destination };
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}

function kindOf(source: string, bundle: string, pointer: string): Kind {
  try {
    return Deno.statSync(source).isDirectory ? "directory" : "file";
  } catch (cause) {
    const message = `Cannot use "${source}": ${cause instanceof Error ? cause.message : cause}`;
    throw new SpecError(join(bundle, "config.json"), [{ pointer, message }]);
  }
}

function bundleRoot({ path, spec }: Bundle, overlay: OverlayChoice, isKept: boolean): Root {
  const rootfs = isAbsolute(spec.root.path) ? normalize(spec.root.path) : join(path, spec.root.path);
  let info: Deno.FileInfo;
  try {
    info = Deno.lstatSync(rootfs);
    if (info.isDirectory) Deno.lstatSync(`${rootfs}/.`); // whether this user may enter it
  } catch (error) {
    const why = error instanceof Deno.errors.PermissionDenied
      ? whyClosed(`${rootfs}/`, "it must be open to this user")
      : "no such directory";
    throw rootError(path, `Cannot use "${rootfs}": ${why}`);
  }
  if (info.isSymlink) {
    throw rootError(path, `Cannot use "${rootfs}": it is a symbolic link, name the directory itself`);
  }
  if (!info.isDirectory) throw rootError(path, `Cannot use "${rootfs}": it is not a directory`);
  const ownMounts =
    spec.linux?.namespaces?.some((each) => each.type === "mount" && each.path === undefined) ?? false;
  if (overlay.kind === "none" || !ownMounts) return { kind: "directory", path: rootfs };
  const sizeBytes = overlay.sizeBytes ?? DEFAULT_UPPER_BYTES;
  return { kind: "overlay", lowers: [rootfs], sizeBytes, ...(isKept && { isKept }) };
}

function rootError(bundle: string, message: string): SpecError {
  return new SpecError(join(bundle, "config.json"), [{ pointer: "/root/path", message }]);
}
