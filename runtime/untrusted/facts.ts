import { isAbsolute, join, normalize } from "@std/path";
import { libc } from "../../ffi/libc.ts";
import { check } from "../../ffi/errno.ts";
import type { Bundle } from "../bundle.ts";
import { UsageError } from "../errors.ts";
import type { Host } from "../host/facts.ts";
import { RLIMIT } from "../plan/limits.ts";
import { mountOptions } from "../plan/mount_options.ts";
import { RLIMITS, type RlimitType } from "../spec/config.ts";
import type { AllowedBind, Ceiling } from "./ceiling.ts";

/** What lies at a path of the host. */
export interface Source {
  /** Its path without links. */
  readonly real: string;
  /** `special`: a device, a socket or a fifo. */
  readonly kind: "directory" | "file" | "special";
  /** Its inode, where a number is exact. */
  readonly inode?: number | undefined;
}

/** What {@linkcode cutDown} has to know of the host. */
export interface Facts {
  /** Path of the bundle without links. */
  readonly bundle: string;
  /** What lies at the root's path; nothing if it is not there. */
  readonly root?: Source | undefined;
  /** What lies at the sources of bind mounts, by the index of the mount. */
  readonly sources: ReadonlyMap<number, Source>;
  /** The allowed directories, without links. */
  readonly binds: readonly AllowedBind[];
  /** Whether the host has one cgroup hierarchy for all controllers (version 2 alone). */
  readonly oneHierarchy: boolean;
  /** The caller's own hard limits; none where they are infinite. */
  readonly rlimits: ReadonlyMap<RlimitType, bigint>;
}

/**
 * Looks at everything that a bundle names on the host, without opening any of it.
 *
 * @throws {UsageError} if an allowed directory is not there.
 */
export function gatherFacts({ path, spec }: Bundle, ceiling: Ceiling, host: Pick<Host, "cgroups">): Facts {
  const sources = new Map<number, Source>();
  for (const [index, { source = "", options, type }] of (spec.mounts ?? []).entries()) {
    if (index >= ceiling.mounts) break;
    if (!mountOptions(options ?? [], type).bind) continue;
    const found = look(isAbsolute(source) ? source : `${path}/${source}`);
    if (found) sources.set(index, found);
  }
  return {
    bundle: Deno.realPathSync(path),
    root: look(join(path, normalize(spec.root.path))),
    sources,
    binds: ceiling.binds.map((each) => ({ ...each, path: directory(each.path) })),
    oneHierarchy: host.cgroups.length === 1 && host.cgroups[0]!.version === 2,
    rlimits: new Map(RLIMITS.flatMap((type) => {
      const hard = hardLimit(type);
      return hard === undefined ? [] : [[type, hard]];
    })),
  };
}

function directory(path: string): string {
  const found = look(path);
  if (found?.kind === "directory") return found.real;
  throw new UsageError(
    `Cannot allow binds below "${path}": ${found ? "it is no" : "there is no such"} directory`,
  );
}

/** What is not there, not for us to see, or leads in circles is nothing. */
function look(path: string): Source | undefined {
  try {
    const real = Deno.realPathSync(path);
    const { isDirectory, isFile, ino } = Deno.lstatSync(real);
    const inode = ino !== null && Number.isSafeInteger(ino) ? ino : undefined;
    return { real, kind: isDirectory ? "directory" : isFile ? "file" : "special", inode };
  } catch {
    return undefined;
  }
}

const RLIM_INFINITY = 2n ** 64n - 1n;

function hardLimit(type: RlimitType): bigint | undefined {
  const limit = new BigUint64Array(2);
  check(libc.prlimit64(0, RLIMIT[type], null, limit), `read ${type}`);
  return limit[1] === RLIM_INFINITY ? undefined : limit[1];
}
