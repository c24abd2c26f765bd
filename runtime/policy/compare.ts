import { type Outcome, outcomes } from "./calls.ts";
import type { CallGroup, Policy, When } from "./policy.ts";

/** One thing that two policies see differently. */
export interface PolicyDifference {
  /** What it is: `call ptrace`, `capability CAP_KILL`. */
  readonly about: string;
  /** What the first says of it. */
  readonly first: string;
  /** What the second says of it. */
  readonly second: string;
}

/**
 * Everything that two policies see differently, in the order of the parts of a policy.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * import { differences } from "./compare.ts";
 * import { readPolicy } from "./read.ts";
 * const found = differences(await readPolicy("default"), await readPolicy("strict"));
 * deepEqual(found.find(({ about }) => about === "call ptrace"), {
 *   about: "call ptrace",
 *   first: "refuse",
 *   second: "kill",
 * });
 * ```
 */
export function differences(first: Policy, second: Policy): PolicyDifference[] {
  const [a, b] = [facts(first), facts(second)];
  return [...new Set([...a.keys(), ...b.keys()])].flatMap((about) => {
    const rest = about.startsWith("call ") ? "unlisted" : "-";
    const [one, other] = [a.get(about) ?? rest, b.get(about) ?? rest];
    return one === other ? [] : [{ about, first: one, second: other }];
  });
}

function facts(policy: Policy): Map<string, string> {
  const {
    capabilities,
    maskedPaths,
    readonlyPaths,
    namespaces,
    rlimits,
    userLimits,
    userNamespace,
    landlock,
    attest,
    files,
    ports,
    oomScoreAdj,
    resources,
  } = policy;
  const { calls, exceptions } = outcomes(policy);
  const all = new Map<string, string>([
    ["user namespace", userNamespace.own ? "own" : "as asked"],
    ["Landlock", landlock ? "on" : "off"],
    ["attestation", attest ? "on" : "off"],
    ["files", files ? "only those named" : "all"],
    ["TCP ports", ports ? "only those named" : "all"],
    ["oom_score_adj", oomScoreAdj ? `at least ${oomScoreAdj.least}` : "as asked"],
    ["unlisted calls", policy.seccomp.unlisted],
  ]);
  const put = (about: string, names: readonly string[], says: string) =>
    names.forEach((name) => all.set(`${about} ${name}`, says));
  put("namespace", namespaces.own, "own");
  put("capability", capabilities.allow, "allow");
  put("socket family", policy.sockets?.families ?? [], "allow");
  put("netlink protocol", policy.sockets?.netlink ?? [], "allow");
  put("masked path", maskedPaths.paths, "masked");
  put("read-only path", readonlyPaths.paths, "read-only");
  for (const use of ["read", "list", "write", "execute"] as const) {
    put(`file to ${use}`, files?.[use] ?? [], "allow");
  }
  for (const use of ["connect", "bind"] as const) {
    put(`TCP port to ${use}`, (ports?.[use] ?? []).map(String), "allow");
  }
  for (const { type, soft, hard } of rlimits.limits) all.set(`limit ${type}`, `${soft}:${hard}`);
  for (const key of ["memoryBytes", "pids", "cpus"] as const) {
    if (resources?.[key] !== undefined) all.set(`resource ${key}`, `${resources[key]}`);
  }
  for (const [key, value] of Object.entries(userLimits?.limits ?? {})) {
    all.set(`limit user.${key}`, `${value}`);
  }
  for (const [call, outcome] of [...calls].sort(([a], [b]) => a < b ? -1 : 1)) {
    all.set(`call ${call}`, outcomeText(outcome));
  }
  for (const group of exceptions) put(`uses (${group.name}) of`, group.calls, exceptionText(group));
  return all;
}

/** What happens to a call, in words. */
export function outcomeText({ action, alternatives }: Outcome): string {
  return alternatives.length === 0 ? action : `${action} if ${alternatives.map(conditionText).join(", or ")}`;
}

/** What a group takes out of what is allowed, in words. */
export function exceptionText({ action, when = [] }: CallGroup): string {
  return `${action} if ${conditionText(when)}`;
}

function conditionText(when: readonly When[]): string {
  return when.map(({ argument, mask, equals }) => {
    const values = equals.map(hex);
    const tested = mask === undefined ? `argument ${argument}` : `argument ${argument} & ${hex(mask)}`;
    return `${tested} is ${values.length === 1 ? values[0] : `one of ${values.join(", ")}`}`;
  }).join(" and ");
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
