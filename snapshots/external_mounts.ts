import type { MountLine } from "../runtime/attest/parse.ts";
import { mountOptions } from "../runtime/plan/mount_options.ts";
import type { Mount, Spec } from "../runtime/spec/config.ts";

/** A mount of a container whose files are not the container's: it is found again on the host. */
export interface ExternalMount {
  /** Where it is in the container. */
  readonly path: string;
  readonly type: string;
  /** The controllers of a hierarchy of version 1. */
  readonly controllers?: string;
}

/** File systems that a container has for itself, and that are kept with its state. */
const KEPT = ["proc", "sysfs", "tmpfs", "devpts", "mqueue"];

/**
 * The mounts of a container that CRIU is not to keep: those of file systems that the host has too. What the program has
 * bound from its own root is its own.
 */
export function externalMounts(lines: readonly MountLine[], host: readonly MountLine[]): ExternalMount[] {
  const hosts = new Set(host.map(({ device }) => device));
  const root = lines.find(({ path }) => path === "/");
  const isOfRoot = (line: MountLine): boolean =>
    line.device === root?.device && `${line.root}/`.startsWith(root.root === "/" ? "/" : `${root.root}/`);
  return lines.filter((line) => {
    if (line.path === "/" || isOfRoot(line)) return false;
    return hosts.has(line.device) || !KEPT.includes(line.type);
  }).map(({ path, type, data }) => ({
    path,
    type,
    ...(type === "cgroup" && { controllers: data.filter((each) => !/^(rw|ro|xattr)$/.test(each)).join(",") }),
  }));
}

/** Where a container has an overlay over one of its mounts (`tmpcopyup`): what was written there lies out of reach. */
export function copiedUp(lines: readonly MountLine[], host: readonly MountLine[]): string | undefined {
  const hosts = new Set(host.map(({ device }) => device));
  return lines.find(({ path, type, device }) => path !== "/" && type === "overlay" && !hosts.has(device))
    ?.path;
}

/** What a restore is to be given: each mount by its name, with where it is on the host. */
export type MountSources = ReadonlyMap<string, string>;

/** Where the mounts that a config asks for are on the host, as it says now; paths are the container's. */
export interface LiveMounts {
  readonly spec: Spec;
  /** Absolute path of the bundle. */
  readonly bundle: string;
  readonly host: readonly MountLine[];
  /** The container's cgroup directories. */
  readonly groups: readonly string[];
}

/**
 * Where each mount is on the host by the config of now.
 *
 * @returns Nothing for one that the config does not ask for.
 */
export function sourceOf(mount: ExternalMount, live: LiveMounts): string | undefined {
  const { spec, host } = live;
  const bound = (spec.mounts ?? []).filter((each) => isBind(each) && covers(each.destination, mount.path))
    .sort((a, b) => plain(a.destination).length - plain(b.destination).length).at(-1);
  if (bound) return absolute(bound, live) + mount.path.slice(plain(bound.destination).length);
  if (spec.linux?.maskedPaths?.some((each) => plain(each) === mount.path)) return "/dev/null";
  if (mount.type === "cgroup" || mount.type === "cgroup2") return groupSource(mount, live);
  if (mount.type === "devtmpfs" && isDevice(mount.path, spec)) return mount.path;
  const asked = spec.mounts?.find(({ destination }) => plain(destination) === mount.path);
  // One of the host's own, since the namespace that decides over it is the host's.
  if (asked?.type === mount.type) {
    return host.find(({ type, root }) => type === mount.type && root === "/")?.path;
  }
  return undefined;
}

/** All mounts that a config takes from the host, for images that do not say which of them are there. */
export function configuredMounts({ spec, bundle }: Pick<LiveMounts, "spec" | "bundle">): Map<string, string> {
  const bound = (spec.mounts ?? []).filter(isBind).map((each) => {
    return [plain(each.destination), absolute(each, { bundle })] as const;
  });
  const masked = (spec.linux?.maskedPaths ?? []).map((path) => [plain(path), "/dev/null"] as const);
  // runc calls all masks by what lies over them.
  return new Map([...masked, ...(masked.length > 0 ? [["/dev/null", "/dev/null"] as const] : []), ...bound]);
}

const DEFAULT_DEVICES = ["null", "zero", "full", "random", "urandom", "tty"].map((name) => `/dev/${name}`);

function isDevice(path: string, { linux }: Spec): boolean {
  return DEFAULT_DEVICES.includes(path) || (linux?.devices?.some((each) => each.path === path) ?? false);
}

function groupSource({ controllers, type }: ExternalMount, { host, groups }: LiveMounts): string | undefined {
  const hierarchy = host.find((each) => {
    return each.type === type && each.root === "/" &&
      (type === "cgroup2" || controllers?.split(",").every((one) => each.data.includes(one)));
  })?.path;
  return hierarchy && (groups.find((each) => each.startsWith(`${hierarchy}/`)) ?? hierarchy);
}

function isBind({ options = [], type }: Mount): boolean {
  return mountOptions(options, type).bind;
}

/** CRIU finds the mount that a path is in only by its plain form. */
function absolute({ source = "" }: Mount, { bundle }: { readonly bundle: string }): string {
  return plain(source.startsWith("/") ? source : `${bundle}/${source}`);
}

function covers(destination: string, path: string): boolean {
  return path === plain(destination) || path.startsWith(`${plain(destination)}/`);
}

/** A path without what means nothing. */
export function plain(path: string): string {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  return `/${names.join("/")}`;
}
