import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { LaunchError, Sandbox, type SandboxOptions, SpecError, type UntrustedOptions } from "../../mod.ts";
import type { Mount, NamespaceType, Spec } from "../../mod.ts";
import { AS_STRANGER, bundled, cli, helloBundle, Temporary } from "../helpers/cli.ts";
import { MOUNTS, NEW, type Part, type TestBundle } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";

const MARK = "the host's secret";

/** Something that a hostile bundle tries. */
interface Attack {
  readonly name: string;
  /** What the bundle asks for; `outside` is a directory of the host with a file `secret`. */
  readonly asks: (bundle: TestBundle, outside: string) => Part & Partial<Pick<Spec, "hooks">>;
  readonly script: string;
  /** What the program finds where the bundle is trusted; without it, trust does not get it either. */
  readonly trusted?: RegExp;
  readonly untrusted: RegExp;
  readonly allows?: UntrustedOptions;
  /** What must be true on the host afterwards. */
  readonly after?: (bundle: TestBundle, outside: string) => void;
}

function bind(source: string, ...options: string[]): Mount {
  return { destination: "/x", type: "bind", source, options: ["rbind", ...options] };
}

function all(...mounts: Mount[]): Part {
  return { mounts: [...MOUNTS, ...mounts] };
}

function without(type: NamespaceType): Part {
  return { linux: { namespaces: NEW.filter((each) => each !== type).map((each) => ({ type: each })) } };
}

const secret = { script: "cat /x/secret || echo none", trusted: /the host's secret/, untrusted: /^none$/m };
/** The host's namespace of a kind, as a link shows it. */
const hosts = (kind: string): RegExp => new RegExp(RegExp.escape(Deno.readLinkSync(`/proc/self/ns/${kind}`)));
const NOT_HOSTS = /^\w+:\[\d+\]\nown$/;

function shared(kind: string, type: NamespaceType): Attack {
  const host = Deno.readLinkSync(`/proc/self/ns/${kind}`);
  return {
    name: `share the host's ${type} namespace`,
    asks: () => without(type),
    script: `readlink /proc/self/ns/${kind}; [ "$(readlink /proc/self/ns/${kind})" = '${host}' ] || echo own`,
    trusted: hosts(kind),
    untrusted: NOT_HOSTS,
  };
}

const ATTACKS: readonly Attack[] = [
  { name: "bind a directory of the host", asks: (_, outside) => all(bind(outside, "ro")), ...secret },
  {
    name: "bind a directory of the host through a link in the bundle",
    asks: ({ path }, outside) => (Deno.symlinkSync(outside, `${path}/link`), all(bind("link", "ro"))),
    ...secret,
  },
  {
    name: "bind a directory of the host through a link among its directories",
    asks: ({ path }, outside) => {
      Deno.symlinkSync(outside.replace(/\/[^/]+$/, ""), `${path}/link`);
      return all(bind(`link/${outside.split("/").at(-1)}`, "ro"));
    },
    ...secret,
  },
  {
    name: "bind a directory that climbs out of the bundle",
    asks: (_, outside) => all(bind(`../${outside.split("/").slice(-2).join("/")}`, "ro")),
    ...secret,
  },
  {
    name: "lay an overlay over a directory of the host",
    asks: (_, outside) =>
      all({ destination: "/x", type: "overlay", options: [`lowerdir=${outside}:/usr/share/zoneinfo`] }),
    ...secret,
  },
  {
    name: "write into the bundle",
    asks: ({ path }) => (Deno.mkdirSync(`${path}/data`), all(bind("data", "rw"))),
    script: "echo x > /x/file || echo refused",
    trusted: /^$/,
    untrusted: /^refused$/,
    after: ({ path }) => deepEqual([...Deno.readDirSync(`${path}/data`)], []),
  },
  {
    name: "write where only reading is allowed",
    asks: (_, outside) => all(bind(outside)),
    script: "cat /x/secret; echo x > /x/file || echo refused",
    trusted: /the host's secret/,
    untrusted: /the host's secretrefused/,
    allows: { binds: [{ path: "OUTSIDE" }] },
    after: (_, outside) => deepEqual([...Deno.readDirSync(outside)].map(({ name }) => name), ["secret"]),
  },
  {
    name: "bind a fifo",
    asks: ({ path }) => {
      ok(new Deno.Command("mkfifo", { args: [`${path}/fifo`] }).outputSync().success);
      return all(bind("fifo"));
    },
    script: "[ -p /x ] && echo fifo || echo none",
    trusted: /^fifo$/,
    untrusted: /^none$/,
  },
  {
    name: "run a set-user-id program of an allowed directory, where the bundle asks for suid",
    asks: (_, outside) => all(bind(outside, "ro", "suid", "dev")),
    script: "grep ' /x ' /proc/mounts",
    trusted: /^(?!.*nosuid)/,
    untrusted: /nosuid,nodev/,
    allows: { binds: [{ path: "OUTSIDE" }] },
  },
  {
    name: "join the host's network",
    asks: () => ({
      linux: {
        namespaces: NEW.map((type) => type === "network" ? { type, path: "/proc/self/ns/net" } : { type }),
      },
    }),
    script: shared("net", "network").script,
    trusted: hosts("net"),
    untrusted: NOT_HOSTS,
  },
  shared("uts", "uts"),
  shared("ipc", "ipc"),
  shared("net", "network"),
  {
    name: "be root of the host by an id map",
    asks: () => ({
      linux: {
        namespaces: [...NEW, "user" as const].map((type) => ({ type })),
        uidMappings: [{ containerID: 0, hostID: 0, size: 65_536 }],
        gidMappings: [{ containerID: 0, hostID: 0, size: 65_536 }],
      },
    }),
    script: "cat /proc/self/uid_map",
    trusted: /^ *0 +0 /,
    untrusted: /^ *0 +[1-9]\d{7,} +65536$/,
  },
  {
    name: "run a hook on the host",
    asks: (_, outside) => ({
      hooks: { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", `echo x > ${outside}/hooked`] }] },
    }),
    script: "echo ran",
    untrusted: /^ran$/,
    after: (_, outside) => deepEqual([...Deno.readDirSync(outside)].map(({ name }) => name), ["secret"]),
  },
  {
    name: "mount a second proc, where nothing is masked",
    asks: () => all({ destination: "/p", type: "proc" }),
    script: "[ -e /p/self ] && echo proc || echo none",
    trusted: /^proc$/,
    untrusted: /^none$/,
  },
  {
    name: "read what every sandbox is kept from",
    asks: () => ({}),
    script: "wc -c < /proc/keys; grep -c ' /proc/keys ' /proc/mounts",
    trusted: /^[1-9]\d*\n0$/,
    untrusted: /^0\n1$/,
  },
  {
    name: "switch the kernel",
    asks: () => ({}),
    script: "grep -c ' /proc/sys proc ro,' /proc/mounts",
    trusted: /^0$/,
    untrusted: /^1$/,
  },
  {
    name: "look at the cgroups of others",
    asks: () => ({
      ...all({ destination: "/sys/fs/cgroup", type: "cgroup" }),
      linux: {
        namespaces: [...NEW, "cgroup" as const].map((type) => ({ type })),
        resources: { pids: { limit: 100 } },
      },
    }),
    script: "find /sys/fs/cgroup -name cgroup.procs | grep -c .",
    trusted: /^[1-9]/,
    untrusted: /^[01]$/,
  },
  {
    name: "write to sysfs",
    asks: () => ({
      mounts: MOUNTS.map((each) => each.type === "sysfs" ? { ...each, options: ["rw"] } : each),
    }),
    script: "grep ' /sys ' /proc/mounts",
    trusted: /sysfs rw/,
    untrusted: /sysfs ro/,
  },
  {
    name: "fill the host's memory with files",
    asks: () => all({ destination: "/x", type: "tmpfs", options: ["size=1t", "nr_inodes=0"] }),
    script: "df -k /x | tail -n 1 | tr -s ' ' | cut -d' ' -f2",
    trusted: /^1073741824$/,
    untrusted: /^\d{1,6}$/,
  },
  {
    name: "make the host's devices",
    asks: () => ({
      linux: {
        namespaces: NEW.map((type) => ({ type })),
        devices: [{ type: "c", path: "/dev/mem", major: 1, minor: 1 }],
      },
    }),
    script: "[ -e /dev/mem ] && echo device || echo none",
    trusted: /^device$/,
    untrusted: /^none$/,
  },
  {
    name: "have every capability, and gain more",
    asks: () => ({}),
    script: "grep -E 'CapBnd|CapAmb|NoNewPrivs' /proc/self/status | tr -d '\\t'",
    trusted: /CapBnd:000000.*[1-9a-f].*NoNewPrivs:0/s,
    untrusted: /^CapBnd:00000000000004fb\nCapAmb:0{16}\nNoNewPrivs:1$/,
  },
  {
    name: "be killed last",
    asks: () => ({ process: { oomScoreAdj: -500 } }),
    script: "cat /proc/self/oom_score_adj",
    untrusted: /^500$/, // as the policy has it at least
  },
  {
    name: "run first, read first",
    asks: () => ({
      process: {
        scheduler: { policy: "SCHED_OTHER", nice: -10 },
        ioPriority: { class: "IOPRIO_CLASS_RT", priority: 0 },
      },
    }),
    script: "cut -d' ' -f19 /proc/self/stat; ionice -p $$",
    trusted: /^-10\nrealtime/,
    untrusted: /^0\n(none|best-effort)/,
  },
  {
    name: "have limits above the caller's",
    asks: () => ({ process: { rlimits: [{ type: "RLIMIT_CORE", soft: 2 ** 40, hard: 2 ** 40 }] } }),
    script: "grep core /proc/self/limits | tr -s ' '",
    trusted: /1099511627776 1099511627776/,
    untrusted: / 0 0 /,
  },
  {
    name: "set a kernel parameter",
    asks: () => ({
      linux: { namespaces: NEW.map((type) => ({ type })), sysctl: { "net.ipv4.ip_default_ttl": "7" } },
    }),
    script: "cat /proc/sys/net/ipv4/ip_default_ttl",
    trusted: /^7$/,
    untrusted: /^64$/,
  },
  {
    name: "be another machine",
    asks: () => ({
      linux: { namespaces: NEW.map((type) => ({ type })), personality: { domain: "LINUX32" } },
    }),
    script: "cat /proc/self/personality",
    trusted: /^0*8$/,
    untrusted: /^0+$/,
  },
  {
    name: "ask an agent of the host about system calls",
    asks: (_, outside) => ({
      linux: {
        namespaces: NEW.map((type) => ({ type })),
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          listenerPath: `${outside}/agent`,
          syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
        },
      },
    }),
    script: "mkdir /tmp/x && echo made || echo refused",
    untrusted: /^refused$/,
  },
  {
    name: "spread mounts",
    asks: () => ({ linux: { namespaces: NEW.map((type) => ({ type })), rootfsPropagation: "shared" } }),
    script: "grep -c shared: /proc/self/mountinfo",
    trusted: /^[1-9]/,
    untrusted: /^0$/,
  },
];

launchTest("an untrusted bundle cannot write as a user of the host that it chooses", async (bundle) => {
  using directory = new Temporary();
  const outside = outsideOf(directory);
  const map = [{ containerID: 12_345, hostID: 0, size: 1 }];
  const source = { ...bind(outside), uidMappings: map, gidMappings: map };
  Deno.chmodSync(outside, 0o777);
  Deno.chownSync(outside, 12_345, 12_345);
  bundle.write("echo x > /x/$(cat /tmp/name)", all(source));
  const owner = async (name: string, options: SandboxOptions): Promise<number | null> => {
    bundle.file("tmp/name", name);
    await output({ ...options, bundle: bundle.path });
    return Deno.statSync(`${outside}/${name}`).uid;
  };
  equal(await owner("trusted", {}), 12_345);
  equal(await owner("untrusted", { untrusted: { binds: [{ path: outside, writable: true }] } }), 0);
});

launchTest("an untrusted bundle runs without what cannot be applied", async (bundle) => {
  const namespaces = NEW.map((type) => ({ type }));
  const linux = { namespaces, mountLabel: "x", intelRdt: { closID: "x" }, netDevices: { eth0: {} } };
  bundle.write("echo ran", { process: { apparmorProfile: "x", selinuxLabel: "x" }, linux });
  await rejects(Sandbox.run({ bundle: bundle.path }), /Cannot apply /);
  equal(await output({ bundle: bundle.path, untrusted: true }), "ran");
});

async function output(options: SandboxOptions): Promise<string> {
  await using sandbox = await Sandbox.run(options);
  const [out] = await Promise.all([sandbox.stdout, sandbox.stderr].map((each) => new Response(each).text()));
  await sandbox.wait();
  return out!.trim();
}

function write(
  bundle: TestBundle,
  script: string,
  { hooks, ...part }: Part & Partial<Pick<Spec, "hooks">>,
): void {
  bundle.write(script, part);
  if (!hooks) return;
  const file = `${bundle.path}/config.json`;
  Deno.writeTextFileSync(file, JSON.stringify({ ...JSON.parse(Deno.readTextFileSync(file)), hooks }));
}

function outsideOf(directory: Temporary): string {
  const path = `${directory.path}/outside`;
  Deno.mkdirSync(path);
  Deno.writeTextFileSync(`${path}/secret`, MARK);
  return path;
}

for (const { name, asks, script, trusted, untrusted, allows, after } of ATTACKS) {
  launchTest(`an untrusted bundle cannot ${name}`, async (bundle) => {
    using directory = new Temporary();
    const outside = outsideOf(directory);
    write(bundle, script, asks(bundle, outside));
    const binds = allows?.binds?.map((each) => ({ ...each, path: each.path.replace("OUTSIDE", outside) }));
    const options = { ...allows, ...(binds && { binds }) };
    match(await output({ bundle: bundle.path, untrusted: options }), untrusted);
    after?.(bundle, outside);
    equal(Deno.readTextFileSync(`${outside}/secret`), MARK);
    // The same bundle gets it where it is trusted: otherwise nothing would be shown.
    if (trusted) match(await output({ bundle: bundle.path, overlay: { kind: "none" } }), trusted);
  });
}

for (
  const [path, why] of [
    ["/", /its path is absolute/],
    ["..", /climbs/],
    ["link", /leads through a link/],
    ["link/etc", /leads through a link/],
    ["gone", /is not there/],
  ] as const
) {
  launchTest(`an untrusted bundle cannot have ${JSON.stringify(path)} as its root`, async (bundle) => {
    Deno.symlinkSync("/", `${bundle.path}/link`);
    bundle.write("true", { root: { path } });
    await rejects(Sandbox.run({ bundle: bundle.path, untrusted: true }), (error: SpecError) => {
      match(error.message, why);
      return error.issues[0]?.pointer === "/root/path";
    });
  });
}

/** What somebody exchanges between the look at an untrusted bundle and its use, and the step that notices. */
const RACES: readonly [string, Part, (bundle: TestBundle, outside: string) => void, RegExp][] = [
  [
    "the source of a mount for a link",
    all(bind("data/deep", "ro")),
    ({ path }, outside) => replace(`${path}/data/deep`, () => Deno.symlinkSync(outside, `${path}/data/deep`)),
    /open ".*deep" beneath/,
  ],
  [
    "a directory on the way to it for a link",
    all(bind("data/deep", "ro")),
    ({ path }, outside) => {
      Deno.mkdirSync(`${outside}/deep`);
      replace(`${path}/data`, () => Deno.symlinkSync(outside, `${path}/data`));
    },
    /open ".*deep" beneath/,
  ],
  [
    "a file for another",
    all(bind("data/file", "ro")),
    ({ path }, outside) => {
      Deno.renameSync(`${path}/data/file`, `${path}/data/kept`); // its inode must not be used again
      Deno.linkSync(`${outside}/secret`, `${path}/data/file`);
    },
    /use the very ".*file" that was checked/,
  ],
  [
    "a directory on the way to the root for a link",
    { root: { path: "data/deep" } },
    ({ path }, outside) => {
      Deno.mkdirSync(`${outside}/deep`);
      replace(`${path}/data`, () => Deno.symlinkSync(outside, `${path}/data`));
    },
    /open ".*deep" beneath/,
  ],
];

function replace(path: string, make: () => void): void {
  Deno.renameSync(path, `${path}.old`);
  make();
}

for (const [name, part, exchange, step] of RACES) {
  launchTest(`an untrusted bundle gains nothing by exchanging ${name}`, async (bundle) => {
    using directory = new Temporary();
    const outside = outsideOf(directory);
    Deno.mkdirSync(`${bundle.path}/data/deep`, { recursive: true });
    Deno.writeTextFileSync(`${bundle.path}/data/file`, "");
    bundle.write("cat /x /x/secret", part);
    const onCuts = (): void => exchange(bundle, outside);
    await rejects(Sandbox.run({ bundle: bundle.path, untrusted: { onCuts } }), (error: LaunchError) => {
      match(error.message, step);
      return error instanceof LaunchError;
    });
  });
}

launchTest("an untrusted bundle gets a cgroup of its own, and no other", async (bundle) => {
  const linux = {
    namespaces: NEW.map((type) => ({ type })),
    cgroupsPath: "/somebody",
    resources: { pids: { limit: 500 } },
  };
  bundle.write("sleep 60", { linux });
  await using sandbox = await Sandbox.run({
    bundle: bundle.path,
    untrusted: true,
    pids: 20,
    id: "untrusted-group",
  });
  const groups = Deno.readTextFileSync(`/proc/${sandbox.pid}/cgroup`);
  match(groups, /ai-sandbox-untrusted-group/);
  ok(!groups.includes("somebody"));
  const asked = new Map(sandbox.cuts.map((cut) => [cut.pointer, cut]));
  equal(asked.get("/linux/cgroupsPath")?.asked, "/somebody");
  equal(asked.get("/linux/resources/pids/limit")?.given, "20");
});

launchTest(
  "an untrusted bundle may bind below an allowed directory, and write where that is allowed",
  async (bundle) => {
    using directory = new Temporary();
    const outside = outsideOf(directory);
    Deno.mkdirSync(`${outside}/below`);
    Deno.symlinkSync(outside, `${directory.path}/link`);
    bundle.write("echo answer > /x/file", all(bind(`${directory.path}/link/below`)));
    const untrusted = { binds: [{ path: `${directory.path}/link`, writable: true }] };
    await using sandbox = await Sandbox.run({ bundle: bundle.path, untrusted });
    const said = await new Response(sandbox.stderr).text();
    equal((await sandbox.wait()).exitCode, 0, said);
    equal(Deno.readTextFileSync(`${outside}/below/file`), "answer\n");
  },
);

const USR = ["--allow-bind", "/usr"];

launchTest("run --untrusted runs the ready bundles", async () => {
  for (
    const [name, says] of [["hello", /process 1/], ["python", /a child says/], [
      "node",
      /a thread says/,
    ]] as const
  ) {
    const { code, stdout, stderr } = await cli([
      "run",
      "--untrusted",
      "--strict-request",
      ...USR,
      `bundles/${name}`,
    ]);
    equal(stderr, "");
    match(stdout, says);
    equal(code, 0);
  }
});

launchTest("run --untrusted runs a bundle for a user without rights", async () => {
  using directory = new Temporary();
  const path = await helloBundle(directory);
  const program = await bundled(directory);
  const { code, stdout, stderr } = await cli(["run", "--untrusted", ...USR, path], {
    wrapper: AS_STRANGER,
    program,
    cwd: "/",
  });
  equal(stderr, "");
  match(stdout, /process 1 on host hello/);
  equal(code, 0);
});

launchTest("run --untrusted says on stderr and in the record what it cut", async (bundle) => {
  bundle.write("echo ran", { ...all(bind("/etc", "ro")), process: { capabilities: {} } });
  using directory = new Temporary();
  const file = `${directory.path}/result.json`;
  const { stdout, stderr } = await cli(["run", "--untrusted", "--result", file, bundle.path]);
  const line = "/mounts/5/source: asked for /etc, given nothing: it lies in no directory that is allowed";
  equal(stderr, `runtime: cut ${line}\n`);
  equal(stdout, "ran\n");
  const { cuts, exitCode } = JSON.parse(Deno.readTextFileSync(file));
  deepEqual(cuts, [{
    pointer: "/mounts/5/source",
    asked: "/etc",
    reason: "it lies in no directory that is allowed",
  }]);
  equal(exitCode, 0);
});

launchTest(
  "run --untrusted says what it cut where the program cannot be run for want of it",
  async (bundle) => {
    Deno.removeSync(`${bundle.rootfs}/bin`, { recursive: true });
    bundle.directory("bin");
    bundle.write("echo ran", all({ ...bind("/bin", "ro"), destination: "/bin" }));
    using directory = new Temporary();
    const file = `${directory.path}/result.json`;
    const { code, stderr } = await cli(["run", "--untrusted", "--result", file, bundle.path]);
    equal(code, 127);
    match(stderr, /cut \/mounts\/5\/source: asked for \/bin[^]*Cannot run "\/bin\/sh"/);
    const { cuts, error } = JSON.parse(Deno.readTextFileSync(file));
    ok(cuts.some(({ asked }: { asked: string }) => asked === "/bin"));
    match(error.message, /Cannot run/);
  },
);

launchTest("run --untrusted leaves the rootfs as it is in runc's form too", async (bundle) => {
  bundle.write("echo x > /file && cat /file");
  const trusted = await cli(["run", "--bundle", bundle.path, "trusted"]);
  deepEqual([trusted.stdout, Deno.readTextFileSync(`${bundle.rootfs}/file`)], ["x\n", "x\n"]);
  Deno.removeSync(`${bundle.rootfs}/file`);
  const { stdout } = await cli(["run", "--untrusted", "--bundle", bundle.path, "untrusted"]);
  equal(stdout, "x\n");
  ok(![...Deno.readDirSync(bundle.rootfs)].some(({ name }) => name === "file"));
});

launchTest("run --strict-request names no more than a person reads", async (bundle) => {
  const syscalls = Array(1000).fill({ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" });
  const seccomp = { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/x", syscalls } as const;
  bundle.write("true", { linux: { namespaces: NEW.map((type) => ({ type })), seccomp } });
  const { stderr } = await cli(["run", "--untrusted", "--strict-request", bundle.path]);
  match(stderr, /there are 9\d\d more of these/);
  ok(stderr.length < 10_000);
});

launchTest("run --strict-request refuses and names everything that would be cut", async (bundle) => {
  using directory = new Temporary();
  const outside = outsideOf(directory);
  write(bundle, `echo ran`, {
    ...all(bind("/etc", "ro")),
    process: { oomScoreAdj: -1 },
    hooks: { poststart: [{ path: "/bin/touch", args: ["touch", `${outside}/hooked`] }] },
  });
  const { code, stdout, stderr } = await cli(["run", "--untrusted", "--strict-request", bundle.path]);
  equal(code, 1);
  equal(stdout, "");
  for (
    const pointer of ["/hooks/poststart", "/mounts/5/source", "/process/oomScoreAdj", "/process/capabilities"]
  ) {
    match(stderr, new RegExp(`${pointer}\\S*: Cannot have`));
  }
});

launchTest("plan --untrusted shows the plan of what is left, and what was cut", async (bundle) => {
  bundle.write("true", all(bind("/etc", "ro")));
  const text = await cli(["plan", "--untrusted", bundle.path]);
  match(text.stderr, /cut \/mounts\/5\/source: asked for \/etc/);
  ok(!text.stdout.includes('"/etc"'));
  match(text.stdout, /RESOLVE_BENEATH/);
  const json = await cli(["plan", "--untrusted", "--format", "json", bundle.path]);
  ok(JSON.parse(json.stdout).cuts.some(({ asked }: { asked: string }) => asked === "/etc"));
});

for (
  const [name, args, why] of [
    ["a program", ["--untrusted", "--", "true"], /only a bundle has one/],
    ["--strict-request on its own", ["--strict-request", "bundles/hello"], /--strict-request on its own/],
    ["--allow-bind on its own", ["--allow-bind", "/usr", "bundles/hello"], /--allow-bind on its own/],
    [
      "a policy without users of its own",
      ["--untrusted", "--policy", "permissive", "bundles/hello"],
      /root of the host/,
    ],
    [
      "an allowed directory that is not there",
      ["--untrusted", "--allow-bind", "/gone", "bundles/hello"],
      /there is no such directory/,
    ],
    [
      "an allowed file",
      ["--untrusted", "--allow-bind", "/etc/passwd", "bundles/hello"],
      /it is no directory/,
    ],
  ] as const
) {
  Deno.test(`run --untrusted refuses ${name}`, async () => {
    const { code, stdout, stderr } = await cli(["run", ...args]);
    match(stderr, why);
    deepEqual([code, stdout], [1, ""]);
  });
}

launchTest("run --untrusted prints nothing that steers the terminal", async (bundle) => {
  const [key, value] = ["dev.ai-sandbox.\x1b[2J\u202e", "\x1b]0;owned\x07"];
  bundle.write("true", { linux: { cgroupsPath: value, namespaces: NEW.map((type) => ({ type })) } });
  const file = `${bundle.path}/config.json`;
  const config = JSON.parse(Deno.readTextFileSync(file));
  const steers = /(?!\n)[\p{Cc}\p{Cf}]/u;
  for (
    const [part, says] of [
      [{ annotations: { [key]: value } }, /cut \/annotations\/dev\.ai-sandbox\.\\u\{1b\}\[2J\\u\{202e\}/],
      [{ annotations: { [key]: 5 } }, /annotations\/dev\.ai-sandbox\.\\u\{1b\}/],
    ] as const
  ) {
    Deno.writeTextFileSync(file, JSON.stringify({ ...config, ...part }));
    const { stderr } = await cli(["run", "--untrusted", bundle.path]);
    match(stderr, says);
    ok(!steers.test(stderr), JSON.stringify(stderr));
  }
});

launchTest("run --untrusted is not kept busy by endless requests", async (bundle) => {
  bundle.write("echo ran");
  const file = `${bundle.path}/config.json`;
  const config = JSON.parse(Deno.readTextFileSync(file));
  const mount = '{"destination":"/x","type":"bind","source":"/etc","options":["rbind"]}';
  const text = JSON.stringify({ ...config, mounts: ["MOUNTS"] });
  for (
    const [mounts, says, code] of [
      [Array(1_000_000).fill("0").join(), /holds more than 262144 values/, 1],
      ["[".repeat(100_000) + "]".repeat(100_000), /deeper than 64/, 1],
      [Array(4097).fill(mount).join(), /\/mounts: Cannot take 4097 items/, 1],
      [Array(4096).fill(mount).join(), /cut \/mounts\/256: asked for 4096 mounts.*cut \d+ more\n$/s, 0],
    ] as const
  ) {
    Deno.writeTextFileSync(file, text.replace('"MOUNTS"', () => mounts));
    const said = await cli(["run", "--untrusted", bundle.path]);
    match(said.stderr, says);
    ok(said.stderr.split("\n").length < 60);
    equal(said.code, code);
    ok(said.ms < 5_000, `${said.ms} ms`);
  }
});
