import { deepEqual, equal, match, ok } from "node:assert/strict";
import { BOX } from "../helpers/containers.ts";
import { eventually, waitUntil } from "../helpers/eventually.ts";
import { ForkBox } from "../helpers/fork_box.ts";
import { snapshotTest } from "../helpers/snapshot_box.ts";
import { isAlive } from "../../runtime/state/liveness.ts";
import type { ProcessName } from "../../runtime/state/record.ts";
import { watched } from "../../snapshots/pager/pagemap.ts";
import { LOW_END } from "../../snapshots/pager/words.ts";

/** What the program has in memory, of which it touches nothing by itself. */
const HELD_KIB = 20 << 10;
const WHOLE = { kept: true, moved: true, given: true, partly: true };

/** Begins the program and checkpoints it. */
async function frozen(box: ForkBox, program = "lazy.py"): Promise<void> {
  box.containers.bundle.file("program.py", Deno.readTextFileSync(`tests/testdata/${program}`));
  box.write(["python3", "/program.py"]);
  await box.atLeast(1, await box.start());
  await box.checkpoint();
}

async function fork(box: ForkBox, ...flags: readonly string[]): Promise<string> {
  const [id] = await box.fork(box.images, "--lazy", ...flags);
  return id!;
}

function pagersOf(box: ForkBox, id: string): ProcessName[] {
  return JSON.parse(Deno.readTextFileSync(`${box.containers.root}/${id}/pagers.json`));
}

/** Places that touch are one. */
function joined(places: readonly number[][]): number[][] {
  const found: number[][] = [];
  for (const [begin, end] of places.filter(([, end]) => end! > LOW_END)) {
    const last = found.at(-1);
    if (last?.[1] === begin) last![1] = end!;
    else found.push([Math.max(begin!, LOW_END), end!]);
  }
  return found;
}

/** The guard of a pager: its child. */
function guardOf({ pid }: ProcessName): number {
  return Number(Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim());
}

snapshotTest(
  "fork --lazy: memory is there when it is touched, also what was moved, given back or unmapped",
  async () => {
    await using box = new ForkBox();
    await frozen(box);
    const id = await fork(box);
    const pagers = pagersOf(box, id);
    equal(pagers.length, 1);
    Deno.removeSync(box.images, { recursive: true }); // nobody needs them any more
    await box.containers.output("kill", id, "USR1");
    const [line] = await box.linesOf<{ size: number; after: number }>(id, 1);
    const { size, after, ...found } = line!;
    deepEqual(found, { again: true, all: true, found: WHOLE });
    ok(size < HELD_KIB / 2, `it has ${size} KiB of its own`);
    ok(after > size);
    await waitUntil(() => !isAlive(pagers[0]!)); // it has moved some: everything is brought in
    equal(await box.containers.status(id), "running");
  },
);

snapshotTest("a fork --lazy moves memory and unmaps it at once, as often as it likes", async () => {
  await using box = new ForkBox();
  await frozen(box, "lazy_moves.py");
  const id = await fork(box);
  const [pager] = pagersOf(box, id);
  await box.containers.output("kill", id, "USR1");
  deepEqual(await box.linesOf(id, 1), [{ wrong: [] }]);
  await waitUntil(() => !isAlive(pager!));
  equal(await box.containers.status(id), "running");
});

snapshotTest("a fork --lazy that begins a thread has all of its memory from then on", async () => {
  await using box = new ForkBox();
  await frozen(box);
  const id = await fork(box);
  const [pager] = pagersOf(box, id);
  await box.containers.output("kill", id, "HUP");
  await box.linesOf(id, 1);
  ok(isAlive(pager!), "it has touched only some");
  await box.containers.output("kill", id, "WINCH");
  await box.linesOf(id, 2);
  await waitUntil(() => !isAlive(pager!));
  equal(await box.containers.status(id), "running");
});

snapshotTest("threads of a fork --lazy that move memory at once find it right, or it is ended", async () => {
  await using box = new ForkBox();
  await frozen(box, "lazy_moves.py");
  const ids = await box.fork(box.images, "--lazy", "-n", "4");
  for (const id of ids) await box.containers.output("kill", id, "USR2");
  let right = 0;
  for (const id of ids) {
    const said = (): string => Deno.readTextFileSync(`${box.output}/${id}.out`);
    const report = `${box.containers.root}/${id}/memory.lost`;
    await waitUntil(() => said().endsWith("\n") || Deno.readTextFileSync(report) !== "");
    if (said() === "") continue;
    deepEqual(JSON.parse(said()), { wrong: [] });
    right++;
  }
  ok(right >= 2, `${right} of ${ids.length} go on`); // what is left open is rare
});

snapshotTest("a pager keeps the places that the kernel tells it of", async () => {
  await using box = new ForkBox();
  await frozen(box);
  const [id] = await box.fork(box.images, "--lazy");
  const { pid } = JSON.parse(await box.containers.output("state", id!));
  const found = joined(
    Deno.readTextFileSync(`/proc/${pid}/smaps`).split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
      .filter((each) => /^VmFlags:.* um( |$)/m.test(each))
      .map((each) => each.split(/[- ]/).slice(0, 2).map((address) => Number(`0x${address}`))),
  );
  const kept = watched(Deno.readFileSync(`${box.images}/mm-1.img`)).map(({ begin, end }) => [begin, end]);
  deepEqual(kept, found);
});

snapshotTest("fork shares the memory of several by itself, unless it has several threads", async () => {
  await using box = new ForkBox();
  box.containers.bundle.file(
    "program.py",
    `import threading, time, os
if os.path.exists("/several"): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print('{"ready":true}', flush=True)
time.sleep(1000)`,
  );
  box.write(["python3", "/program.py"]);
  await box.atLeast(1, await box.start());
  await box.checkpoint();
  const forked = async (...flags: readonly string[]): Promise<Record<string, string>[]> => {
    const printed = await box.containers.output("fork", "--format", "json", ...flags, box.images);
    const forks: { id: string; pages: string; eager?: string }[] = JSON.parse(printed).forks;
    for (const { id } of forks) await box.containers.output("delete", "--force", id);
    return forks.map(({ pages, eager }) => ({ pages, ...(eager !== undefined && { eager }) }));
  };
  deepEqual(await forked("-n", "2"), [{ pages: "lazy" }, { pages: "lazy" }]);
  deepEqual(await forked(), [{ pages: "eager", eager: "a single fork has nobody to share memory with" }]);
  deepEqual(await forked("-n", "2", "--eager"), [{ pages: "eager" }, { pages: "eager" }]);
  const { stderr } = await box.containers.run("fork", "--lazy", "--eager", box.images);
  match(stderr, /Cannot use both --lazy and --eager: choose one/);
  box.containers.bundle.file("several", "");
  await box.atLeast(1, await box.start());
  await box.checkpoint();
  const [one] = await forked("-n", "2");
  deepEqual(one, { pages: "eager", eager: "a process of it has several threads" });
});

snapshotTest("a fork --lazy that touches more than its limit is ended, and its pager with it", async () => {
  await using box = new ForkBox();
  await frozen(box, "lazy_moves.py");
  const config = `${box.containers.bundle.path}/config.json`;
  const spec = JSON.parse(Deno.readTextFileSync(config));
  const limit = 24 << 20;
  spec.linux.resources = { ...spec.linux.resources, memory: { limit, swap: limit } };
  Deno.writeTextFileSync(config, JSON.stringify(spec));
  const id = await fork(box);
  const [pager] = pagersOf(box, id);
  await box.containers.output("kill", id, "USR1");
  await box.containers.until(id, "stopped");
  await waitUntil(() => !isAlive(pager!));
});

snapshotTest("a fork --lazy that forks: both have all memory, and need no pager any more", async () => {
  await using box = new ForkBox();
  await frozen(box);
  const id = await fork(box);
  const [pager] = pagersOf(box, id);
  await box.containers.output("kill", id, "USR2");
  const [line] = await box.linesOf(id, 1);
  deepEqual(line, { child: WHOLE, found: WHOLE });
  await waitUntil(() => !isAlive(pager!));
  equal(await box.containers.status(id), "running");
});

snapshotTest("a fork --lazy ends when its pager or the guard of that is killed, and says why", async () => {
  await using box = new ForkBox();
  await frozen(box);
  for (const whom of [({ pid }: ProcessName) => pid, guardOf]) {
    const id = await fork(box, "--name", `${BOX}-${whom.name || "pager"}`);
    const [pager] = pagersOf(box, id);
    Deno.kill(whom(pager!), "SIGKILL");
    await box.containers.until(id, "stopped");
    // It is ended at once, and the reason is written down then.
    const report = await eventually(
      () => Deno.readTextFileSync(`${box.containers.root}/${id}/memory.lost`),
      (text) => text.endsWith("\n"),
    );
    match(report, /^Its memory could not be brought in any more: its pager has ended or failed\.\n$/);
    await waitUntil(() => !isAlive(pager!));
  }
});

snapshotTest("a checkpoint of a fork --lazy has all of its memory", async () => {
  await using box = new ForkBox();
  await frozen(box);
  const id = await fork(box);
  const images = `${box.images}-again`;
  await box.containers.output("checkpoint", "--image-path", images, id);
  const [again] = await box.fork(images, "--name", `${BOX}-again`);
  await box.containers.output("kill", again!, "HUP");
  const [line] = await box.linesOf<{ size: number; kept: boolean }>(again!, 1);
  ok(line!.kept);
  ok(line!.size > HELD_KIB);
});

snapshotTest("restore --lazy has memory brought in when it is touched", async () => {
  await using box = new ForkBox();
  await frozen(box);
  const both = await box.tryRestore("--lazy", "--lazy-pages");
  match(both.stderr, /Cannot use both --lazy and --lazy-pages/);
  const command = await box.restore("--lazy");
  await box.containers.output("kill", BOX, "HUP");
  const [line] = await box.atLeast<{ size: number; kept: boolean }>(1, command);
  ok(line!.kept);
  ok(line!.size < HELD_KIB);
  const [pager] = pagersOf(box, BOX);
  ok(isAlive(pager!));
  await box.containers.output("delete", "--force", BOX);
  await waitUntil(() => !isAlive(pager!));
});
