import { type Issue } from "../errors.ts";
import type { Spec } from "../spec/config.ts";
import { harmless } from "../spec/problems.ts";
import { BIND_RULES } from "./_binds.ts";
import { DOCUMENT_RULES } from "./_document.ts";
import { FILE_SYSTEM_RULES } from "./_file_systems.ts";
import { KERNEL_RULES } from "./_kernel.ts";
import { NAMESPACE_RULES } from "./_namespaces.ts";
import { PROCESS_RULES } from "./_process.ts";
import { RESOURCE_RULES } from "./_resources.ts";
import { SECCOMP_RULES } from "./_seccomp.ts";
import type { Ceiling } from "./ceiling.ts";
import type { Facts } from "./facts.ts";
import { type Cut, type Draft, type Rule, show, type Terms } from "./rule.ts";

/** Every rule, in the order of its work. */
export const RULES: readonly Rule[] = [
  ...DOCUMENT_RULES,
  ...NAMESPACE_RULES,
  ...FILE_SYSTEM_RULES,
  ...BIND_RULES,
  ...PROCESS_RULES,
  ...SECCOMP_RULES,
  ...RESOURCE_RULES,
  ...KERNEL_RULES,
];

/** What is left of a request. */
export interface CutDown {
  /** Asks for nothing beyond the ceiling. */
  readonly spec: Spec;
  /** What was taken away, in the order of the rules. */
  readonly cuts: readonly Cut[];
  /** Why it cannot be run at all, if so. */
  readonly refusals: readonly Issue[];
}

/**
 * A spec cut down to `ceiling`. Pure: `facts` say what lies on the host where the spec points to.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * import { DEFAULT_CEILING } from "./ceiling.ts";
 * import { cutDown } from "./cut_down.ts";
 * const root = { real: "/b/rootfs", kind: "directory" } as const;
 * const facts = { bundle: "/b", root, sources: new Map(), binds: [], oneHierarchy: true, rlimits: new Map() };
 * const hooks = { prestart: [{ path: "/bin/true" }] };
 * const namespaces = (["pid", "ipc", "mount", "network", "uts"] as const).map((type) => ({ type }));
 * const spec = { ociVersion: "1.3.0", root: { path: "rootfs" }, hooks, linux: { namespaces } };
 * const { cuts } = cutDown(spec, DEFAULT_CEILING, facts);
 * deepEqual(cuts.map(({ pointer }) => pointer), ["/hooks/prestart"]);
 * ```
 */
export function cutDown(
  spec: Spec,
  ceiling: Ceiling,
  facts: Facts,
  rules: readonly Rule[] = RULES,
): CutDown {
  const cuts: Cut[] = [];
  const refusals: Issue[] = [];
  const terms: Terms = {
    ceiling,
    facts,
    cut: (pointer, asked, reason, given) =>
      cuts.push({
        pointer: harmless(pointer), // keys are the bundle's too
        asked: show(asked),
        ...(given !== undefined && { given: show(given) }),
        reason: harmless(reason),
      }),
    refuse: (pointer, message) => refusals.push({ pointer, message }),
  };
  const mounts = (spec.mounts ?? []).map((mount, index) => ({ index, mount }));
  const first: Draft = { spec, mounts };
  const last = rules.reduce((draft, rule) => rule.apply(draft, terms), first);
  return { spec: { ...last.spec, mounts: last.mounts.map(({ mount }) => mount) }, cuts, refusals };
}
