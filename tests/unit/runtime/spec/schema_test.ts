import { deepEqual, ok, throws } from "node:assert/strict";
import { SpecError } from "../../../../runtime/errors.ts";
import type { Features } from "../../../../runtime/spec/features.ts";
import type { State } from "../../../../runtime/spec/state.ts";
import { decodeSpec } from "../../../../runtime/spec/decode.ts";
import { parseSpec } from "../../../../runtime/spec/validate.ts";
import { everything, toJson } from "./_samples.ts";
import { samples, schema } from "./_schema.ts";

for (const [name, bytes] of samples("config/good")) {
  Deno.test(`decodeSpec() takes the good sample ${name}, as the schema does`, () => {
    const value = JSON.parse(new TextDecoder().decode(bytes));
    const validate = schema("config-schema.json");
    ok(validate(value), JSON.stringify(validate.errors));
    decodeSpec(bytes, name);
  });
}

for (const [name, bytes] of samples("config/bad")) {
  Deno.test(`decodeSpec() refuses the bad sample ${name}`, () => {
    throws(() => decodeSpec(bytes, name), SpecError);
  });
}

/** What the meaning of a good sample says against it: the schema knows no meaning. */
const MEANING: Readonly<Record<string, string>> = {
  "linux-netdevice.json": "Cannot move a network device: the network namespace is shared",
  "spec-example.json": 'Cannot follow version "0.5.0-dev": those of version 1 are known',
};

for (const [name, bytes] of samples("config/good")) {
  Deno.test(`parseSpec() ${name in MEANING ? "knows better than" : "takes"} the good sample ${name}`, () => {
    let messages: string[] = [];
    try {
      parseSpec(bytes, name);
    } catch (error) {
      ok(error instanceof SpecError);
      messages = error.issues.map(({ message }) => message);
    }
    deepEqual(messages, name in MEANING ? [MEANING[name]] : []);
  });
}

Deno.test("the schema takes a spec that uses every property", () => {
  const validate = schema("config-schema.json");
  ok(validate(JSON.parse(toJson(everything()))), JSON.stringify(validate.errors));
});

Deno.test("State and Features have the shape of their schemas", () => {
  const state: State = {
    ociVersion: "1.3.0",
    id: "a",
    status: "running",
    pid: 1,
    bundle: "/b",
    annotations: { a: "b" },
  };
  const features: Features = {
    ociVersionMin: "1.0.0",
    ociVersionMax: "1.3.0",
    hooks: ["prestart"],
    mountOptions: ["ro"],
    annotations: { a: "b" },
    potentiallyUnsafeConfigAnnotations: ["a."],
    linux: {
      namespaces: ["pid"],
      capabilities: ["CAP_KILL"],
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: true, rdma: true },
      seccomp: {
        enabled: true,
        actions: ["SCMP_ACT_LOG"],
        operators: ["SCMP_CMP_NE"],
        archs: ["SCMP_ARCH_ARM"],
        knownFlags: [],
        supportedFlags: [],
      },
      apparmor: { enabled: true },
      selinux: { enabled: true },
      memoryPolicy: { modes: ["MPOL_BIND"], flags: [] },
      intelRdt: { enabled: true, schemata: true, monitoring: true },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: true },
    },
  };
  for (const [name, value] of [["state", state], ["features", features]] as const) {
    const validate = schema(`${name}-schema.json`);
    ok(validate(value), JSON.stringify(validate.errors));
  }
});
