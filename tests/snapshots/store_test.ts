import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import type { Spec } from "../../runtime/spec/config.ts";
import { rewindContainer } from "../../snapshots/store/rewind.ts";
import { type Answer, BOX } from "../helpers/containers.ts";
import { replaceAtOnce, startReplaced } from "../helpers/replaced.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";
import { warmUp } from "../helpers/warm_up.ts";

if (Deno.uid() === 0) await warmUp();

const OVERLAY: Partial<Spec> = { annotations: { "dev.ai-sandbox.overlay": "tmpfs:size=32m" } };
// Without children: a snapshot that caught one before its execve would have the memory twice.
const COUNT = `
import json, os, time
count = 0
os.unlink("/gone")
while True:
    count += 1
    with open("/log", "a") as log: print(count, file=log)
    with open("/log") as log: lines = len(log.readlines())
    print(json.dumps({"count": count, "lines": lines}), flush=True)
    time.sleep(0.05)
`;
const PROGRAM = ["python3", "-c", COUNT];

interface Line {
  readonly count: number;
  readonly lines: number;
}

/** A container that counts in memory and in a file over its rootfs, and a store of its own. */
class StoreBox extends SnapshotBox {
  readonly store: string = `${this.containers.bundle.path}/store`;

  async begin(): Promise<number> {
    this.containers.bundle.file("gone", "of below");
    this.write(PROGRAM, OVERLAY);
    const started = await this.start();
    await this.atLeast(3, started);
    return started;
  }

  snapshot(what: string, ...args: readonly string[]): Promise<Answer> {
    return this.containers.run("snapshot", what, "--store", this.store, ...args);
  }

  async said(what: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.snapshot(what, ...args);
    if (code !== 0 || stderr !== "") {
      throw new Error(`snapshot ${what} ended with ${code}: ${stdout}${stderr}`);
    }
    return stdout.trim();
  }

  async fails(reason: RegExp, what: string, ...args: readonly string[]): Promise<void> {
    const { code, stdout, stderr } = await this.snapshot(what, ...args);
    match(stderr + stdout, reason);
    equal(code, 1);
  }

  async json<Value>(what: string, ...args: readonly string[]): Promise<Value> {
    return JSON.parse(await this.said(what, "--format", "json", ...args));
  }
}

interface Listed {
  readonly id: string;
  readonly parent?: string;
  readonly tags: readonly string[];
  readonly base?: string;
  readonly sizes: {
    readonly memory: number;
    readonly layer: number;
    readonly total: number;
    readonly kept?: number;
  };
}

snapshotTest(
  "snapshots are taken, listed, tagged, restored by name and gone back to, each after its parent",
  async () => {
    await using box = new StoreBox();
    const started = await box.begin();
    const first = await box.said("create", "--leave-running", "--tag", "before", BOX);
    match(first, /^[0-9a-f]{12}$/);
    const counted = box.lines(started).length;
    await box.atLeast(counted + 3, started);
    const second = await box.said("create", "--leave-running", BOX);
    const found = await box.json<Listed[]>("ls");
    deepEqual(found.map(({ id, parent, tags }) => ({ id, parent, tags })), [
      { id: first, parent: undefined, tags: ["before"] },
      { id: second, parent: first, tags: [] },
    ]);
    ok(found.every(({ sizes }) => sizes.memory > 0 && sizes.layer > 0 && sizes.total > sizes.memory));
    match(await box.said("ls"), new RegExp(`^SNAPSHOT .*\n${first} .* before\n${second} .*${first} .* -$`));
    equal(JSON.parse(await box.said("show", "before")).id, first);
    const { files, memory } = await box.json<{ files: unknown[]; memory: { pagesChanged: number }[] }>(
      "diff",
      "before",
      second,
    );
    deepEqual(files, [{ path: "log", how: "changed", what: ["time", "content"] }]);
    ok(memory.some(({ pagesChanged }) => pagesChanged > 0));
    match(await box.said("diff", "before", second), /^C \/log \(time, content\)\nprocess 1 .* pages /);
    equal(await box.said("rewind", BOX, "before"), "");
    const lines = await box.atLeast<Line>(box.lines(started).length + 2, started); // its stdout is still the same
    const back = lines.findIndex(({ count }, index) => count <= (lines[index - 1]?.count ?? 0));
    ok(back > counted && lines[back]!.count <= counted + 1 && lines[back]!.count === lines[back]!.lines);
    const third = await box.said("create", BOX);
    equal((await box.json<Listed[]>("ls")).at(-1)!.parent, first);
    equal((await box.containers.run("state", BOX)).code, 1);
    const { code, stderr } = await box.containers.run(
      ...["restore", "--detach", "--store", box.store, "--snapshot", third, BOX],
    );
    deepEqual({ code, stderr }, { code: 0, stderr: "" });
    const [next] = await box.atLeast<Line>(2, box.containers.commands - 1);
    equal(next!.count, box.lines<Line>(started).at(-1)!.count + 1);
    equal(next!.lines, next!.count);
    await box.containers.output("delete", "--force", BOX);
    await box.said("rm", first);
    deepEqual((await box.json<Listed[]>("ls")).map(({ id, parent }) => ({ id, parent })), [
      { id: second, parent: undefined },
      { id: third, parent: undefined },
    ]);
    await box.said("tag", second.slice(0, 6), "kept");
    equal(await box.said("prune", "--keep", "2"), "");
    equal(await box.said("prune", "--dry-run"), third);
    equal(await box.said("prune"), third);
    await box.said("tag", "--remove", "kept");
    equal(await box.said("prune"), second);
    deepEqual([...Deno.readDirSync(box.store)].map(({ name }) => name), ["tags.json"]);
  },
);

snapshotTest(
  "explain and verify say what is wrong before anything is tried; rewind leaves the container alone",
  async () => {
    await using box = new StoreBox();
    const started = await box.begin();
    const id = await box.said("create", "--leave-running", "--tag", "one", BOX);
    equal(await box.said("verify"), `${id} is whole`);
    await box.fails(/^id +unmet +there is a container .*\nbundle /m, "explain", "one");
    match(
      await box.said("explain", "--id", "free", "one"),
      new RegExp(`Snapshot ${id} can be restored here\\.$`),
    );
    box.write(PROGRAM, { ...OVERLAY, mounts: [] });
    await box.fails(/mounts +unmet +config\.json does not ask for "\/usr"/, "explain", "--id", "free", "one");
    await box.fails(/Cannot rewind container .*: mounts: .*; it goes on/, "rewind", BOX, "one");
    box.write(PROGRAM, OVERLAY);
    const pages = `${box.store}/${id}/pages-1.img`;
    const bytes = Deno.readFileSync(pages);
    Deno.writeFileSync(pages, bytes.map((byte, index) => index === 9 ? byte ^ 1 : byte));
    await box.fails(/pages-1\.img": it was altered/, "verify", "one");
    await box.fails(/files +unmet .*pages-1\.img": it was altered/, "explain", "--id", "free", "one");
    await box.fails(/pages-1\.img": it was altered.*; it goes on/, "rewind", BOX, "one");
    Deno.writeFileSync(pages, bytes);
    Deno.writeTextFileSync(`${box.store}/${id}/ai-sandbox.json`, " ", { append: true });
    await box.fails(/ai-sandbox\.json": it was altered/, "verify");
    await box.atLeast(box.lines(started).length + 2, started);
    await box.containers.output("delete", "--force", BOX);
  },
);

snapshotTest("a rewind leaves another container that has the name of its own by then as it is", async () => {
  await using box = new StoreBox();
  await box.begin();
  await box.said("create", "--leave-running", "--tag", "one", BOX);
  const { root } = box.containers;
  const rewound = rewindContainer(BOX, "one", { root, store: box.store }); // it has looked which one is meant
  replaceAtOnce(box.containers, BOX);
  await rejects(rewound, /already exists/);
  equal(await startReplaced(box.containers, BOX), "running");
});

snapshotTest(
  "names that lead elsewhere are refused; what a killed command left is swept, and nothing else",
  async () => {
    await using box = new StoreBox();
    Deno.mkdirSync(`${box.store}/.0123456789ab.Ab12`, { recursive: true });
    Deno.mkdirSync(`${box.store}/.ssh`);
    for (const name of ["../../etc", "..", "/etc", "a/b", ""]) await box.fails(/Cannot use/, "show", name);
    await box.fails(/there is none in/, "show", "nothing");
    await box.fails(/Cannot use "abcd" as a tag/, "tag", "one", "abcd");
    await box.fails(/container does not exist/, "create", BOX);
    equal(await box.said("prune"), "");
    deepEqual([...Deno.readDirSync(box.store)].map(({ name }) => name), [".ssh"]);
    await box.fails(/Cannot do "snapshot fly"/, "fly");
  },
);

snapshotTest("forks of a snapshot go on from it, each with its own layer", async () => {
  await using box = new StoreBox();
  const started = await box.begin();
  const id = await box.said("create", "--tag", "one", BOX);
  const last = box.lines<Line>(started).at(-1)!;
  const output = `${box.containers.bundle.path}/forks`;
  const flags = ["--store", box.store, "--output", output, "--count", "2"];
  const names = (await box.containers.output("fork", ...flags, "one")).trim().split("\n");
  deepEqual(names, [`${BOX}-1`, `${BOX}-2`]);
  try {
    for (const name of names) {
      const lines = (): Line[] =>
        Deno.readTextFileSync(`${output}/${name}.out`).trim().split("\n").filter(Boolean).map((line) =>
          JSON.parse(line)
        );
      for (const end = Date.now() + 60_000; lines().length < 2 && Date.now() < end;) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      deepEqual(lines()[0], { count: last.count + 1, lines: last.count + 1 });
    }
  } finally {
    for (const name of names) await box.containers.output("delete", "--force", name);
  }
  match(
    (await box.containers.run("fork", "--store", box.store, "none")).stderr,
    /Cannot find snapshot "none"/,
  );
  await box.said("rm", id);
});

snapshotTest(
  "incremental snapshots keep only pages that have changed, and need the one that has the others",
  async () => {
    await using box = new StoreBox();
    const started = await box.begin();
    const incremental = ["create", "--leave-running", "--incremental"] as const;
    const whole = await box.said(...incremental, BOX); // there is none before it
    await box.atLeast(box.lines(started).length + 2, started);
    const second = await box.said(...incremental, BOX);
    await box.atLeast(box.lines(started).length + 2, started);
    const third = await box.said("create", "--incremental", "--tag", "last", BOX);
    const list = await box.json<Listed[]>("ls");
    deepEqual(list.map(({ id, base }) => [id, base]), [[whole, undefined], [second, whole], [third, second]]);
    for (const { sizes: { kept, memory, total } } of list.slice(1)) ok(kept! < total - memory / 2);
    equal(await box.said("verify"), [whole, second, third].map((id) => `${id} is whole`).join("\n"));
    await box.fails(new RegExp(`Cannot remove .*: ${second} holds only what differs from it`), "rm", whole);
    equal(await box.said("prune"), "");
    ok((await box.json<{ memory: unknown[] }>("diff", whole, "last")).memory.length > 0);
    const last = box.lines<Line>(started).at(-1)!;
    await box.containers.output("restore", "--detach", "--store", box.store, "--snapshot", "last", BOX);
    const [next] = await box.atLeast<Line>(2, box.containers.commands - 1);
    deepEqual(next, { count: last.count + 1, lines: last.count + 1 });
    await box.containers.output("delete", "--force", BOX);
    const { path } = box.containers.bundle;
    await box.said("export", "last", `${path}/last.tar`);
    await box.containers.output("snapshot", "import", "--store", `${path}/other`, `${path}/last.tar`);
    match(await box.containers.output("snapshot", "verify", "--store", `${path}/other`), /is whole/);
    await box.said("tag", "--remove", "last");
    equal(await box.said("prune"), [third, second, whole].join("\n"));
  },
);

snapshotTest(
  "compressed snapshots are restored, compared and exported as they were, and refused if altered",
  async () => {
    await using box = new StoreBox();
    const started = await box.begin();
    await box.fails(/choose one/, "create", "--compress", "--incremental", BOX);
    const first = await box.said("create", "--leave-running", "--compress", BOX);
    await box.atLeast(box.lines(started).length + 2, started);
    await box.said("create", "--incremental", "--tag", "last", BOX); // upon one that is compressed
    const [{ sizes }] = await box.json<[Listed]>("ls");
    ok(sizes.kept! < sizes.total - sizes.memory / 2);
    const pages = Array.from(Deno.readDirSync(`${box.store}/${first}`), ({ name }) => name)
      .filter((name) => name.startsWith("pages-"));
    ok(pages.length > 0 && pages.every((name) => name.endsWith(".img.zst")));
    match(await box.said("verify"), new RegExp(`^${first} is whole\\n.* is whole$`));
    ok((await box.json<{ memory: unknown[] }>("diff", first, "last")).memory.length > 0);
    for (const name of [first, "last"]) {
      await box.containers.output("restore", "--detach", "--store", box.store, "--snapshot", name, BOX);
      const lines = await box.atLeast<Line>(2, box.containers.commands - 1);
      equal(lines[0]!.count, lines[0]!.lines);
      await box.containers.output("delete", "--force", BOX);
    }
    const archive = `${box.containers.bundle.path}/first.tar`;
    await box.said("export", first, archive);
    ok(Deno.statSync(archive).size > sizes.memory);
    const file = `${box.store}/${first}/${pages[0]}`;
    const whole = Deno.readFileSync(file);
    const refused = async (bytes: Uint8Array<ArrayBuffer>): Promise<void> => {
      Deno.writeFileSync(file, bytes);
      await box.fails(/pages-\d+\.img(\.zst)?": it was (cut off or )?altered/, "verify", first);
    };
    await refused(whole.slice(0, -100));
    await refused(new Uint8Array([...whole, ...whole])); // more than there was
    const other = whole.slice();
    other[other.length >> 1]! ^= 1;
    await refused(other);
    Deno.removeSync(file);
    Deno.symlinkSync("/etc/passwd", file);
    const { code, stderr } = await box.containers.run("snapshot", "verify", "--store", box.store, first);
    equal(code, 1);
    match(stderr, /pages-\d+\.img/);
  },
);
