import { equal, match } from "node:assert/strict";
import { BOX } from "../helpers/containers.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

const OVERLAY = { annotations: { "dev.ai-sandbox.overlay": "tmpfs:size=32m" } };
// Without children: a snapshot that caught one would be larger than the next.
const COUNT = `
import os, time
count = 0
with open("/bytes", "wb") as file: file.write(os.urandom(4000000))
while True:
    count += 1
    print('{"count":%d}' % count, flush=True)
    time.sleep(0.02)
`;

interface Listed {
  readonly id: string;
}

class FaultBox extends SnapshotBox {
  readonly store: string = `${this.containers.bundle.path}/store`;

  async begin(): Promise<number> {
    this.write(["python3", "-c", COUNT], OVERLAY);
    const started = await this.start();
    await this.atLeast(2, started);
    return started;
  }

  create(...flags: readonly string[]): ReturnType<SnapshotBox["containers"]["begin"]> {
    return this.containers.begin("snapshot", "create", "--store", this.store, ...flags, BOX);
  }

  async list(): Promise<Listed[]> {
    return JSON.parse(
      await this.containers.output("snapshot", "ls", "--format", "json", "--store", this.store),
    );
  }

  async goesOn(started: number): Promise<void> {
    await this.atLeast(this.lines(started).length + 3, started);
  }
}

snapshotTest(
  "a disk that is full fails the snapshot; the container goes on and nothing is left",
  async () => {
    await using box = new FaultBox();
    const started = await box.begin();
    const command = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout } = await new Deno.Command(args[0]!, { args: args.slice(1) }).output();
      equal(code, 0);
      return new TextDecoder().decode(stdout);
    };
    const id = (await box.create("--leave-running").answer).stdout.trim();
    const wholeKiB = parseInt(await command("du", "-sk", `${box.store}/${id}`));
    await box.containers.output("snapshot", "rm", "--store", box.store, id);
    const onDisk = async (size: string, look: () => Promise<boolean>): Promise<boolean> => {
      await command("mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", box.store);
      try {
        return await look();
      } finally {
        await command("umount", box.store);
      }
    };
    // How much memory there is to be written changes from one time to the next.
    const fits = async (): Promise<boolean> => (await box.create("--leave-running").answer).code === 0;
    let lastKiB = wholeKiB - 32;
    while (await onDisk(`${lastKiB}k`, fits)) lastKiB -= 64;
    // Too small for the memory, for the layer, for what comes last.
    for (const size of ["256k", `${wholeKiB - 3000}k`, `${lastKiB - 160}k`]) {
      await onDisk(size, async () => {
        const { code, stderr } = await box.create().answer;
        equal(code, 1, size);
        match(stderr, /Cannot|No space/, size);
        equal([...Deno.readDirSync(box.store)].length, 0, size);
        return false;
      });
      await box.goesOn(started);
    }
    await box.containers.output("delete", "--force", BOX);
  },
);

snapshotTest("two snapshots of one container at once are taken one after the other", async () => {
  await using box = new FaultBox();
  const started = await box.begin();
  const both = [box.create("--leave-running"), box.create("--leave-running")];
  for (const { answer } of both) equal((await answer).code, 0);
  await box.goesOn(started);
  const list = await box.list();
  equal(list.length, 2);
  await box.containers.output("snapshot", "verify", "--store", box.store, ...list.map(({ id }) => id));
  await box.containers.output("delete", "--force", BOX);
});

snapshotTest("a command that is killed leaves the container running or a whole snapshot", async () => {
  await using box = new FaultBox();
  let started = await box.begin();
  for (const afterMs of [250, 350, 450, 550, 700]) {
    const { child, answer } = box.create();
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    try {
      child.kill("SIGKILL");
    } catch {
      // it has ended
    }
    await answer;
    const list = await left(box, started);
    if (list === "goes on") {
      for (const { id } of await box.list()) {
        await box.containers.output("snapshot", "rm", "--store", box.store, id);
      }
      continue;
    }
    equal(list.length, 1, `killed after ${afterMs} ms: neither a container nor a snapshot`);
    await box.containers.output("delete", "--force", BOX);
    const restore = ["restore", "--detach", "--store", box.store, "--snapshot", list[0]!.id, BOX];
    await box.containers.output(...restore);
    started = box.containers.commands - 1;
    await box.atLeast(2, started);
    await box.containers.output("snapshot", "rm", "--store", box.store, list[0]!.id);
  }
  await box.containers.output("delete", "--force", BOX);
  await box.containers.output("snapshot", "prune", "--store", box.store);
  equal([...Deno.readDirSync(box.store)].filter(({ name }) => name !== "tags.json").length, 0);
});

/** What there is when a command was killed: a container that goes on, or else snapshots. */
async function left(box: FaultBox, started: number): Promise<"goes on" | Listed[]> {
  const { length } = box.lines(started);
  for (const end = Date.now() + 60_000;;) {
    // CRIU, if it is still there, lets the processes go on.
    await new Promise((resolve) => setTimeout(resolve, 300));
    if (box.lines(started).length > length + 2) return "goes on";
    const list = await box.list();
    if (list.length > 0 && await isGone(box) || Date.now() > end) return list;
  }
}

async function isGone(box: FaultBox): Promise<boolean> {
  const { code, stdout } = await box.containers.run("state", BOX);
  return code !== 0 || JSON.parse(stdout).status === "stopped";
}
