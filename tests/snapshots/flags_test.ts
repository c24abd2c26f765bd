import { isThere } from "../../ffi/look.ts";
/** What the flags of runc for CRIU do: what is refused without one, is kept with it. */

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Linux } from "../../runtime/spec/config.ts";
import { groupFile } from "../helpers/container_groups.ts";
import { type Answer, BOX } from "../helpers/containers.ts";
import { ForkBox } from "../helpers/fork_box.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";
import { skip } from "../helpers/skip.ts";

const COUNT = 'count=0; while :; do echo "{\\"count\\":$((++count))}"; sleep 0.05; done';
const ABSTRACT = `ai-sandbox-${BOX}`;

/** Writes a Python that gets hold of something, and then counts. */
function holding(box: SnapshotBox, first: string, linux: Linux): void {
  const script = `import fcntl, json, os, socket, time
${first}
count = 0
while True:
    count += 1
    print(json.dumps({"count": count}), flush=True)
    time.sleep(0.05)
`;
  box.containers.bundle.file("program.py", script);
  box.write(["python3", "/program.py"], { linux });
}

/** Somebody outside who takes datagrams, at the abstract name. */
async function listen(): Promise<AsyncDisposable> {
  const script = `import socket, sys
held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); held.bind("\\0" + sys.argv[1])
print("listening", flush=True); sys.stdin.read()`;
  const child = new Deno.Command("python3", {
    args: ["-c", script, ABSTRACT],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      await child.stdin.close();
      await child.status;
      await reader.cancel();
    },
  };
}

/** A flag of checkpoint, what a program holds that takes it, what is said without it, and flags of restore. */
const KEPT: readonly (readonly [
  flags: readonly string[],
  first: string,
  reason: RegExp,
  restore: readonly string[],
])[] = [
  [
    ["--file-locks"],
    'held = open("/tmp/lock", "w"); fcntl.flock(held, fcntl.LOCK_EX)',
    /You can try --file-locks/,
    ["--file-locks"],
  ],
  [
    ["--link-remap"],
    'held = open("/one", "w"); os.link("/one", "/two"); os.unlink("/one")',
    /Use link-remap option/,
    [],
  ],
  [
    ["--tcp-skip-in-flight", "--tcp-established"],
    'server = socket.create_server(("127.0.0.1", 7)); client = socket.create_connection(("127.0.0.1", 7))',
    /In-flight connection/,
    ["--tcp-established"],
  ],
  [
    ["--ext-unix-sk"],
    `peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); peer.connect("\\0${ABSTRACT}")`,
    /Consider using --ext-unix-sk/,
    ["--ext-unix-sk"],
  ],
];

for (const [flags, first, reason, restore] of KEPT) {
  snapshotTest(`checkpoint ${flags[0]} keeps what is refused without it`, async () => {
    await using box = new SnapshotBox();
    const { linux } = starterSpec();
    // Sockets are found by the network that they are in.
    const namespaces = linux!.namespaces!.filter(({ type }) =>
      flags[0] !== "--ext-unix-sk" || type !== "network"
    );
    await using _peer = await listen();
    holding(box, first, { ...linux!, namespaces });
    const started = await box.start();
    await box.atLeast(2, started);
    const refused = await box.tryCheckpoint();
    match(refused.stderr, reason);
    equal(refused.code, 1);
    await box.atLeast(box.lines(started).length + 1, started);
    await box.checkpoint(...flags);
    const last = box.lines<{ count: number }>(started).at(-1)!;
    const [next] = await box.atLeast<{ count: number }>(2, await box.restore(...restore));
    equal(next!.count, last.count + 1);
    await box.containers.output("delete", "--force", BOX);
  });
}

snapshotTest(
  "checkpoint and restore --work-path have CRIU's log there; restore refuses --auto-dedup",
  async () => {
    await using box = new SnapshotBox();
    box.write(["bash", "-c", COUNT]);
    await box.atLeast(2, await box.start());
    const work = `${box.containers.bundle.path}/work`;
    const flags = ["--work-path", work, "--shell-job"];
    await box.checkpoint(...flags, "--auto-dedup");
    match((await box.tryRestore("--auto-dedup")).stderr, /--auto-dedup: a restore takes no pages out of/);
    await box.atLeast(2, await box.restore(...flags, "--no-subreaper"));
    const names = Array.from(Deno.readDirSync(work), ({ name }) => name);
    deepEqual(["dump.log", "restore.log"].filter((name) => names.includes(name)), [
      "dump.log",
      "restore.log",
    ]);
    match(Deno.readTextFileSync(`${work}/restore.log`), /Version: \d/);
    deepEqual(
      Array.from(Deno.readDirSync(box.images), ({ name }) => name).filter((name) => name.endsWith(".log")),
      [],
    );
    await box.containers.output("delete", "--force", BOX);
  },
);

snapshotTest("checkpoint --pre-dump is refused by a kernel that does not track memory", async () => {
  await using box = new SnapshotBox();
  box.write(["bash", "-c", COUNT]);
  const started = await box.start();
  await box.atLeast(2, started);
  const { code, stderr } = await box.tryCheckpoint("--pre-dump");
  await box.atLeast(box.lines(started).length + 1, started);
  if (code === 0) return skip("this kernel tracks memory");
  match(stderr, /criu failed: Tracking memory is not available/);
});

snapshotTest(
  "restore --lsm-profile and --lsm-mount-context are refused where nobody would keep to them",
  async () => {
    await using box = new SnapshotBox();
    box.write(["bash", "-c", COUNT]);
    await box.atLeast(2, await box.start());
    await box.checkpoint();
    for (
      const [path, flag, value, reason] of [
        ["/sys/module/apparmor", "--lsm-profile", "apparmor:some", /apparmor not supported/],
        ["/sys/fs/selinux/enforce", "--lsm-profile", "selinux:a:b:c:s0", /selinux not supported/],
        ["/sys/fs/selinux/enforce", "--lsm-mount-context", "a:b:c:s0", /selinux is disabled/],
      ] as const
    ) {
      if (isThere(path)) continue;
      const { code, stderr } = await box.tryRestore(flag, value);
      match(stderr, reason);
      equal(code, 1);
    }
    match((await box.tryRestore("--lsm-profile", "moon")).stderr, /invalid argument moon for --lsm-profile/);
    equal([...Deno.readDirSync(box.containers.root)].length, 0);
  },
);

snapshotTest("--empty-ns network leaves out what a network namespace holds", async () => {
  await using box = new SnapshotBox();
  const capabilities = ["CAP_NET_ADMIN"];
  box.write(["bash", "-c", `ip addr add 192.0.2.7/32 dev lo; ${COUNT}`], {}, {
    capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
  });
  for (const flags of [[], ["--empty-ns", "network"]]) {
    await box.atLeast(2, await box.start());
    await box.checkpoint(...flags);
    await box.restore(...flags);
    const addresses = await box.containers.output("exec", BOX, "ip", "-4", "addr");
    deepEqual([addresses.includes("127.0.0.1/8"), addresses.includes("192.0.2.7/32")], [
      true,
      flags.length === 0,
    ]);
    await box.containers.output("delete", "--force", BOX);
    Deno.removeSync(box.images, { recursive: true });
  }
});

snapshotTest(
  "--manage-cgroups-mode soft brings groups below the container's back, with who was in them",
  async () => {
    await using box = new SnapshotBox();
    box.write(["bash", "-c", `sleep 1000 & ${COUNT}`]);
    await box.atLeast(2, await box.start());
    const child = async (): Promise<{ readonly child: string; readonly below: string }> => {
      const { pid } = JSON.parse(await box.containers.output("state", BOX));
      const [child = ""] = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).split(" ");
      return { child, below: groupFile(pid, "pids.max").replace(/pids\.max$/, "below") };
    };
    const { child: before, below } = await child();
    if (!isThere("/sys/fs/cgroup/pids/pids.max") && !below.includes("/pids/")) return skip("needs cgroup v1");
    Deno.mkdirSync(below);
    Deno.writeTextFileSync(`${below}/pids.max`, "77");
    Deno.writeTextFileSync(`${below}/cgroup.procs`, before);
    const soft = ["--manage-cgroups-mode", "soft"];
    await box.checkpoint(...soft);
    await box.atLeast(2, await box.restore(...soft));
    const after = await child();
    equal(Deno.readTextFileSync(`${below}/cgroup.procs`), `${after.child}\n`);
    equal(Deno.readTextFileSync(`${below}/pids.max`), "77\n");
    await box.containers.output("delete", "--force", BOX);
    ok(!isThere(below));
  },
);

snapshotTest("fork takes --bundle, --at-once, --paused and the flags of CRIU", async () => {
  await using box = new ForkBox();
  const { linux } = starterSpec();
  holding(box, KEPT[0]![1], linux!);
  const started = await box.start();
  await box.atLeast(2, started);
  match((await box.containers.run("fork", BOX)).stderr, /You can try --file-locks/);
  const work = `${box.containers.bundle.path}/work`;
  const flags = ["--file-locks", "--shell-job", "--ext-unix-sk", "--work-path", work];
  await box.checkpoint(...flags);
  const last = box.lines<{ count: number }>(started).at(-1)!;
  const cgroups = ["--manage-cgroups-mode", "ignore", "--empty-ns", "network"];
  const nowhere = ["--bundle", `${box.containers.bundle.path}/nowhere`];
  match((await box.containers.run("fork", ...flags, ...nowhere, box.images)).stderr, /nowhere\/config\.json/);
  match(
    (await box.containers.run("fork", ...flags, "--at-once", "0", box.images)).stderr,
    /--at-once/,
  );
  const bundle = ["--bundle", box.containers.bundle.path];
  const ids = await box.fork(
    box.images,
    "-n",
    "2",
    "--at-once",
    "1",
    "--paused",
    ...bundle,
    ...flags,
    ...cgroups,
  );
  for (const id of ids) {
    equal(await box.containers.status(id), "paused");
    await box.containers.output("resume", id);
    equal((await box.linesOf<{ count: number }>(id))[0]!.count, last.count + 1);
  }
});

snapshotTest("snapshot create and rewind take --bundle, --pid-file and the flags of CRIU", async () => {
  await using box = new SnapshotBox();
  const { linux } = starterSpec();
  holding(box, `${KEPT[0]![1]}\n${KEPT[2]![1]}`, linux!);
  const started = await box.start();
  await box.atLeast(2, started);
  const { path } = box.containers.bundle;
  const store = ["--store", `${path}/store`];
  const refused = await box.containers.run("snapshot", "create", ...store, "--leave-running", BOX);
  match(refused.stderr, /In-flight connection/);
  const flags = [
    "--file-locks",
    "--tcp-established",
    "--shell-job",
    "--ext-unix-sk",
    "--work-path",
    `${path}/work`,
  ];
  const more = ["--empty-ns", "network", "--manage-cgroups-mode", "ignore"];
  const skipped = ["--link-remap", "--tcp-skip-in-flight"];
  const id = (await box.containers.output(
    ...["snapshot", "create", ...store, "--leave-running", ...flags, ...more, ...skipped, BOX],
  )).trim();
  const { length } = box.lines(started);
  await box.atLeast(length + 2, started);
  const rewind = (bundle: string): Promise<Answer> =>
    box.containers.run(
      ...[
        "snapshot",
        "rewind",
        ...store,
        "--bundle",
        bundle,
        "--pid-file",
        `${path}/pid`,
        ...flags,
        ...more,
        BOX,
        id,
      ],
    );
  match((await rewind(`${path}/nowhere`)).stderr, /nowhere/);
  const { code, stderr } = await rewind(path);
  equal(stderr, "");
  equal(code, 0);
  const { pid } = JSON.parse(await box.containers.output("state", BOX));
  equal(Deno.readTextFileSync(`${path}/pid`), String(pid));
  const lines = await box.atLeast<{ count: number }>(box.lines(started).length + 2, started);
  ok(lines.some(({ count }, index) => count <= (lines[index - 1]?.count ?? 0)));
  ok(isThere(`${path}/work/dump.log`));
  await box.containers.output("delete", "--force", BOX);
});
