/** Mounts that make a new file system, and what all mounts have in common. */

import { mountOptions } from "../plan/mount_options.ts";
import type { Mount } from "../spec/config.ts";
import { type Draft, onMounts, type Placed, type Rule, type Terms, without } from "./rule.ts";

export const FILE_SYSTEM_RULES: readonly Rule[] = [
  { name: "mountsAreFew", apply: mountsAreFew },
  onMounts(placesAreShallow),
  onMounts(remountsGo),
  onMounts(idsOfMountsAreNotChosen),
  onMounts(sharedMountsGo),
  onMounts(fileSystemsAreKnown),
  { name: "kernelFilesStayInPlace", apply: kernelFilesStayInPlace },
  onMounts(kernelFilesAreReadOnly),
  onMounts(fileSystemOptionsAreKnown),
  onMounts(newFileSystemsAreTame),
  { name: "memoryFilesAreBounded", apply: memoryFilesAreBounded },
];

/** File systems without a device or another machine behind them, with the options of their own that are let through. */
const FILE_SYSTEMS: Readonly<Record<string, RegExp>> = {
  proc: /^(hidepid=[0124]|subset=pid)$/,
  tmpfs: /^(size=\w+|nr_inodes=\w+|mode=[0-7]+|[ug]id=\d+)$/,
  devpts: /^(newinstance|(ptmx)?mode=[0-7]+|[ug]id=\d+|max=\d+)$/,
  mqueue: /^$/,
  sysfs: /^$/,
  cgroup: /^$/,
  cgroup2: /^$/,
};
/** File systems that are one with the kernel's: a second one would show what is covered in the first. */
const PLACES: Readonly<Record<string, string>> = {
  proc: "/proc",
  sysfs: "/sys",
  cgroup: "/sys/fs/cgroup",
  cgroup2: "/sys/fs/cgroup",
};
const CGROUP = /^cgroup2?$/;
/** More directories than any real path has; each that is missing is made by steps of its own. */
const MOST_NAMES = 64;

/** Whether the plan copies a mount of the host. Its planner looks at these types before it looks for a bind. */
export function isBind({ type, options = [] }: Mount): boolean {
  return mountOptions(options, type).bind && !CGROUP.test(type ?? "");
}

function mountsAreFew({ spec, mounts }: Draft, { ceiling, cut }: Terms): Draft {
  const kept = mounts.filter(({ index }) => index < ceiling.mounts);
  if (kept.length < mounts.length) {
    const at = `/mounts/${ceiling.mounts}`;
    cut(at, `${mounts.length} mounts`, "there are too many", `the first ${kept.length}`);
  }
  return { spec, mounts: kept };
}

/** How many names a path has. */
export function depth(path: string): number {
  return path.split("/").filter((name) => name !== "" && name !== ".").length;
}

function placesAreShallow({ index, mount }: Placed, { cut }: Terms): Mount | undefined {
  if (depth(mount.destination) <= MOST_NAMES) return mount;
  cut(`/mounts/${index}/destination`, mount.destination, `it has more than ${MOST_NAMES} names`);
}

function remountsGo({ index, mount }: Placed, { cut }: Terms): Mount | undefined {
  if (!mountOptions(mount.options ?? [], mount.type).remount) return mount;
  cut(`/mounts/${index}/options`, "remount", "it could take back what protects a mount");
}

/** Whoever chooses the users of a mount acts on the host's files as any of them. */
function idsOfMountsAreNotChosen({ index, mount }: Placed, { cut }: Terms): Mount {
  let left = mount;
  for (const field of ["uidMappings", "gidMappings"] as const) {
    if (mount[field] === undefined) continue;
    cut(`/mounts/${index}/${field}`, mount[field], "they name users of the host");
    left = without(left, field);
  }
  return withoutOptions(left, /^r?idmap$/, (asked) => {
    cut(`/mounts/${index}/options`, asked, "the runtime maps ids itself");
  });
}

function sharedMountsGo({ index, mount }: Placed, { cut }: Terms): Mount {
  return withoutOptions(mount, /^r?shared$/, (asked) => {
    cut(`/mounts/${index}/options`, asked, "mounts must not spread");
  });
}

function fileSystemsAreKnown({ index, mount }: Placed, { cut }: Terms): Mount | undefined {
  const { type = "none", options = [] } = mount;
  const pointer = `/mounts/${index}/type`;
  if (isBind(mount)) return mount;
  if (!Object.hasOwn(FILE_SYSTEMS, type)) {
    cut(pointer, type, `only ${Object.keys(FILE_SYSTEMS).join(", ")} may be`);
  } else if (mountOptions(options).bind) cut(pointer, type, "it is a bind and a file system at once");
  else return mount;
}

function kernelFilesStayInPlace({ spec, mounts }: Draft, { cut }: Terms): Draft {
  const seen = new Set<string>();
  const kept = mounts.filter(({ index, mount }) => {
    const place = isBind(mount) ? undefined : PLACES[mount.type ?? ""];
    if (place === undefined) return true;
    const destination = "/" + mount.destination.split("/").filter((name) => name && name !== ".").join("/");
    if (destination === place && !seen.has(place)) return Boolean(seen.add(place));
    cut(`/mounts/${index}/destination`, mount.destination, `${mount.type} is mounted once, on ${place}`);
    return false;
  });
  return { spec, mounts: kept };
}

function kernelFilesAreReadOnly({ index, mount }: Placed, { cut }: Terms): Mount {
  if (isBind(mount) || !["sysfs", "cgroup", "cgroup2"].includes(mount.type ?? "")) return mount;
  const { options = [] } = mount;
  if (mountOptions(options).set.RDONLY === undefined && options.includes("rw")) {
    cut(`/mounts/${index}/options`, "rw", `${mount.type} is the host's`, "ro");
  }
  return { ...mount, options: [...options.filter((option) => option !== "rw"), "ro"] };
}

function fileSystemOptionsAreKnown({ index, mount }: Placed, { cut }: Terms): Mount {
  if (isBind(mount)) return mount;
  const known = FILE_SYSTEMS[mount.type ?? ""] ?? /^/;
  const options = mount.options?.filter((option) => {
    const own = mountOptions([option]).data.length > 0;
    if (own && !known.test(option)) {
      cut(`/mounts/${index}/options`, option, `${mount.type} has no need of it`);
    }
    return !own || known.test(option);
  });
  return options ? { ...mount, options } : mount;
}

/** A program's files may lie in memory; those of the kernel are none. */
function newFileSystemsAreTame({ index, mount }: Placed, { cut }: Terms): Mount {
  if (isBind(mount)) return mount;
  const files = mount.type === "tmpfs";
  const wild = files ? /^r?(suid|dev)$/ : /^r?(suid|dev|exec)$/;
  const tame = withoutOptions(mount, wild, (asked) => {
    cut(`/mounts/${index}/options`, asked, "it gives rights that nothing in here needs", `no${asked}`);
  });
  return { ...tame, options: [...tame.options ?? [], "nosuid", "nodev", ...(files ? [] : ["noexec"])] };
}

/** Bytes of kernel memory for an inode, which the size does not count; and the fewest inodes that are of use. */
const [INODE_BYTES, FEWEST_INODES] = [1024, 1024];

/** Without these options the kernel would give half of the host's memory, and as many inodes. */
function memoryFilesAreBounded({ spec, mounts }: Draft, { ceiling, cut }: Terms): Draft {
  let left = ceiling.tmpfsBytes;
  const kept = mounts.flatMap(({ index, mount }) => {
    if (isBind(mount) || mount.type !== "tmpfs") return [{ index, mount }];
    const { options = [] } = mount;
    const word = options.findLast((option) => option.startsWith("size="));
    const asked = bytesOf(word);
    const size = Math.min(asked ?? Math.floor(ceiling.tmpfsBytes / 4), left);
    left -= size;
    const pointer = `/mounts/${index}`;
    const reason = `all tmpfs together have ${ceiling.tmpfsBytes} bytes`;
    if (size === 0) {
      cut(pointer, word ?? "tmpfs", reason);
      return [];
    }
    if (word !== undefined && asked !== size) cut(`${pointer}/options`, word, reason, `size=${size}`);
    const rest = options.filter((option) => !/^(size|nr_inodes)=/.test(option));
    const inodes = Math.max(FEWEST_INODES, Math.ceil(size / INODE_BYTES));
    return [{ index, mount: { ...mount, options: [...rest, `size=${size}`, `nr_inodes=${inodes}`] } }];
  });
  return { spec, mounts: kept };
}

const UNITS = ["", "k", "m", "g", "t"];

/** What `size=64m` means, in bytes; nothing for `0`, which is no bound, and for what is no plain number (tmpfs(5)). */
function bytesOf(option = ""): number | undefined {
  const [, digits, unit = ""] = /^size=([1-9]\d{0,11})([kmgt]?)$/i.exec(option) ?? [];
  return digits === undefined ? undefined : Number(digits) * 1024 ** UNITS.indexOf(unit.toLowerCase());
}

function withoutOptions(mount: Mount, pattern: RegExp, tell: (asked: string) => void): Mount {
  if (!mount.options?.some((option) => pattern.test(option))) return mount;
  for (const option of new Set(mount.options)) if (pattern.test(option)) tell(option);
  return { ...mount, options: mount.options.filter((option) => !pattern.test(option)) };
}
