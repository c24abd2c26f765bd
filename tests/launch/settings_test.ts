import { equal, match, ok } from "node:assert/strict";
import { skip } from "../helpers/skip.ts";
import type { Rlimit, Scheduler } from "../../runtime/spec/config.ts";
import { namespaces, type Part, USER_NAMESPACE } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";

launchTest("launch() sets host name and domain name of the sandbox alone", async (bundle) => {
  const host = [Deno.hostname(), Deno.readTextFileSync("/proc/sys/kernel/domainname")];
  const part = { hostname: "box-ü", domainname: "example.test" };
  equal(
    await bundle.output("hostname; uname -n; cat /proc/sys/kernel/domainname", part),
    "box-ü\nbox-ü\nexample.test",
  );
  equal([Deno.hostname(), Deno.readTextFileSync("/proc/sys/kernel/domainname")].join(), host.join());
});

launchTest("launch() sets kernel parameters of the sandbox's namespaces", async (bundle) => {
  const before = Deno.readTextFileSync("/proc/sys/kernel/shmmax");
  const sysctl = {
    "kernel.shmmax": "1048576",
    "kernel.msgmax": "4096",
    "net.ipv4.ip_forward": "1",
    "net/ipv4/conf/lo/forwarding": "0",
    "net.ipv4.ping_group_range": "0 7",
    "fs.mqueue.msg_max": "33",
  };
  const names =
    "kernel/shmmax kernel/msgmax net/ipv4/ip_forward net/ipv4/conf/lo/forwarding net/ipv4/ping_group_range fs/mqueue/msg_max";
  const text = await bundle.output(`cd /proc/sys; cat ${names}`, {
    linux: { namespaces: namespaces(), sysctl },
  });
  equal(text, "1048576\n4096\n1\n0\n0\t7\n33");
  equal(Deno.readTextFileSync("/proc/sys/kernel/shmmax"), before);
});

launchTest("launch() sets kernel parameters in a user namespace", async (bundle) => {
  const linux = { ...USER_NAMESPACE, sysctl: { "net.ipv4.ip_forward": "1" } };
  equal(await bundle.output("cat /proc/sys/net/ipv4/ip_forward", { linux }), "1");
});

launchTest("launch() names a kernel parameter that it cannot set", async (bundle) => {
  const none = await bundle.failure("true", {
    linux: { namespaces: namespaces(), sysctl: { "net.none": "1" } },
  });
  match(none.message, /^Cannot set net\.none to "1" \(step \d+ of \d+, openat\): ENOENT/);
  const bad = await bundle.failure("true", {
    linux: { namespaces: namespaces(), sysctl: { "net.ipv4.ip_forward": "many" } },
  });
  match(bad.message, /^Cannot set net\.ipv4\.ip_forward to "many" .*, write\): EINVAL/);
});

const LIMITS: readonly (readonly [Rlimit, string])[] = [
  [{ type: "RLIMIT_CORE", soft: 0, hard: 1024 }, "Max core file size 0 1024 bytes"],
  [{ type: "RLIMIT_CPU", soft: 50, hard: 60 }, "Max cpu time 50 60 seconds"],
  [{ type: "RLIMIT_NOFILE", soft: 64, hard: 128 }, "Max open files 64 128 files"],
  [{ type: "RLIMIT_STACK", soft: 1 << 20, hard: 1 << 22 }, "Max stack size 1048576 4194304 bytes"],
  [{ type: "RLIMIT_FSIZE", soft: 1 << 20, hard: 2 ** 40 }, "Max file size 1048576 1099511627776 bytes"],
  [
    { type: "RLIMIT_AS", soft: 2 ** 40, hard: 2 ** 41 },
    "Max address space 1099511627776 2199023255552 bytes",
  ],
  [{ type: "RLIMIT_NPROC", soft: 10, hard: 20 }, "Max processes 10 20 processes"],
  [{ type: "RLIMIT_MSGQUEUE", soft: 1000, hard: 2000 }, "Max msgqueue size 1000 2000 bytes"],
  [{ type: "RLIMIT_SIGPENDING", soft: 5, hard: 6 }, "Max pending signals 5 6 signals"],
  [{ type: "RLIMIT_MEMLOCK", soft: 4096, hard: 8192 }, "Max locked memory 4096 8192 bytes"],
  [{ type: "RLIMIT_DATA", soft: 2 ** 40, hard: 2 ** 41 }, "Max data size 1099511627776 2199023255552 bytes"],
  [
    { type: "RLIMIT_RSS", soft: 2 ** 40, hard: 2 ** 41 },
    "Max resident set 1099511627776 2199023255552 bytes",
  ],
  [{ type: "RLIMIT_LOCKS", soft: 3, hard: 4 }, "Max file locks 3 4 locks"],
  [{ type: "RLIMIT_NICE", soft: 0, hard: 0 }, "Max nice priority 0 0"],
  [{ type: "RLIMIT_RTPRIO", soft: 0, hard: 0 }, "Max realtime priority 0 0"],
  [{ type: "RLIMIT_RTTIME", soft: 1000, hard: 2000 }, "Max realtime timeout 1000 2000 us"],
];

launchTest("launch() sets every resource limit", async (bundle) => {
  const rlimits = LIMITS.map(([limit]) => limit);
  const lines = (await bundle.output("cat /proc/self/limits", { process: { rlimits } })).split("\n");
  const found = lines.map((line) => line.replaceAll(/\s+/g, " ").trim());
  for (const [{ type }, expected] of LIMITS) ok(found.includes(expected), `${type}: ${found.join("\n")}`);
});

launchTest("launch() gives the program the usual number of open files", async (bundle) => {
  match(await bundle.output("grep files /proc/self/limits"), /^Max open files +1024 +/);
});

launchTest("launch() names a limit that it may not raise", async (bundle) => {
  const highest = Number(Deno.readTextFileSync("/proc/sys/fs/nr_open"));
  const rlimits = [{ type: "RLIMIT_NOFILE", soft: 1, hard: highest + 1 }] as const;
  match(
    (await bundle.failure("true", { process: { rlimits } })).message,
    /^Cannot set RLIMIT_NOFILE to 1:\d+ \(step \d+ of \d+, prlimit64\): EPERM; only CAP_SYS_RESOURCE/,
  );
});

launchTest("launch() sets oom_score_adj of the program", async (bundle) => {
  equal(await bundle.output("cat /proc/self/oom_score_adj", { process: { oomScoreAdj: 777 } }), "777");
  equal(Deno.readTextFileSync("/proc/self/oom_score_adj"), "0\n");
});

/** Fields of /proc/self/stat (proc_pid_stat(5)): nice (19), rt_priority (40), policy (41). */
const POLICY = "set -- $(cat /proc/self/stat); echo ${19} ${40} ${41}";
const POLICIES: readonly (readonly [Scheduler, string])[] = [
  [{ policy: "SCHED_OTHER", nice: 5 }, "5 0 0"],
  [{ policy: "SCHED_OTHER", nice: -5 }, "-5 0 0"],
  [{ policy: "SCHED_BATCH", nice: 3 }, "3 0 3"],
  [{ policy: "SCHED_IDLE" }, "0 0 5"],
];
for (const [scheduler, expected] of POLICIES) {
  launchTest(
    `launch() sets the scheduler to ${scheduler.policy}, nice ${scheduler.nice ?? 0}`,
    async (bundle) => {
      equal(await bundle.output(POLICY, { process: { scheduler } }), expected);
    },
  );
}

launchTest("launch() lets children begin with nice 0 where asked to", async (bundle) => {
  const scheduler: Scheduler = { policy: "SCHED_BATCH", nice: -4, flags: ["SCHED_FLAG_RESET_ON_FORK"] };
  equal(await bundle.output(POLICY, { process: { scheduler } }), "0 0 3");
});

for (
  const [name, expected] of [["IOPRIO_CLASS_BE", "best-effort: prio 6"], [
    "IOPRIO_CLASS_RT",
    "realtime: prio 6",
  ], ["IOPRIO_CLASS_IDLE", "idle"]] as const
) {
  launchTest(`launch() sets the I/O priority to ${name}`, async (bundle) => {
    const priority = name === "IOPRIO_CLASS_IDLE" ? 0 : 6;
    equal(
      await bundle.output("ionice -p 1", { process: { ioPriority: { class: name, priority } } }),
      expected,
    );
  });
}

launchTest("launch() sets the personality", async (bundle) => {
  if (Deno.build.arch !== "x86_64") return skip("needs x86_64, where LINUX32 shows as i686");
  const script = "uname -m; cat /proc/self/personality";
  equal(
    await bundle.output(script, { linux: { namespaces: namespaces(), personality: { domain: "LINUX32" } } }),
    "i686\n00000008",
  );
  equal(
    await bundle.output(script, { linux: { namespaces: namespaces(), personality: { domain: "LINUX" } } }),
    "x86_64\n00000000",
  );
});

launchTest("launch() leaves the CPUs of programs that join later to these", async (bundle) => {
  const [first] = Deno.readTextFileSync("/proc/self/status").match(/Cpus_allowed_list:.*/)!;
  const part: Part = { process: { execCPUAffinity: { initial: "0", final: "0" } } };
  equal(await bundle.output("grep Cpus_allowed_list /proc/self/status", part), first);
});

launchTest("launch() sets a memory policy", async (bundle) => {
  const linux = { namespaces: namespaces(), memoryPolicy: { mode: "MPOL_BIND", nodes: "0" } } as const;
  match(await bundle.output("head -n 1 /proc/self/numa_maps 2>&1 || true", { linux }), /bind:0|No such file/);
});

launchTest("launch() puts the clocks of a time namespace forward", async (bundle) => {
  for (const user of [false, true]) {
    const linux = {
      ...(user && USER_NAMESPACE),
      namespaces: namespaces(user ? ["time", "user"] : ["time"]),
      timeOffsets: { monotonic: { secs: 5000, nanosecs: 999 }, boottime: { secs: 86400 } },
    };
    const before = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
    const text = await bundle.output("cat /proc/uptime /proc/self/timens_offsets", { linux });
    const ahead = Number(text.split(" ")[0]) - before;
    ok(ahead >= 86399 && ahead < 86430, `${ahead}`);
    match(text, /monotonic +5000 +999\nboottime +86400 +0$/);
  }
});
