import { deepEqual, equal, throws } from "node:assert/strict";
import { SpecError } from "../../../../runtime/errors.ts";
import { builtinPolicy } from "../../../../runtime/policy/builtin.ts";
import { POLICY_NAMES } from "../../../../runtime/policy/names.ts";
import { policyOf } from "../../../../runtime/policy/load.ts";

const group = { name: "g", action: "allow", reason: "r", calls: ["bpf"] };

/** Pointers of the problems of a policy that is wrong. */
function pointers(value: unknown): string[] {
  try {
    policyOf(value, "mine.json");
  } catch (error) {
    if (error instanceof SpecError) return error.issues.map(({ pointer }) => pointer);
    throw error;
  }
  return [];
}

Deno.test("policyOf() takes what a policy leaves out from the one that it extends", () => {
  const mine = policyOf(
    { name: "mine", extends: "strict", landlock: false, seccomp: { groups: [group] } },
    "x",
  );
  const strict = builtinPolicy("strict");
  deepEqual(mine.capabilities, strict.capabilities);
  equal(mine.landlock, false);
  deepEqual(mine.seccomp.groups, [...strict.seccomp.groups, group]);
  equal(policyOf({ name: "mine" }, "x").sockets, builtinPolicy("default").sockets);
});

Deno.test("every policy that comes along gives a reason for each of its parts", () => {
  for (const name of POLICY_NAMES) {
    const { description, seccomp, ...parts } = builtinPolicy(name);
    equal(builtinPolicy(name).name, name);
    const reasons = Object.values(parts).flatMap((part) => typeof part === "object" ? [part.reason] : []);
    for (const reason of [description, ...reasons, ...seccomp.groups.map(({ reason }) => reason)]) {
      equal(reason.length > 5, true, `${name}: "${reason}"`);
    }
  }
});

const BAD: readonly (readonly [string, unknown, string])[] = [
  ["no object", [], ""],
  ["no name", {}, "/name"],
  ["a name of ours", { name: "strict" }, "/name"],
  ["a name with a slash", { name: "../x" }, "/name"],
  ["a policy that is not there to extend", { name: "m", extends: "lax" }, "/extends"],
  ["a property spelt wrong", { name: "m", capabilites: { allow: [], reason: "r" } }, "/capabilites"],
  ["a property spelt wrong inside", { name: "m", seccomp: { unlised: "allow" } }, "/seccomp/unlised"],
  ["no reason", { name: "m", capabilities: { allow: [] } }, "/capabilities/reason"],
  [
    "a capability that is none",
    { name: "m", capabilities: { allow: ["CAP_X"], reason: "r" } },
    "/capabilities/allow/0",
  ],
  [
    "an action that is none",
    { name: "m", seccomp: { groups: [{ ...group, action: "log" }] } },
    "/seccomp/groups/0/action",
  ],
  ["no calls", { name: "m", seccomp: { groups: [{ ...group, calls: [] }] } }, "/seccomp/groups/0/calls"],
  [
    "no name of a call",
    { name: "m", seccomp: { groups: [{ ...group, calls: ["a b"] }] } },
    "/seccomp/groups/0/calls/0",
  ],
  ["an argument that is none", {
    name: "m",
    seccomp: { groups: [{ ...group, when: [{ argument: 6, equals: 1 }] }] },
  }, "/seccomp/groups/0/when/0/argument"],
  ["a number that is none", {
    name: "m",
    seccomp: { groups: [{ ...group, when: [{ argument: 0, equals: "0xg" }] }] },
  }, "/seccomp/groups/0/when/0/equals"],
  ["bits outside the mask", {
    name: "m",
    seccomp: { groups: [{ ...group, when: [{ argument: 0, mask: 1, equals: 2 }] }] },
  }, "/seccomp/groups/0/when/0/equals"],
  ["no value at all", {
    name: "m",
    seccomp: { groups: [{ ...group, when: [{ argument: 0, equals: [] }] }] },
  }, "/seccomp/groups/0/when/0/equals"],
  ["a condition to kill on", {
    name: "m",
    seccomp: { groups: [{ ...group, action: "kill", when: [{ argument: 0, equals: 1 }] }] },
  }, "/seccomp/groups/0/when"],
  ["a family that is none", {
    name: "m",
    sockets: { families: ["AF_X"], netlink: [], reason: "r" },
  }, "/sockets/families/0"],
  [
    "a path that is none",
    { name: "m", maskedPaths: { paths: ["proc"], reason: "r" } },
    "/maskedPaths/paths/0",
  ],
  ["a soft limit above the hard one", {
    name: "m",
    rlimits: { limits: [{ type: "RLIMIT_CORE", soft: 2, hard: 1 }], reason: "r" },
  }, "/rlimits/limits/0/soft"],
  ["a limit that is no file of /proc/sys/user", {
    name: "m",
    userLimits: { limits: { "../kernel/core_pattern": 1 }, reason: "r" },
  }, "/userLimits/limits/../kernel/core_pattern"],
  ["limits of the host's users", {
    name: "m",
    userNamespace: { own: false, reason: "r" },
  }, "/userLimits"],
  ["a call forbidden that starting takes", {
    name: "m",
    seccomp: { groups: [group, { ...group, action: "refuse", calls: ["execve"] }] },
  }, "/seccomp/groups/1"],
];

for (const [what, value, pointer] of BAD) {
  Deno.test(`policyOf() refuses ${what} and points at it`, () => deepEqual(pointers(value), [pointer]));
}

Deno.test("policyOf() tells every problem at once", () => {
  throws(
    () => policyOf({ name: 1, landlock: 1 }, "mine.yaml"),
    /Cannot use "mine.yaml": \/name: .*; \/landlock: /,
  );
});
