import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { BOX } from "../helpers/containers.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

interface Line {
  readonly count: number;
  readonly offset: number;
  readonly hash: string;
  readonly ticks: number;
  readonly turns: number;
  readonly monotonic: number;
  readonly [more: string]: unknown;
}

/** What the program's memory is like after so many rounds. */
async function hashAfter(count: number): Promise<string> {
  const memory = Uint8Array.from({ length: 256 * 4096 }, (_, index) => index % 256);
  for (let round = 1; round <= count; round++) memory[round] = 255;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", memory)).toHex();
}

function python(box: SnapshotBox): void {
  box.containers.bundle.file("program.py", Deno.readTextFileSync("tests/testdata/snapshot.py"));
  box.write(["python3", "/program.py"]);
}

snapshotTest(
  "a restored Python goes on where it was: memory, files, threads, pipes, timers, sockets",
  async () => {
    await using box = new SnapshotBox();
    python(box);
    const before = (await box.atLeast<Line>(5, await box.start())).length;
    ok(before >= 5);
    await box.checkpoint();
    const { code, stderr } = await box.containers.run("state", BOX);
    deepEqual({ code, stderr }, { code: 1, stderr: "runtime: container does not exist\n" });
    const last = box.lines<Line>(0).at(-1)!;
    const pidFile = `${box.containers.bundle.path}/pid`;
    const restored = await box.restore("--pid-file", pidFile);
    const lines = await box.atLeast<Line>(5, restored);
    const [first] = lines;
    equal(first!.count, last.count + 1);
    equal(first!.offset, last.offset + 3);
    equal(first!.hash, await hashAfter(first!.count));
    const same = ({ removed, ready, environment, pid, threads, host }: Line): unknown => {
      return { removed, ready, environment, pid, threads, host };
    };
    deepEqual(same(first!), same(last));
    ok(lines.at(-1)!.ticks > last.ticks && lines.at(-1)!.turns > last.turns);
    ok(first!.monotonic > last.monotonic && first!.monotonic < last.monotonic + 60);
    const state = JSON.parse(await box.containers.output("state", BOX));
    equal(state.status, "running");
    equal(String(state.pid), Deno.readTextFileSync(pidFile));
    deepEqual(JSON.parse(await box.containers.output("ps", "--format", "json", BOX)), [state.pid]);
    await box.containers.output("kill", BOX, "KILL");
    await box.containers.until(BOX, "stopped");
    await box.containers.output("delete", BOX);
  },
);

snapshotTest(
  "checkpoint --leave-running lets it go on, and the images are restored when it is gone",
  async () => {
    await using box = new SnapshotBox();
    python(box);
    const started = await box.start();
    await box.atLeast(3, started);
    await box.checkpoint("--leave-running");
    const { length } = box.lines(started);
    await box.atLeast(length + 3, started);
    match((await box.tryRestore()).stderr, /container with given ID already exists/);
    await box.containers.output("delete", "--force", BOX);
    const [first] = await box.atLeast<Line>(3, await box.restore());
    ok(first!.count <= length + 1);
    await box.containers.output("delete", "--force", BOX);
  },
);

snapshotTest("a process whose session and group have no leader any more goes on in them", async () => {
  await using box = new SnapshotBox();
  // CRIU restores the leader as well, for a moment: as a process that ends before anything goes on.
  const script = `setsid bash -c 'sleep 1000 & echo $! >/tmp/kept'; read -r kept </tmp/kept
    while :; do
      read -r -a stat </proc/$kept/stat
      echo "{\\"pid\\":$kept,\\"group\\":\${stat[4]},\\"session\\":\${stat[5]}}"
      sleep 0.05
    done`;
  box.write(["bash", "-c", script]);
  const [before] = await box.atLeast(1, await box.start());
  notEqual(before!.session, before!.pid);
  await box.checkpoint();
  const [after] = await box.atLeast(1, await box.restore());
  deepEqual(after, before);
  await box.containers.output("delete", "--force", BOX);
});

snapshotTest("a bash with children, a pipeline and variables goes on", async () => {
  await using box = new SnapshotBox();
  const script = `shopt -s lastpipe; declare -i count=0; sleep 1000 & kept=$!
    while :; do echo tick; sleep 0.05; done | while read -r word; do
      count+=1; kill -0 $kept && echo "{\\"count\\":$count,\\"word\\":\\"$word\\",\\"pid\\":$$}"
    done`;
  box.write(["bash", "-c", script]);
  await box.atLeast(3, await box.start());
  await box.checkpoint();
  const last = box.lines<Line>(0).at(-1)!;
  const [first] = await box.atLeast<Line>(3, await box.restore());
  deepEqual(first, { ...last, count: last.count + 1 });
  equal(JSON.parse(await box.containers.output("ps", "--format", "json", BOX)).length >= 3, true);
  await box.containers.output("delete", "--force", BOX);
});

snapshotTest("a tmpfs that found nothing to copy up keeps what was written to it", async () => {
  await using box = new SnapshotBox();
  box.write([
    "bash",
    "-c",
    `echo 1 >/copied/kept; while :; do echo '{"kept":'$(</copied/kept)'}'; sleep 0.1; done`,
  ]);
  const { path, rootfs } = box.containers.bundle;
  Deno.mkdirSync(`${rootfs}/copied`);
  const config = JSON.parse(Deno.readTextFileSync(`${path}/config.json`));
  config.mounts.push({ destination: "/copied", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] });
  Deno.writeTextFileSync(`${path}/config.json`, JSON.stringify(config));
  await box.atLeast(2, await box.start());
  await box.checkpoint();
  deepEqual((await box.atLeast(2, await box.restore())).at(-1), { kept: 1 });
  await box.containers.output("delete", "--force", BOX);
});
