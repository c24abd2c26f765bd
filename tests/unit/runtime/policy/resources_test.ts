import { deepEqual, equal, throws } from "node:assert/strict";
import { withPolicyLimits } from "../../../../runtime/policy/resources.ts";
import { policyOf } from "../../../../runtime/policy/load.ts";
import type { Resources, Spec } from "../../../../runtime/spec/config.ts";

const GIB = 2 ** 30;
const RESOURCES = { memoryBytes: GIB, pids: 100, cpus: 0.5, reason: "test" };
const POLICY = { name: "mine", resources: RESOURCES };

function specOf(resources?: Resources): Spec {
  return { ociVersion: "1.2.0", root: { path: "rootfs" }, ...(resources && { linux: { resources } }) };
}

for (
  const [what, asked, gets] of [
    ["nothing", undefined, {
      memory: { limit: GIB, swap: GIB },
      pids: { limit: 100 },
      cpu: { period: 100_000, quota: 50_000 },
    }],
    ["less", {
      memory: { limit: 1024, swap: 2048, reservation: 5 },
      pids: { limit: 0 },
      cpu: { period: 10_000, quota: 1_000, shares: 2 },
    }, {
      memory: { limit: 1024, swap: 2048, reservation: 5 },
      pids: { limit: 0 },
      cpu: { period: 10_000, quota: 1_000, shares: 2 },
    }],
    ["more, and none", {
      memory: { limit: 2 * GIB, swap: -1 },
      pids: { limit: -1 },
      cpu: { period: 10_000, quota: 9_000 },
    }, {
      memory: { limit: GIB, swap: GIB },
      pids: { limit: 100 },
      cpu: { period: 10_000, quota: 5_000 },
    }],
  ] as const
) {
  Deno.test(`withPolicyLimits() leaves a spec that asks for ${what} within the policy`, () =>
    deepEqual(withPolicyLimits(specOf(asked), POLICY, {}).linux?.resources, gets));
}

Deno.test("withPolicyLimits() leaves what options say alone, and needs a cgroup for the rest", () => {
  const options = { memoryBytes: 5 * GIB, pids: 5, cpus: 2 };
  const spec = specOf({ pids: { limit: 5 } });
  equal(withPolicyLimits(spec, POLICY, options), spec);
  equal(withPolicyLimits(spec, { name: "mine" }, {}), spec);
  equal(withPolicyLimits(spec, undefined, {}), spec);
  throws(() => withPolicyLimits(spec, POLICY, { cgroupManager: "disabled" }), {
    name: "UsageError",
    message: /limits of policy "mine" without a cgroup/,
  });
});

Deno.test("policyOf() reads the most of the machine, and refuses what is none", () => {
  deepEqual(policyOf({ name: "mine", resources: RESOURCES }, "mine").resources, RESOURCES);
  for (
    const [key, value] of [["cpus", 0], ["cpus", "1"], ["pids", 0], ["memoryBytes", 4096], [
      "memory",
      1,
    ]] as const
  ) {
    throws(
      () => policyOf({ name: "mine", resources: { ...RESOURCES, [key]: value } }, "mine"),
      new RegExp(`/resources/${key}`),
    );
  }
});
