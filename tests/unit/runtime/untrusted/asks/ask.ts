import type { Linux, Mount, Process, Spec } from "../../../../../runtime/spec/config.ts";
import type { Facts, Source } from "../../../../../runtime/untrusted/facts.ts";

/** What a bundle asks for that one rule cuts, and what is left of it. */
export interface Ask {
  readonly rule: string;
  readonly says: string;
  readonly spec: Spec;
  /** What lies at the sources of its mounts. */
  readonly sources?: readonly (Source | undefined)[];
  readonly facts?: Partial<Facts>;
  /** Each cut as `pointer: asked → given`. */
  readonly cuts: readonly string[];
  readonly refusals?: readonly string[];
  /** The part of the spec that is looked at, and what it must be. */
  readonly left?: readonly [look: (spec: Spec) => unknown, left: unknown];
}

/** The namespaces that every bundle here has. */
export const NAMESPACES = ["pid", "ipc", "mount", "network", "uts", "cgroup"] as const;

/** A bundle that asks for nothing beyond the ceiling, and for this. */
export function spec(part: Partial<Spec> = {}, linux: Linux = {}): Spec {
  const namespaces = NAMESPACES.map((type) => ({ type }));
  return { ociVersion: "1.3.0", root: { path: "rootfs" }, ...part, linux: { namespaces, ...linux } };
}

/** The same with a process of this kind. */
export function process(part: Partial<Process>): Spec {
  return spec({ process: { cwd: "/", args: ["true"], ...part } });
}

/** The same with these mounts. */
export function mounts(...all: Mount[]): Spec {
  return spec({ mounts: all });
}

export function bind(source: string, ...options: string[]): Mount {
  return { destination: "/x", type: "bind", source, options: ["bind", ...options] };
}

export function directory(real: string): Source {
  return { real, kind: "directory", inode: 2 };
}

/** The options of the first mount that is left. */
export const firstOptions = ({ mounts }: Spec): unknown => mounts?.[0]?.options;
/** How many mounts are left. */
export const count = ({ mounts = [] }: Spec): number => mounts.length;
export const tmpfs = (...options: string[]): Mount => ({ destination: "/x", type: "tmpfs", options });
export const MIB = 1 << 20;
