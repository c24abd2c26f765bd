import { deepEqual, equal, ok } from "node:assert/strict";
import { cgroups } from "../../../../runtime/host/probe.ts";
import { parseCpuList } from "../../../../runtime/plan/cpu_list.ts";
import { populateDev } from "../../../../runtime/plan/devices.ts";
import { resolveOrCreate } from "../../../../runtime/plan/files.ts";
import { formatCall } from "../../../../runtime/plan/format.ts";
import { maskedPaths, readonlyPaths } from "../../../../runtime/plan/hidden.ts";
import { capabilityMask, dropBounding, setCapabilities, setUser } from "../../../../runtime/plan/identity.ts";
import { offsetLines } from "../../../../runtime/plan/launcher.ts";
import { execAffinity, rlimits, scheduling } from "../../../../runtime/plan/limits.ts";
import { mounts } from "../../../../runtime/plan/mounts.ts";
import type { PlanRequest } from "../../../../runtime/plan/context.ts";
import type { Op } from "../../../../runtime/plan/op.ts";
import { plan } from "../../../../runtime/plan/plan.ts";
import { findProgram } from "../../../../runtime/plan/process.ts";
import { callerMap, idMap } from "../../../../runtime/plan/userns.ts";
import { contextOf, HOST_V2, opsOf, type Part, requestOf, ROOTLESS } from "../../../helpers/plan_samples.ts";

const USER_NAMESPACE: Part = {
  linux: {
    namespaces: (["user", "pid", "network", "ipc", "uts", "mount"] as const).map((type) => ({ type })),
    uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
    gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
  },
};

function lines(ops: Iterable<Op>): string[] {
  return [...ops].map(formatCall);
}

const LISTS: readonly (readonly [string, number[]])[] = [
  ["", []],
  ["0", [0]],
  ["0-3", [0, 1, 2, 3]],
  ["0-1,7", [0, 1, 7]],
  [" 2 , 4-5 ", [2, 4, 5]],
];
for (const [list, numbers] of LISTS) {
  Deno.test(`parseCpuList() reads "${list}"`, () => deepEqual(parseCpuList(list), numbers));
}

const MASKS: readonly (readonly [string[], bigint])[] = [
  [[], 0n],
  [["CAP_CHOWN"], 1n],
  [["CAP_CHOWN", "CAP_CHOWN", "CAP_KILL"], 33n],
  [["CAP_CHECKPOINT_RESTORE"], 1n << 40n],
];
for (const [names, mask] of MASKS) {
  Deno.test(`capabilityMask() of [${names}] is ${mask}`, () => equal(capabilityMask(names), mask));
}

Deno.test("dropBounding() takes every capability of the kernel that is not asked for", () => {
  const host = { ...HOST_V2, lastCapability: 41 };
  const process = { capabilities: { bounding: ["CAP_KILL"] } } as const;
  const found = lines(dropBounding(contextOf({ process }, { host })));
  equal(found.length, 41);
  ok(found.every((line) => line.startsWith("prctl(PR_CAPBSET_DROP, ")));
  ok(!found.some((line) => line.includes("CAP_KILL")));
  ok(found.some((line) => line.includes("capability 41")), "a capability that is newer than our list");
});

Deno.test("setCapabilities() sets all three sets at once, then the ambient one", () => {
  const process: Part["process"] = {
    capabilities: {
      effective: ["CAP_CHOWN"],
      permitted: ["CAP_CHOWN", "CAP_BPF"],
      inheritable: ["CAP_BPF"],
      ambient: ["CAP_BPF", "CAP_CHOWN"],
    },
  };
  deepEqual(lines(setCapabilities(contextOf({ process }))), [
    "capset({_LINUX_CAPABILITY_VERSION_3, 0}, {effective 0x1, permitted 0x8000000001, inheritable 0x8000000000})",
    "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)",
    "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_BPF, 0, 0)",
  ]);
});

const USERNS = {
  namespaces: [{ type: "mount" }, { type: "user" }],
  uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
  gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
} as const;
const USERS: readonly (readonly [
  name: string,
  part: Part,
  host: typeof ROOTLESS | undefined,
  groups: string | undefined,
])[] = [
  ["drops all groups for a privileged launcher", {}, undefined, "setgroups(0, [])"],
  [
    "sets exactly the groups of the spec",
    { process: { user: { uid: 1, gid: 2, additionalGids: [3, 4] } } },
    undefined,
    "setgroups(2, [3, 4])",
  ],
  ["leaves the groups alone where the kernel denies it", { linux: USERNS }, ROOTLESS, undefined],
  [
    "lets the kernel refuse groups that are asked for",
    { linux: USERNS, process: { user: { uid: 0, gid: 0, additionalGids: [5] } } },
    ROOTLESS,
    "setgroups(1, [5])",
  ],
];
for (const [name, part, host, groups] of USERS) {
  Deno.test(`setUser() ${name}`, () => {
    const found = lines(setUser(contextOf(part, host ? { host } : {})));
    equal(found.find((line) => line.startsWith("setgroups")), groups);
    const order = found.map((line) => line.slice(0, line.indexOf("("))).filter((call) =>
      call.startsWith("set")
    );
    deepEqual(order, [...(groups ? ["setgroups"] : []), "setresgid", "setresuid"], "the user changes last");
  });
}

Deno.test("rlimits() sets the limits of the spec and the caller's of open files", () => {
  deepEqual(lines(rlimits(contextOf())), ["prlimit64(0, RLIMIT_NOFILE, {cur=1024, max=4096}, 0)"]);
  const process: Part["process"] = {
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 5, hard: 18446744073709551615n }],
  };
  deepEqual(lines(rlimits(contextOf({ process }))), [
    "prlimit64(0, RLIMIT_NOFILE, {cur=5, max=18446744073709551615}, 0)",
  ]);
  const host = { ...HOST_V2, openFiles: { soft: 50, hard: 99 } };
  deepEqual(lines(rlimits(contextOf({}, { host }))), ["prlimit64(0, RLIMIT_NOFILE, {cur=50, max=99}, 0)"]);
});

const SCHEDULES: readonly (readonly [name: string, part: Part, calls: string[]])[] = [
  ["does nothing unless asked", {}, []],
  [
    "sets a policy with all its numbers",
    { process: { scheduler: { policy: "SCHED_DEADLINE", runtime: 1, deadline: 2, period: 3, nice: 0 } } },
    [
      "sched_setattr(0, {size=48, sched_policy=SCHED_DEADLINE, sched_runtime=1, sched_deadline=2, sched_period=3}, 0)",
    ],
  ],
  [
    "sets an I/O priority",
    { process: { ioPriority: { class: "IOPRIO_CLASS_RT", priority: 7 } } },
    ["ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_RT:7)"],
  ],
  [
    "sets a memory policy with its nodes",
    { linux: { memoryPolicy: { mode: "MPOL_INTERLEAVE", nodes: "0-1", flags: ["MPOL_F_STATIC_NODES"] } } },
    ["set_mempolicy(MPOL_INTERLEAVE|MPOL_F_STATIC_NODES, {0-1}, 65)"],
  ],
  ["sets a memory policy without nodes", { linux: { memoryPolicy: { mode: "MPOL_LOCAL" } } }, [
    "set_mempolicy(MPOL_LOCAL, 0, 0)",
  ]],
  ["sets a personality", { linux: { personality: { domain: "LINUX32" } } }, ["personality(LINUX32)"]],
];
for (const [name, part, calls] of SCHEDULES) {
  Deno.test(`scheduling() ${name}`, () => deepEqual(lines(scheduling(contextOf(part))), calls));
}

Deno.test("execAffinity() sets the CPUs of a program that joins, before and behind its cgroups", () => {
  const affinity = (initial: string, final: string, when: "initial" | "final"): string[] =>
    lines(execAffinity(contextOf({ process: { execCPUAffinity: { initial, final } } }), when));
  deepEqual(affinity("0", "1-2", "initial"), ["sched_setaffinity(0, 8, {0})"]);
  deepEqual(affinity("0", "1-2", "final"), ["sched_setaffinity(0, 8, {1-2})"]);
  deepEqual(affinity("130", "", "initial"), ["sched_setaffinity(0, 24, {130})"]);
  deepEqual(affinity("130", "", "final"), []);
});

/** What is looked for, in order. */
function candidates(part: Part): string[] {
  return [...findProgram(contextOf(part))].flatMap(({ does }) => /^look for "(.*)"$/.exec(does)?.[1] ?? []);
}
const PATHS: readonly (readonly [name: string, env: string[], expected: string[]])[] = [
  ["the PATH of the spec", ["PATH=/a:/b"], ["/a/sh", "/b/sh"]],
  ["the last PATH of the spec", ["PATH=/a", "PATH=/z"], ["/z/sh"]],
  ["directories without the slashes at their end", ["PATH=/a//:/"], ["/a/sh", "/sh"]],
  ["the working directory for an empty entry", ["PATH=/a::/b:"], ["/a/sh", "./sh", "/b/sh", "./sh"]],
  ["the working directory for an empty PATH", ["PATH="], ["./sh"]],
  [
    "the usual directories without a PATH",
    ["PATHS=/a"],
    ["/usr/local/sbin/sh", "/usr/local/bin/sh", "/usr/sbin/sh", "/usr/bin/sh", "/sbin/sh", "/bin/sh"],
  ],
];
for (const [name, env, expected] of PATHS) {
  Deno.test(`findProgram() searches ${name}`, () => {
    deepEqual([...new Set(candidates({ process: { args: ["sh"], env } }))], [...new Set(expected)]);
  });
}

Deno.test("findProgram() searches nothing for a name with a slash", () => {
  deepEqual(candidates({ process: { args: ["./sh"], env: ["PATH=/a"] } }), []);
});

Deno.test("idMap() writes a line for each range", () => {
  const maps = [{ containerID: 0, hostID: 100000, size: 10 }, { containerID: 10, hostID: 1000, size: 1 }];
  equal(new TextDecoder().decode(idMap(maps).bytes.bytes), "0 100000 10\n10 1000 1\n");
});

Deno.test("callerMap() leaves room for the caller's id before the size", () => {
  const { bytes, fill } = callerMap(7, "caller");
  equal(new TextDecoder().decode(bytes.bytes), "7            1\n");
  deepEqual(fill?.args[1], { inside: bytes, offset: 12 });
});

const TIME = { namespaces: [{ type: "time" }] } as const;
const OFFSETS: readonly (readonly [name: string, linux: Part["linux"], text: string | undefined])[] = [
  ["none without offsets", TIME, undefined],
  [
    "both clocks",
    { ...TIME, timeOffsets: { monotonic: { secs: 5, nanosecs: 6 }, boottime: { secs: -7 } } },
    "monotonic 5 6\nboottime -7 0\n",
  ],
  [
    "64-bit seconds",
    { ...TIME, timeOffsets: { boottime: { secs: 9007199254740993n } } },
    "boottime 9007199254740993 0\n",
  ],
  [
    "none in a time namespace that is joined",
    { namespaces: [{ type: "time", path: "/x" }], timeOffsets: { monotonic: { secs: 5 } } },
    undefined,
  ],
];
for (const [name, linux, expected] of OFFSETS) {
  Deno.test(`offsetLines() writes ${name}`, () => equal(offsetLines(contextOf({ linux: linux! })), expected));
}

Deno.test("mounts() opens binds by the launcher where it may, else by init", () => {
  const part: Part = { mounts: [{ destination: "/m", source: "here", options: ["bind"] }] };
  const opens = (steps: readonly Op[] = []): boolean =>
    steps.some(({ call, args }) => call === "open_tree" && args[1] === "/bundle/here");
  const [root, user] = [mounts(contextOf(part)), mounts(contextOf(part, { host: ROOTLESS }))];
  deepEqual([opens(root.launcher), opens(root.before)], [true, false]);
  deepEqual([opens(user.launcher), opens(user.before)], [false, true]);
});

Deno.test("mounts() makes the mount before its place is looked up, each by its own names", () => {
  const steps = mounts(
    contextOf({ mounts: [{ destination: "/a", type: "tmpfs" }, { destination: "/b", type: "tmpfs" }] }),
  );
  deepEqual(steps.before?.filter(({ call }) => call === "fsmount").map(({ into }) => into), [
    "mount:0",
    "mount:1",
  ]);
  deepEqual(steps.inside?.filter(({ call }) => call === "move_mount").length, 2);
  ok(!steps.inside?.some(({ call }) => call.startsWith("fs")));
});

Deno.test("resolveOrCreate() looks up nothing without RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS", () => {
  for (const kind of ["directory", "file"] as const) {
    const found = lines(resolveOrCreate("find", "/a/./b//c", "x", { arch: "x86_64", kind }));
    for (const line of found.filter((each) => each.includes("openat2"))) {
      ok(line.includes("RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS"), line);
    }
    const made = found.filter((line) => line.startsWith("mkdirat")).map((line) => /"(.*)"/.exec(line)?.[1]);
    deepEqual(made, kind === "file" ? ["a", "b"] : ["a", "b", "c"]);
    equal(found.some((line) => line.includes("O_CREAT|O_EXCL|O_NOFOLLOW")), kind === "file");
  }
});

Deno.test("maskedPaths() and readonlyPaths() do nothing unless asked", () => {
  deepEqual(maskedPaths(contextOf()), {});
  deepEqual([...readonlyPaths(contextOf())], []);
});

Deno.test("populateDev() makes a node once, the spec's in place of the default", () => {
  const devices = [{ path: "/dev/null", type: "c", major: 1, minor: 3, fileMode: 0o600 }] as const;
  const made = lines(populateDev(contextOf({ linux: { devices } }), "dev")).filter((line) =>
    line.startsWith("mknodat")
  );
  equal(made.length, 6);
  deepEqual(made.filter((line) => line.includes('"null"')), [
    'mknodat(dev, "null", S_IFCHR|0600, makedev(1, 3))',
  ]);
});

Deno.test("plan() has the filter last before the program with no_new_privs, else before the last rights are dropped", () => {
  const filter = { program: new Uint8Array(8), flags: 0, notify: false };
  const calls = (noNewPrivileges: boolean): string[] => {
    return opsOf(plan(requestOf({ process: { noNewPrivileges } }, { filter }))).map(({ call }) => call);
  };
  const [late, early] = [calls(true), calls(false)];
  equal(late.indexOf("seccomp"), late.indexOf("execve") - 1);
  ok(early.indexOf("seccomp") > early.lastIndexOf("faccessat2"), "the program was looked for before");
  ok(early.indexOf("seccomp") < early.lastIndexOf("capset"));
});

for (const noNewPrivileges of [true, false]) {
  Deno.test(`plan() has nothing between the start gate and the program if it is attested, no_new_privs ${noNewPrivileges}`, () => {
    const filter = { program: new Uint8Array(8), flags: 0, notify: false };
    const ops = opsOf(plan(requestOf({ process: { noNewPrivileges } }, { filter, attest: true })));
    const gate = ops.findLastIndex(({ does }) => does === "wait for the start");
    deepEqual(ops.slice(gate + 1).map(({ call }) => call).slice(0, 3), ["exit_group", "let", "execve"]);
    ok(ops.findIndex(({ call }) => call === "seccomp") < gate);
  });
}

const NETWORKS: readonly (readonly [string, Part, Partial<PlanRequest>, "launcher" | "birth"])[] = [
  ["in an executable", {}, { form: "standalone" }, "launcher"],
  ["below a supervisor", {}, { form: "supervised" }, "birth"],
  [
    "with kernel parameters",
    { linux: { sysctl: { "net.core.somaxconn": "9" } } },
    { form: "standalone" },
    "birth",
  ],
  ["with ids of its own", USER_NAMESPACE, { form: "standalone" }, "birth"],
  ["for a user", USER_NAMESPACE, { form: "standalone", host: ROOTLESS }, "birth"],
  [
    "without mounts of its own",
    { linux: { namespaces: [{ type: "network" }] } },
    { form: "standalone" },
    "birth",
  ],
];
for (const [what, part, more, by] of NETWORKS) {
  Deno.test(`plan() lets ${by === "birth" ? "init be born into" : "the launcher make"} the network ${what}`, () => {
    const sysfs = { destination: "/sys", type: "sysfs" };
    const { sections } = plan(requestOf({ mounts: [sysfs], ...part }, { host: HOST_V2, ...more }));
    const calls = sections.flatMap(({ by, ops }) => ops.map((each) => `${by} ${formatCall(each)}`));
    const at = (text: string): number => calls.findIndex((call) => call.includes(text));
    equal(/NEWNET/.test(calls[at("clone3({flags=CLONE_PIDFD")]!), by === "birth");
    equal(calls.includes("launcher unshare(CLONE_NEWNET)"), by === "launcher");
    if (by === "birth") return equal(at("setns"), -1);
    const inOrder = (texts: readonly string[]): boolean =>
      texts.map(at).every((each, index, all) => each > (all[index - 1] ?? 0));
    const made = ["clone3({exit_signal", "launcher unshare", 'network:write, "n"', "launcher ioctl(socket"];
    ok(inOrder([...made, 'network:write, "l"', "launcher waitid"]), "the guard is there before");
    const joined = ["init: prctl", "init read(network:read", "init setns", '"sysfs"', "init pivot_root"];
    ok(inOrder(joined), "all that shows it comes later");
    const [last] = calls.map((call, index) => call.startsWith("init read(network:read") ? index : 0).sort((
      a,
      b,
    ) => b - a);
    ok(
      last! > at("init pivot_root") && last! < at("init close_range"),
      "the program has its loopback device",
    );
  });
}

Deno.test("plan() holds signals back before anybody hears that a detached init is ready for them", () => {
  const ops = opsOf(plan(requestOf({}, { form: "detached" })));
  const [ready, held] = [
    ops.findIndex(({ does }) => does === "report that init is ready"),
    ops.findIndex(({ call }) => call === "signalfd4"),
  ];
  ok(held > 0 && held < ready);
});

Deno.test("cgroups() takes a hierarchy once that is mounted at several places", () => {
  const at = (path: string, what: string): string => `30 25 0:26 / ${path} rw - ${what}\n`;
  const mounted = ["/sys/fs/cgroup", "/elsewhere"].flatMap((base) => [
    at(`${base}/pids`, "cgroup cgroup rw,pids"),
    at(`${base}/unified`, "cgroup2 cgroup2 rw"),
  ]).join("");
  deepEqual(cgroups(mounted, "2:pids:/\n0::/\n").map(({ mountPoint }) => mountPoint), [
    "/sys/fs/cgroup/pids",
    "/sys/fs/cgroup/unified",
  ]);
});

Deno.test("cgroups() reads the layouts of version 1, 2 and both", () => {
  const v2 = "30 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
  deepEqual(cgroups(v2, "0::/user.slice/a\n"), [
    { version: 2, controllers: "", mountPoint: "/sys/fs/cgroup", own: "/user.slice/a" },
  ]);
  const hybrid = "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n" +
    "32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n" +
    "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n22 1 0:1 / / rw - ext4 /dev/vda rw\n";
  deepEqual(cgroups(hybrid, "4:cpu,cpuacct:/x:y\n1:name=systemd:/\n0::/z\n"), [
    { version: 1, controllers: "cpu,cpuacct", mountPoint: "/sys/fs/cgroup/cpu,cpuacct", own: "/x:y" },
    { version: 1, controllers: "name=systemd", mountPoint: "/sys/fs/cgroup/systemd", own: "/" },
    { version: 2, controllers: "", mountPoint: "/sys/fs/cgroup/unified", own: "/z" },
  ]);
});
