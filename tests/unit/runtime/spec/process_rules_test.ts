import { deepEqual } from "node:assert/strict";
import type { Capabilities, Process, Scheduler, User } from "../../../../runtime/spec/config.ts";
import { CAPABILITIES } from "../../../../runtime/spec/config.ts";
import { specWarnings, validateSpec } from "../../../../runtime/spec/validate.ts";
import { type Case, testRules } from "./_rules.ts";
import { type Part, shared, whole } from "./_samples.ts";

const user = (more: Partial<User>): Part => ({ process: { user: { uid: 0, gid: 0, ...more } } });
const able = (capabilities: Capabilities): Part => ({ process: { capabilities } });
const ALL = [...CAPABILITIES];

testRules([
  [
    "a relative working directory",
    { process: { cwd: "tmp" } },
    "/process/cwd: Cannot start in the working directory: it is not absolute",
  ],
  ["no arguments", { process: { args: [] } }, "/process/args: Cannot run a program: args is empty"],
  [
    "a program without a name",
    { process: { args: ["", "a"] } },
    "/process/args: Cannot run a program: its name is empty",
  ],
  ["an empty second argument", { process: { args: ["a", ""] } }],
  ["variables", { process: { env: ["A=", "B=c=d"] } }],
  [
    "a variable without =",
    { process: { env: ["A=b", "PATH"] } },
    '/process/env/1: Cannot set an environment variable: it has no "="',
  ],
  [
    "a variable without a name",
    { process: { env: ["=b"] } },
    "/process/env/0: Cannot set an environment variable: its name is empty",
  ],
  ["a terminal of 65535 cells", { process: { terminal: true, consoleSize: { height: 65535, width: 0 } } }],
  [
    "a terminal too high",
    { process: { terminal: true, consoleSize: { height: 65536, width: 1 } } },
    "/process/consoleSize/height: Cannot size the terminal: it has at most 65535 cells",
  ],
  [
    "a terminal too wide",
    { process: { terminal: true, consoleSize: { height: 1, width: 2n ** 60n } } },
    "/process/consoleSize/width: Cannot size the terminal: it has at most 65535 cells",
  ],
  ["any size without a terminal, as the specification wants", {
    process: { consoleSize: { height: 65536, width: 1 } },
  }],
  ["a umask", user({ umask: 0o777 })],
  [
    "a umask of 01000",
    user({ umask: 0o1000 }),
    "/process/user/umask: Cannot set the umask: it has bits above 0777",
  ],
  ["mapped ids", user({ uid: 65_535, gid: 65_535, additionalGids: [0, 1] })],
  [
    "an unmapped uid",
    user({ uid: 65_536 }),
    "/process/user/uid: Cannot become 65536: it is not in uidMappings",
  ],
  [
    "an unmapped gid",
    user({ gid: 65_536 }),
    "/process/user/gid: Cannot become 65536: it is not in gidMappings",
  ],
  [
    "an unmapped additional gid",
    user({ additionalGids: [1, 70_000] }),
    "/process/user/additionalGids/1: Cannot become 70000: it is not in gidMappings",
  ],
  ["no user where root is not mapped", {
    process: { cwd: "/", args: ["a"] },
    linux: {
      uidMappings: [{ containerID: 0, hostID: 1, size: 1 }],
      gidMappings: [{ containerID: 1, hostID: 1, size: 1 }],
    },
  }, "/process/user/gid: Cannot become 0: it is not in gidMappings"],
  ["ordered limits", {
    process: {
      rlimits: [{ type: "RLIMIT_CPU", soft: 1, hard: 1 }, {
        type: "RLIMIT_AS",
        soft: 2 ** 53 - 1,
        hard: 2n ** 64n - 1n,
      }],
    },
  }],
  ["a soft limit above the hard one", {
    process: { rlimits: [{ type: "RLIMIT_CPU", soft: 2n ** 64n - 1n, hard: 1 }] },
  }, "/process/rlimits/0: Cannot limit RLIMIT_CPU: soft is above hard"],
  ["a limit given twice", {
    process: {
      rlimits: [{ type: "RLIMIT_CPU", soft: 1, hard: 1 }, { type: "RLIMIT_CPU", soft: 1, hard: 1 }],
    },
  }, "/process/rlimits/1: Cannot limit RLIMIT_CPU: it is limited already"],
  [
    "every capability in every set",
    able({ bounding: ALL, permitted: ALL, effective: ALL, inheritable: ALL, ambient: ALL }),
  ],
  ["an unknown capability, which is only warned of", able({ bounding: ["CAP_KILL", "CAP_FLY"] })],
  [
    "effective beyond permitted",
    able({ permitted: ["CAP_KILL"], effective: ["CAP_KILL", "CAP_BPF"] }),
    '/process/capabilities/effective/1: Cannot make "CAP_BPF" effective: it is not permitted',
  ],
  [
    "ambient beyond permitted, which is only warned of",
    able({ inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"] }),
  ],
  ["an OOM score of 1000", { process: { oomScoreAdj: 1000 } }],
  [
    "an OOM score of 1001",
    { process: { oomScoreAdj: 1001 } },
    "/process/oomScoreAdj: Cannot adjust the OOM score: it goes from -1000 to 1000",
  ],
  [
    "an OOM score of -1001",
    { process: { oomScoreAdj: -1001 } },
    "/process/oomScoreAdj: Cannot adjust the OOM score: it goes from -1000 to 1000",
  ],
  ["CPU lists", { process: { execCPUAffinity: { initial: "0-3,7", final: "" } } }],
  ...["3-0", "1,,2", "1-", "100000", "a"].map((it) =>
    [
      `the CPU list ${it}`,
      { process: { execCPUAffinity: { final: it } } },
      `/process/execCPUAffinity/final: Cannot choose CPUs: "${it}" is no list such as "0-3,7"`,
    ] as const
  ),
  [
    "an initial CPU list upside down",
    { process: { execCPUAffinity: { initial: "3-0" } } },
    '/process/execCPUAffinity/initial: Cannot choose CPUs: "3-0" is no list such as "0-3,7"',
  ],
]);

testRules([
  ["any id without a user namespace", user({ uid: 1_000_000, gid: 4294967294 })],
  [
    "the uid that means no change",
    user({ uid: 4294967295 }),
    "/process/user/uid: Cannot become 4294967295: it means no change to the kernel",
  ],
  [
    "the gid that means no change",
    user({ gid: 4294967295 }),
    "/process/user/gid: Cannot become 4294967295: it means no change to the kernel",
  ],
  [
    "the additional gid that means no change",
    user({ additionalGids: [4294967295] }),
    "/process/user/additionalGids/0: Cannot become 4294967295: it means no change to the kernel",
  ],
], shared);

for (
  const [sets, pointer, message] of [
    [
      { permitted: ["CAP_KILL"], ambient: ["CAP_KILL"] },
      "ambient/0",
      "can't raise ambient capability CAP_KILL: it is not inheritable",
    ],
    [
      { inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"] },
      "ambient/0",
      "can't raise ambient capability CAP_KILL: it is not permitted",
    ],
    [{ bounding: ["CAP_FLY"] }, "bounding/0", "ignoring unknown or unavailable capabilities: [CAP_FLY]"],
    [
      { bounding: ["kill\u202e"] },
      "bounding/0",
      "ignoring unknown or unavailable capabilities: [kill\\u{202e}]",
    ],
  ] as const
) {
  Deno.test(`specWarnings() warns: ${message}`, () => {
    const spec = whole(able(sets));
    deepEqual(validateSpec(spec), []);
    deepEqual(specWarnings(spec), [{ pointer: `/process/capabilities/${pointer}`, message }]);
    deepEqual(specWarnings(whole()), []);
  });
}

const scheduled = (name: string, scheduler: Scheduler, field?: string, state?: string): Case => {
  const part: Part = { process: { scheduler } };
  if (!field) return [`${scheduler.policy} with ${name}`, part];
  return [
    `${scheduler.policy} with ${name}`,
    part,
    `/process/scheduler/${field}: Cannot schedule with ${scheduler.policy}: ${state}`,
  ];
};
const TIMES = { runtime: 1024, deadline: 2000, period: 2000 };
const priority = (ioPriority: NonNullable<Process["ioPriority"]>): Part => ({ process: { ioPriority } });
const RANGE_7 = "/process/ioPriority/priority: Cannot set the I/O priority: it goes from 0 to 7";

testRules([
  scheduled("nice 19", { policy: "SCHED_OTHER", nice: 19 }),
  scheduled("nice -20", { policy: "SCHED_BATCH", nice: -20 }),
  scheduled("nice 20", { policy: "SCHED_OTHER", nice: 20 }, "nice", "nice goes from -20 to 19"),
  scheduled("nice -21", { policy: "SCHED_BATCH", nice: -21 }, "nice", "nice goes from -20 to 19"),
  scheduled("nice, which it does not look at", {
    policy: "SCHED_DEADLINE",
    nice: 1,
    runtime: 5000,
    deadline: 6000,
    period: 7000,
  }),
  scheduled("priority 1", { policy: "SCHED_FIFO", priority: 1 }),
  scheduled("priority 99", { policy: "SCHED_RR", priority: 99 }),
  scheduled("no priority", { policy: "SCHED_FIFO" }, "priority", "priority goes from 1 to 99"),
  scheduled("priority 100", { policy: "SCHED_RR", priority: 100 }, "priority", "priority goes from 1 to 99"),
  scheduled(
    "priority",
    { policy: "SCHED_OTHER", priority: 1 },
    "priority",
    "priority is for SCHED_FIFO and SCHED_RR",
  ),
  scheduled("nothing", { policy: "SCHED_ISO" }, "policy", "Linux reserves the name and has no such policy"),
  scheduled("times", { policy: "SCHED_DEADLINE", ...TIMES }),
  scheduled("no period", { policy: "SCHED_DEADLINE", runtime: 1024, deadline: 1024 }),
  scheduled(
    "a short runtime",
    { policy: "SCHED_DEADLINE", ...TIMES, runtime: 1023 },
    "runtime",
    "runtime is at least 1024 ns",
  ),
  scheduled(
    "a short deadline",
    { policy: "SCHED_DEADLINE", ...TIMES, runtime: 2001 },
    "deadline",
    "deadline is shorter than runtime",
  ),
  scheduled(
    "a short period",
    { policy: "SCHED_DEADLINE", ...TIMES, period: 1999n },
    "period",
    "period is shorter than deadline",
  ),
  ...(["runtime", "deadline", "period"] as const).map((field) =>
    scheduled(field, { policy: "SCHED_OTHER", [field]: 1 }, field, `${field} is for SCHED_DEADLINE`)
  ),
  ["I/O priority 7", priority({ class: "IOPRIO_CLASS_BE", priority: 7 })],
  ["no I/O priority", priority({ class: "IOPRIO_CLASS_IDLE" })],
  ["I/O priority 8", priority({ class: "IOPRIO_CLASS_BE", priority: 8 }), RANGE_7],
  ["I/O priority -1", priority({ class: "IOPRIO_CLASS_BE", priority: -1 }), RANGE_7],
]);
