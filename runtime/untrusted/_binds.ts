/** Mounts that show files of the host. */

import { mountOptions } from "../plan/mount_options.ts";
import type { Mount } from "../spec/config.ts";
import { isBeneath } from "./beneath.ts";
import { isBind } from "./_file_systems.ts";
import type { Facts } from "./facts.ts";
import { onMounts, type Placed, type Rule, type Terms } from "./rule.ts";

export const BIND_RULES: readonly Rule[] = [
  onMounts(sourcesAreAllowed),
  onMounts(sourcesAreFiles),
  onMounts(bindsAreReadOnly),
  onMounts(bindsAreTame),
];

/** From here on a source is its path without links, and what it was found at is not asked again. */
function sourcesAreAllowed({ index, mount }: Placed, { facts, cut }: Terms): Mount | undefined {
  if (!isBind(mount)) return mount;
  const found = facts.sources.get(index);
  const { source = "" } = mount;
  const pointer = `/mounts/${index}/source`;
  if (!found) cut(pointer, source, "nothing is there that could be resolved");
  else if (!rootOf(found.real, facts)) {
    const shown = found.real === source ? "it" : `${found.real}, where it leads,`;
    cut(pointer, source, `${shown} lies in no directory that is allowed`);
  } else return { ...mount, source: found.real };
}

/** A device, a socket or a fifo is a door to whoever is behind it. */
function sourcesAreFiles({ index, mount }: Placed, { facts, cut }: Terms): Mount | undefined {
  const found = facts.sources.get(index);
  if (!isBind(mount) || !found) return mount;
  if (found.kind === "directory" || (found.kind === "file" && found.inode !== undefined)) return mount;
  const why = found.kind === "file" ? "it has no exact inode number" : "it is a device, a socket or a fifo";
  cut(`/mounts/${index}/source`, found.real, why);
}

const READ_ONLY = /^r?ro$/;

function bindsAreReadOnly({ index, mount }: Placed, { facts, cut }: Terms): Mount {
  if (!isBind(mount)) return mount;
  const { options = [], source = "" } = mount;
  const { set, setAll } = mountOptions(options, mount.type);
  const readOnly = set.RDONLY !== undefined || setAll.RDONLY !== undefined;
  const writable = rootOf(source, facts)?.writable ?? false;
  if (!readOnly && !writable) {
    cut(`/mounts/${index}/options`, "a writable bind", "nobody allowed to write there", "ro");
  }
  const others = options.filter((option) => !READ_ONLY.test(option) && !/^r?rw$/.test(option));
  return { ...mount, options: readOnly || !writable ? [...others, "rro"] : others };
}

/** What takes rights away, and what is the sandbox's own affair. */
const HARMLESS =
  /^(r?bind|r?ro|r?noexec|r?nosuid|r?nodev|r?nosymfollow|r?noatime|r?nodiratime|r?relatime|r?strictatime|r?private|r?slave|r?unbindable)$/;
const RIGHTS = /^r?(suid|dev|exec)$/;

/** Options that would clear what the host has set on the mount go, as would those that mean nothing here. */
function bindsAreTame({ index, mount }: Placed, { cut }: Terms): Mount {
  if (!isBind(mount)) return mount;
  const { options = [], type } = mount;
  for (const option of new Set(options)) {
    if (RIGHTS.test(option)) cut(`/mounts/${index}/options`, option, "the host decides over its files");
  }
  const kept = options.filter((option) => HARMLESS.test(option));
  return { ...mount, type: type === "rbind" ? type : "bind", options: [...kept, "rnosuid", "rnodev"] };
}

/** The innermost directory that allows `path`: the bundle's own, or one of the caller's. */
function rootOf(path: string, { bundle, binds }: Facts): { path: string; writable?: boolean } | undefined {
  const around = [...binds, { path: bundle }].filter((each) => isBeneath(path, each.path));
  return around.sort((a, b) => b.path.length - a.path.length)[0];
}
