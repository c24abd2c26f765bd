import { bindOptions } from "../plan/bind_flags.ts";
import { cgroupName } from "../plan/cgroup_mount.ts";
import type { Context } from "../plan/context.ts";
import { boundDevices, isDevDirectory } from "../plan/devices.ts";
import { sourcePath } from "../plan/mount_ops.ts";
import { type Attributes, mountOptions } from "../plan/mount_options.ts";
import { hasNoDevices } from "../plan/rootfs.ts";
import type { Mount } from "../spec/config.ts";
import type { ExpectedMount } from "./expectation.ts";

/** Mount attributes as mountinfo spells them; the others are not shown. */
const SHOWN: Readonly<Record<string, string>> = {
  RDONLY: "ro",
  NOSUID: "nosuid",
  NODEV: "nodev",
  NOEXEC: "noexec",
  NOATIME: "noatime",
  NODIRATIME: "nodiratime",
  NOSYMFOLLOW: "nosymfollow",
};
const HIDE_PID: Readonly<Record<string, string>> = {
  0: "off",
  1: "noaccess",
  2: "invisible",
  4: "ptraceable",
};
const UNIT: Readonly<Record<string, number>> = { "": 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 };
/** The kernel rounds sizes up to pages, which have 4 KiB or more. */
const PAGE_BYTES = 4096;

/** Every mount that must be there, in the order in which they are attached. */
export function expectedMounts(all: Context): ExpectedMount[] {
  const { spec } = all;
  const mounts = [root(all)];
  for (const mount of spec.mounts ?? []) change(mounts, all, mount);
  for (const path of boundDevices(all).far) mounts.push(plain(path));
  if (spec.process?.terminal && all.form !== "standalone") {
    mounts.push({ ...plain("/dev/console"), type: "devpts" });
  }
  for (const path of spec.linux?.readonlyPaths ?? []) {
    const below = { set: ["ro"], clear: [] };
    mounts.push({ ...plain(wholePath(path)), set: ["ro"], below, optional: true, propagation: "any" });
  }
  for (const path of spec.linux?.maskedPaths ?? []) {
    mounts.push({ ...plain(wholePath(path)), type: "mask", optional: true, propagation: "any" });
  }
  const spreads = spec.linux?.rootfsPropagation;
  // What was recursive went over all that was there.
  return spreads?.startsWith("r") ? mounts.map((each) => ({ ...each, propagation: word(spreads) })) : mounts;
}

/** `/a//./b/` → `/a/b` */
export function wholePath(path: string): string {
  return "/" + path.split("/").filter((name) => name !== "" && name !== ".").join("/");
}

function plain(path: string): ExpectedMount {
  return { path, set: [], clear: [], propagation: "slave" };
}

function root({ spec, root }: Context): ExpectedMount {
  const set = [...(hasNoDevices(spec) ? ["nodev"] : []), ...(spec.root.readonly ? ["ro"] : [])];
  const { rootfsPropagation = "slave" } = spec.linux ?? {};
  const one = { ...plain("/"), set, propagation: word(rootfsPropagation) };
  switch (root.kind) {
    case "directory":
      return { ...one, source: root.path, below: { set: [], clear: [] } };
    case "overlay":
      return { ...one, type: "overlay" };
    case "scratch":
      return { ...one, type: "tmpfs", data: [size(String(root.sizeBytes))!] };
  }
}

/** Adds what one entry of `mounts` brings, or changes what an earlier one brought. */
function change(mounts: ExpectedMount[], all: Context, mount: Mount): void {
  const { type = "none" } = mount;
  const path = wholePath(mount.destination);
  const words = mount.options ?? [];
  const plainOptions = mountOptions(words, type);
  const options = plainOptions.bind && !plainOptions.remount
    ? bindOptions(all, words, plainOptions)
    : plainOptions;
  const set = shown({ ...options.setAll, ...options.set });
  const clear = shown({ ...options.clearAll, ...options.clear });
  const propagation = word(options.propagation?.name.slice("MS_".length).toLowerCase() ?? "slave");
  const one = { ...plain(path), set, clear, propagation };
  if (options.remount) {
    const known = mounts.findLastIndex((each) => each.path === path);
    if (known < 0) mounts.push({ ...one, change: true, propagation: "any" });
    else mounts[known] = changed(mounts[known]!, one, options.propagation !== undefined);
  } else if (type === "cgroup" || type === "cgroup2") {
    mounts.push(...cgroup(all, one));
  } else if (options.bind) {
    const below = { set: shown(options.setAll), clear: shown(options.clearAll) };
    const source = sourcePath(all, mount.source ?? "");
    // Those that came along spread as deep as the option says.
    mounts.push({
      ...one,
      source,
      ...(options.recursive && { below }),
      ...(isShared(all) && { propagation: "any" }),
    });
  } else {
    const data = options.data.flatMap(({ key, value }) => shownData(type, key, value) ?? []);
    mounts.push({ ...one, type, data });
    if (isDevDirectory(all, mount)) { for (const path of boundDevices(all).near) mounts.push(plain(path)); }
    if (type === "tmpfs" && options.copyUp) {
      const lower = plain(`${path === "/" ? "" : path}/lower0`);
      mounts.push({ ...lower, propagation: "any" }, { ...plain(path), type: "overlay" });
    }
  }
}

function changed(
  known: ExpectedMount,
  { set, clear, propagation }: ExpectedMount,
  spreads: boolean,
): ExpectedMount {
  return {
    ...known,
    set: [...known.set.filter((word) => !clear.includes(word)), ...set],
    clear: [...known.clear.filter((word) => !set.includes(word)), ...clear],
    ...(spreads && { propagation }),
  };
}

/** The hierarchies of the host, side by side in a tmpfs unless there is only version 2. */
function cgroup({ host }: Context, one: ExpectedMount): ExpectedMount[] {
  const types = { 1: "cgroup", 2: "cgroup2" } as const;
  const [only] = host.cgroups;
  if (host.cgroups.length === 1 && only!.version === 2) return [{ ...one, type: types[2] }];
  const each = host.cgroups.map(({ version, mountPoint }) => {
    return {
      ...one,
      path: `${one.path}/${cgroupName(mountPoint)}`,
      type: types[version],
      propagation: "any" as const,
    };
  });
  return [{ ...one, type: "tmpfs" }, ...each];
}

/** A bind mount stays in its source's peer group if the root is to share its mounts. */
function isShared({ spec }: Context): boolean {
  return spec.linux?.rootfsPropagation?.endsWith("shared") ?? false;
}

function word(option: string): ExpectedMount["propagation"] {
  return option.replace(/^r/, "") as ExpectedMount["propagation"];
}

function shown(attributes: Attributes): string[] {
  return Object.keys(attributes).flatMap((name) => SHOWN[name] ?? []);
}

/** How mountinfo shows an option that limits or hides; `undefined` for the others. */
function shownData(type: string, key: string, value = ""): string | undefined {
  if (type === "tmpfs" && key === "size") return size(value);
  if (type === "proc" && key === "hidepid") return `hidepid=${HIDE_PID[value] ?? value}`;
  if (type === "proc" && key === "subset") return `subset=${value}`;
  return undefined;
}

function size(text: string): string | undefined {
  const [, digits, unit = ""] = /^(\d+)([kmg]?)$/i.exec(text) ?? [];
  const bytes = Number(digits) * UNIT[unit.toLowerCase()]!;
  // A part of the memory (50%) is the kernel's to work out; 0 is no limit.
  return bytes > 0 ? `size=${Math.ceil(bytes / PAGE_BYTES) * (PAGE_BYTES / 1024)}k` : undefined;
}
