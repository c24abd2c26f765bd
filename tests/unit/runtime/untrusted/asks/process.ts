import { type Ask, process, spec } from "./ask.ts";

/** What the process asks for, and its filter. */
export const PROCESS_ASKS: readonly Ask[] = [
  {
    rule: "argumentsAreBounded",
    says: "endless arguments",
    spec: process({ args: ["true", "x".repeat(600_000)], env: [`A=${"x".repeat(600_000)}`] }),
    cuts: [],
    refusals: ["/process/args"],
  },
  {
    rule: "directoryIsShallow",
    says: "a working directory below a thousand others",
    spec: process({ cwd: "/d".repeat(1000) }),
    cuts: [],
    refusals: ["/process/cwd"],
  },
  {
    rule: "capabilitiesAreFew",
    says: "capabilities over the host",
    spec: process({
      capabilities: { bounding: ["CAP_KILL", "CAP_SYS_ADMIN"], permitted: ["CAP_MKNOD"], effective: [] },
    }),
    cuts: [
      "/process/capabilities/bounding: CAP_SYS_ADMIN → nothing",
      "/process/capabilities/permitted: CAP_MKNOD → nothing",
    ],
    left: [({ process }) => process!.capabilities!.bounding, ["CAP_KILL"]],
  },
  {
    rule: "capabilitiesAreNotPassedOn",
    says: "capabilities for the programs that it starts",
    spec: process({ capabilities: { inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"] } }),
    cuts: [
      "/process/capabilities/inheritable: CAP_KILL → nothing",
      "/process/capabilities/ambient: CAP_KILL → nothing",
    ],
    left: [({ process }) => process!.capabilities, { inheritable: [], ambient: [] }],
  },
  {
    rule: "privilegesAreNotGained",
    says: "set-user-id programs",
    spec: process({ noNewPrivileges: false }),
    cuts: ["/process/noNewPrivileges: false → true"],
    left: [({ process }) => process!.noNewPrivileges, true],
  },
  {
    rule: "privilegesAreNotGained",
    says: "nothing about new privileges",
    spec: process({}),
    cuts: [],
    left: [({ process }) => process!.noNewPrivileges, true],
  },
  {
    rule: "limitsAreNotRaised",
    says: "limits above the caller's and the ceiling",
    spec: process({
      rlimits: [
        { type: "RLIMIT_CORE", soft: 2n ** 64n - 1n, hard: 2n ** 64n - 1n },
        { type: "RLIMIT_NOFILE", soft: 10, hard: 5000 },
        { type: "RLIMIT_NPROC", soft: 10, hard: 2n ** 64n - 1n },
      ],
    }),
    facts: { rlimits: new Map([["RLIMIT_NOFILE", 4096n]]) },
    cuts: [
      "/process/rlimits/0: RLIMIT_CORE 18446744073709551615:18446744073709551615 → 0",
      "/process/rlimits/1: RLIMIT_NOFILE 10:5000 → 4096",
    ],
    left: [({ process }) => process!.rlimits![1], { type: "RLIMIT_NOFILE", soft: 10, hard: 4096n }],
  },
  {
    rule: "othersAreKilledLater",
    says: "to be killed last",
    spec: process({ oomScoreAdj: -1000 }),
    cuts: ["/process/oomScoreAdj: -1000 → 0"],
    left: [({ process }) => process!.oomScoreAdj, 0],
  },
  ...([
    { policy: "SCHED_FIFO", priority: 99 },
    { policy: "SCHED_OTHER", nice: -1 },
    { policy: "SCHED_OTHER", flags: ["SCHED_FLAG_UTIL_CLAMP_MIN"] },
  ] as const).map((scheduler): Ask => ({
    rule: "othersRunFirst",
    says: `to run first by ${JSON.stringify(scheduler)}`,
    spec: process({ scheduler }),
    cuts: [`/process/scheduler: ${JSON.stringify(scheduler)} → the caller's`],
    left: [({ process }) => process!.scheduler, undefined],
  })),
  ...([{ class: "IOPRIO_CLASS_RT" }, { class: "IOPRIO_CLASS_BE", priority: 0 }] as const).map((
    ioPriority,
  ): Ask => ({
    rule: "othersReadFirst",
    says: `to read first by ${ioPriority.class}`,
    spec: process({ ioPriority }),
    cuts: [`/process/ioPriority: ${JSON.stringify(ioPriority)} → the caller's`],
    left: [({ process }) => process!.ioPriority, undefined],
  })),
  {
    rule: "labelsAreNotChosen",
    says: "labels of its own",
    spec: process({ apparmorProfile: "unconfined", selinuxLabel: "system_u:system_r:kernel_t:s0" }),
    cuts: [
      "/process/apparmorProfile: unconfined → nothing",
      "/process/selinuxLabel: system_u:system_r:kernel_t:s0 → nothing",
    ],
    left: [({ process }) => [process!.apparmorProfile, process!.selinuxLabel], [undefined, undefined]],
  },
  {
    rule: "nobodyIsAsked",
    says: "an agent that decides over calls",
    spec: spec({}, {
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
      },
    }),
    cuts: ["/linux/seccomp/syscalls/0/action: SCMP_ACT_NOTIFY → SCMP_ACT_ERRNO"],
    left: [({ linux }) => linux!.seccomp!.syscalls, [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }]],
  },
  {
    rule: "listenersGo",
    says: "a socket of the host",
    spec: spec({}, {
      seccomp: { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/run/agent", listenerMetadata: "x" },
    }),
    cuts: ["/linux/seccomp/listenerPath: /run/agent → nothing"],
    left: [({ linux }) => linux!.seccomp, { defaultAction: "SCMP_ACT_ALLOW" }],
  },
  {
    rule: "nothingIsLogged",
    says: "lines in the host's log",
    spec: spec({}, {
      seccomp: {
        defaultAction: "SCMP_ACT_LOG",
        syscalls: [{ names: ["getpid"], action: "SCMP_ACT_LOG" }],
      },
    }),
    cuts: [
      "/linux/seccomp/syscalls/0/action: SCMP_ACT_LOG → SCMP_ACT_ALLOW",
      "/linux/seccomp/defaultAction: SCMP_ACT_LOG → SCMP_ACT_ALLOW",
    ],
    left: [({ linux }) => linux!.seccomp, {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["getpid"], action: "SCMP_ACT_ALLOW" }],
    }],
  },
  {
    rule: "filterFlagsGo",
    says: "a filter without a mitigation",
    spec: spec({}, {
      seccomp: { defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"] },
    }),
    cuts: ["/linux/seccomp/flags: SECCOMP_FILTER_FLAG_SPEC_ALLOW → nothing"],
    left: [({ linux }) => linux!.seccomp, { defaultAction: "SCMP_ACT_ALLOW" }],
  },
];
