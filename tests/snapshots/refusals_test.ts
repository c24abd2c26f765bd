import { equal, match, ok } from "node:assert/strict";
import { canServe } from "../../snapshots/page_server.ts";
import { BOX } from "../helpers/containers.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

const COUNT = `count=0; while :; do count=$((count + 1)); echo "{\\"count\\":$count}"; sleep 0.05; done`;
const SECCOMP = {
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [{ names: ["mount"], action: "SCMP_ACT_ERRNO" }],
};

async function counting(box: SnapshotBox): Promise<number> {
  box.write(["bash", "-c", COUNT]);
  const started = await box.start();
  await box.atLeast(2, started);
  return started;
}

/** What restores must leave: nothing of the container, and nothing in the directory of containers. */
function nothingIsLeft(box: SnapshotBox): void {
  equal([...Deno.readDirSync(box.containers.root)].length, 0);
}

snapshotTest("images that are altered, cut off, missing or foreign are refused with the reason", async () => {
  await using box = new SnapshotBox();
  await counting(box);
  await box.checkpoint();
  const image = (name: string): string => `${box.images}/${name}`;
  const refused = async (reason: RegExp): Promise<void> => {
    const { code, stderr } = await box.tryRestore();
    equal(code, 1);
    match(stderr, reason);
    nothingIsLeft(box);
  };
  const pages = Deno.readFileSync(image("pages-1.img"));
  Deno.writeFileSync(image("pages-1.img"), pages.map((byte, index) => index === 5000 ? byte ^ 1 : byte));
  await refused(/pages-1\.img": it was altered; take another checkpoint/);
  Deno.writeFileSync(image("pages-1.img"), pages.subarray(0, 4096));
  await refused(/it has 4096 bytes instead of \d+, it was cut off or altered/);
  Deno.removeSync(image("pages-1.img"));
  await refused(/pages-1\.img": it is missing/);
  Deno.writeFileSync(image("pages-1.img"), pages);
  Deno.writeTextFileSync(image("core-99.img"), "");
  await refused(/core-99\.img": it is foreign/);
  Deno.removeSync(image("core-99.img"));
  Deno.symlinkSync("/etc/passwd", image("core-98.img"));
  await refused(/core-98\.img": it is foreign/);
  Deno.removeSync(image("core-98.img"));
  const manifest = Deno.readTextFileSync(image("ai-sandbox.json"));
  const alter = (part: Record<string, unknown>): void => {
    Deno.writeTextFileSync(image("ai-sandbox.json"), JSON.stringify({ ...JSON.parse(manifest), ...part }));
  };
  alter({ arch: "pdp11" });
  await refused(/it is of a machine of pdp11/);
  alter({ cpu: "flying" });
  await refused(/it is of a processor with flying, which this one lacks/);
  alter({ kind: "pre" });
  await refused(/it holds only memory/);
  Deno.writeTextFileSync(image("ai-sandbox.json"), manifest.slice(0, 100));
  await refused(/ai-sandbox\.json": .*JSON/);
  Deno.writeTextFileSync(image("ai-sandbox.json"), manifest);
  await box.restore();
  await box.containers.output("delete", "--force", BOX);
});

snapshotTest(
  "rights come from config.json: what the images have more is refused, and nothing goes on",
  async () => {
    await using box = new SnapshotBox();
    const started = await counting(box);
    await box.checkpoint();
    const { length } = box.lines(started);
    const refused = async (reason: RegExp): Promise<void> => {
      const { code, stdout, stderr } = await box.tryRestore();
      equal(code, 1);
      match(stderr, reason);
      equal(stdout, "");
      nothingIsLeft(box);
    };
    box.write(["bash", "-c", COUNT], {}, { capabilities: { bounding: [] } });
    await refused(/CapBnd of process \d+/);
    const linux = JSON.parse(Deno.readTextFileSync(`${box.containers.bundle.path}/config.json`)).linux;
    box.write(["bash", "-c", COUNT], { linux: { ...linux, seccomp: SECCOMP } });
    await refused(/seccomp of process \d+: .*a filter/);
    box.write(["bash", "-c", COUNT], {
      linux: { ...linux, maskedPaths: [...linux.maskedPaths, "/proc/version"] },
    });
    await refused(/mask "\/proc\/version"/);
    box.write(["bash", "-c", COUNT], { mounts: [] });
    await refused(/it has a mount at "\/(usr|dev)", which config\.json does not ask for/);
    equal(box.lines(started).length, length);
  },
);

snapshotTest(
  "a seccomp filter, no_new_privs and limits are there again; another filter is refused",
  async () => {
    await using box = new SnapshotBox();
    const namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type }));
    const write = (limit: number, action: string): void => {
      const seccomp = { ...SECCOMP, syscalls: [{ names: ["mount"], action }] };
      const resources = { pids: { limit } };
      box.write(["bash", "-c", COUNT], { linux: { namespaces, seccomp, resources } as never });
    };
    write(50, "SCMP_ACT_ERRNO");
    await box.atLeast(2, await box.start());
    await box.checkpoint();
    write(60, "SCMP_ACT_KILL");
    match((await box.tryRestore()).stderr, /seccomp filter: .*the one of config\.json/);
    write(60, "SCMP_ACT_ERRNO");
    await box.restore();
    const { pid } = JSON.parse(await box.containers.output("state", BOX));
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    match(status, /^Seccomp:\t2$/m);
    match(status, /^NoNewPrivs:\t1$/m);
    const group = /^(?:\d+:pids|0:):(.*)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/cgroup`))![1];
    ok(Deno.readTextFileSync(`/sys/fs/cgroup/pids${group}/pids.max`).startsWith("60"));
    await box.containers.output("delete", "--force", BOX);
  },
);

snapshotTest("a checkpoint that fails leaves the container running and nothing behind", async () => {
  await using box = new SnapshotBox();
  const started = await counting(box);
  const fails = async (reason: RegExp, ...flags: readonly string[]): Promise<void> => {
    const before = box.lines(started).length;
    const { code, stderr } = await box.tryCheckpoint(...flags);
    equal(code, 1);
    match(stderr, reason);
    await box.atLeast(before + 2, started);
    equal(
      [...Deno.readDirSync(box.containers.bundle.path)].some(({ name }) => name.includes("images")),
      false,
    );
  };
  await fails(/Cannot use --lazy-pages without --page-server/, "--lazy-pages");
  const served = ["--page-server", "127.0.0.1:9", "--lazy-pages"];
  await fails(/Cannot use --lazy-pages with --leave-running/, ...served, "--leave-running");
  await fails(/invalid --status-fd argument 900: bad file descriptor/, ...served, "--status-fd", "900");
  await fails(/invalid --status-fd argument 0: not writable/, ...served, "--status-fd", "0");
  if (!canServe()) await fails(/Cannot apply --lazy-pages: .* takes CAP_SYS_RESOURCE/, ...served);
  await fails(/Can't connect to server 127.0.0.1:9/, "--page-server", "127.0.0.1:9");
  await fails(/Cannot use --status-fd without --lazy-pages/, "--status-fd", "9");
  await fails(/Invalid manage-cgroups-mode value "none"/, "--manage-cgroups-mode", "none");
  await fails(/namespace "ipc" is not supported/, "--empty-ns", "ipc");
  await fails(/invalid --parent-path: /, "--parent-path", "nowhere");
  await fails(/--parent-path must be relative/, "--parent-path", "/tmp");
  await box.containers.output("delete", "--force", BOX);
  match((await box.tryCheckpoint()).stderr, /container does not exist/);
  const copied = { destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] };
  box.containers.bundle.file("etc/one", "1"); // otherwise there is nothing to copy up
  box.write(["bash", "-c", COUNT]);
  const { mounts } = JSON.parse(Deno.readTextFileSync(`${box.containers.bundle.path}/config.json`));
  box.write(["bash", "-c", COUNT], { mounts: [...mounts, copied] });
  const above = await box.start();
  match((await box.tryCheckpoint()).stderr, /what was written to "\/etc", which is mounted with tmpcopyup/);
  await box.atLeast(2, above);
  await box.containers.output("delete", "--force", BOX);
  box.write(["bash", "-c", COUNT]);
  await box.containers.output("create", BOX);
  match((await box.tryCheckpoint()).stderr, /Container cannot be checkpointed in created state/);
  await box.containers.output("delete", "--force", BOX);
});
