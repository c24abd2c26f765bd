import { outcomes } from "../policy/calls.ts";
import type { Policy } from "../policy/policy.ts";

/** What can be done with files, as policies say it. */
export const FILE_USES = ["read", "list", "write", "execute"] as const;
/** One of {@linkcode FILE_USES}. */
export type FileUse = (typeof FILE_USES)[number];
/** What can be done with TCP ports. */
export const PORT_USES = ["connect", "bind"] as const;
/** One of {@linkcode PORT_USES}. */
export type PortUse = (typeof PORT_USES)[number];

/** What a program needs, as far as it was seen. */
export interface Needs {
  /** Names of system calls. */
  readonly calls: Set<string>;
  /** Families of sockets, by number, and for netlink (16) its protocols. */
  readonly families: Set<number>;
  readonly netlink: Set<number>;
  /** Paths inside; those of directories end in `/` and stand for all below. */
  readonly files: Readonly<Record<FileUse, Set<string>>>;
  readonly ports: Readonly<Record<PortUse, Set<number>>>;
}

/** Nothing yet. */
export function noNeeds(): Needs {
  return {
    calls: new Set(),
    families: new Set(),
    netlink: new Set(),
    files: { read: new Set(), list: new Set(), write: new Set(), execute: new Set() },
    ports: { connect: new Set(), bind: new Set() },
  };
}

/** What either of two needs. */
export function bothNeeds(one: Needs, other: Needs): Needs {
  const { files: a, ports: p } = one;
  const { files: b, ports: q } = other;
  return {
    calls: one.calls.union(other.calls),
    families: one.families.union(other.families),
    netlink: one.netlink.union(other.netlink),
    files: {
      read: a.read.union(b.read),
      list: a.list.union(b.list),
      write: a.write.union(b.write),
      execute: a.execute.union(b.execute),
    },
    ports: { connect: p.connect.union(q.connect), bind: p.bind.union(q.bind) },
  };
}

/**
 * What needs more than `policy` allows, in words such as `call ptrace`, `file to write /tmp/x`, `TCP port to bind 80`.
 */
export function beyond({ calls, files, ports }: Needs, policy: Policy): string[] {
  const known = outcomes(policy).calls;
  const rest = policy.seccomp.unlisted;
  const refused = [...calls].filter((call) => (known.get(call)?.action ?? rest) !== "allow");
  const found = refused.map((call) => `call ${call}`);
  for (const use of FILE_USES) {
    if (!policy.files) break;
    const allowed = allowing(policy.files, use);
    for (const path of files[use]) if (!isWithin(path, allowed)) found.push(`file to ${use} ${path}`);
  }
  for (const use of PORT_USES) {
    if (!policy.ports) break;
    for (const port of ports[use]) {
      if (!policy.ports[use].includes(port)) found.push(`TCP port to ${use} ${port}`);
    }
  }
  return found;
}

/** The paths of a policy that allow a use: what may be executed may be read, what may be read may be listed. */
function allowing(files: Readonly<Record<FileUse, readonly string[]>>, use: FileUse): readonly string[] {
  switch (use) {
    case "read":
      return [...files.read, ...files.execute];
    case "list":
      return [...files.list, ...files.read, ...files.execute];
    case "write":
    case "execute":
      return files[use];
    default:
      return use satisfies never;
  }
}

/** Whether a path is one of these, or lies in one. */
export function isWithin(path: string, paths: Iterable<string>): boolean {
  for (const each of paths) if (each === path || (each.endsWith("/") && path.startsWith(each))) return true;
  return false;
}
