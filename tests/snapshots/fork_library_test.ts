import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { deleteContainer, findSnapshot, forkContainers, pauseContainer, Pool } from "../../mod.ts";
import { nameProcess } from "../../runtime/state/liveness.ts";
import { keptCriu } from "../../snapshots/kept_criu.ts";
import { KeptPages, keptPages } from "../../snapshots/pager/kept.ts";
import { type ForkPages, isLikelyLazy } from "../../snapshots/pager/option.ts";
import { SETTLED_MS } from "../../snapshots/file_stamp.ts";
import { until } from "../helpers/cli.ts";
import { BOX } from "../helpers/containers.ts";
import { eventually } from "../helpers/eventually.ts";
import { ForkBox } from "../helpers/fork_box.ts";
import { replaceAtOnce, startReplaced } from "../helpers/replaced.ts";
import { snapshotTest } from "../helpers/snapshot_box.ts";
import { warmUp } from "../helpers/warm_up.ts";

/** Waits until images that have just been written can be told from those that are written next. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS + 100));
}

/** Counts the lines that it reads, as soon as it is a fork. */
const COUNT = `echo '{"waits":true}'; until [ -e /dev/ai-sandbox/fork.json ]; do sleep 0.02; done
  count=0; while read -r line; do count=$((count + 1)); echo "$count $line"; done; exit 7`;
const encoder = new TextEncoder();

if (Deno.uid() === 0) await warmUp();

snapshotTest(
  "forkContainers() gives each fork streams of its own, and ends those that are disposed of",
  async () => {
    await using box = new ForkBox();
    box.write(["bash", "-c", COUNT]);
    await box.atLeast(1, await box.start());
    const { root } = box.containers;
    const options = { count: 3, root, stdin: "piped", stdout: "piped" } as const;
    const outcomes = await forkContainers({ container: BOX }, options);
    for (const outcome of outcomes) {
      if ("error" in outcome) throw outcome.error;
      await using fork = outcome.fork;
      const input = fork.stdin!.getWriter();
      await input.write(encoder.encode(`hello ${fork.number}\n`));
      if (fork.number === 3) {
        equal(await until(fork.stdout!, "\n"), "1 hello 3\n");
        equal(fork.container.state.status, "running");
        continue; // it is ended
      }
      await input.close();
      equal(await new Response(fork.stdout).text(), `1 hello ${fork.number}\n`);
      equal(await fork.wait(), 7);
    }
    deepEqual(box.forks, []);
  },
);

snapshotTest("forkContainers() keeps the memory of images that it makes one fork of again", async () => {
  await using box = new ForkBox();
  box.write(["bash", "-c", COUNT]);
  await box.atLeast(1, await box.start());
  await box.checkpoint();
  await settled();
  const { root } = box.containers;
  const bundle = box.containers.bundle.path;
  const guessed: boolean[] = [];
  const one = async (name: string): Promise<ForkPages> => {
    guessed.push(isLikelyLazy(box.images, {}));
    const [outcome] = await forkContainers({ images: box.images }, {
      root,
      bundle,
      name,
      stdin: "piped",
      stdout: "piped",
    });
    if ("error" in outcome!) throw outcome.error;
    await using fork = outcome!.fork;
    const input = fork.stdin!.getWriter();
    await input.write(encoder.encode("hello\n"));
    await input.close();
    equal(await new Response(fork.stdout).text(), "1 hello\n");
    return fork.pages;
  };
  const alone = { how: "eager", why: "a single fork has nobody to share memory with" } as const;
  using _kept = keptPages;
  await using _criu = keptCriu;
  deepEqual(await one("first"), alone);
  equal(keptPages.bytes, 0);
  deepEqual(await one("second"), { how: "lazy" });
  const kept = keptPages.bytes;
  ok(kept > 0);
  ok(await eventually(() => keptCriu.isLoaded, (is) => is), "CRIU is loaded for the third one");
  const third = one("third");
  equal(keptCriu.isLoaded, false, "which takes it");
  deepEqual(await third, { how: "lazy" });
  deepEqual(guessed, [false, true, true]);
  equal(keptPages.bytes, kept);
  Deno.chmodSync(`${box.images}/pstree.img`, 0o600);
  await settled();
  deepEqual(await one("changed"), alone);
  deepEqual(await one("again"), { how: "lazy" });
  equal(keptPages.bytes, kept);
});

snapshotTest("a fork that is disposed of leaves alone another container that has got its name", async () => {
  await using box = new ForkBox();
  box.write(["bash", "-c", COUNT]);
  await box.atLeast(1, await box.start());
  const { root } = box.containers;
  const [outcome] = await forkContainers({ container: BOX }, { root, stdin: "piped" });
  if ("error" in outcome!) throw outcome.error;
  const { id } = outcome!.fork;
  {
    await using _fork = outcome!.fork;
    await deleteContainer(id, { root, force: true });
    await box.containers.output("create", id);
  }
  equal(await box.containers.status(id), "created");
  await box.containers.output("delete", "--force", id);
});

snapshotTest(
  "another container that has got the name of a fork gets no signal, and is not paused",
  async () => {
    await using box = new ForkBox();
    box.write(["bash", "-c", COUNT]);
    await box.atLeast(1, await box.start());
    const { root } = box.containers;
    const id = `${BOX}-1`;
    let looks = 0;
    const signal = {
      toString: (): string => {
        if (looks++ === 1) replaceAtOnce(box.containers, id); // the first look was to see whether there is such a signal
        return "KILL";
      },
    } as string;
    const [outcome] = await forkContainers({ container: BOX }, { root, signal });
    match(String("error" in outcome! && outcome.error), /container does not exist/);
    equal(looks, 2);
    const init = nameProcess(Deno.pid);
    await rejects(pauseContainer(id, { root, init }), /container does not exist/);
    equal(await startReplaced(box.containers, id), "running");
  },
);

snapshotTest("what single forks need CRIU for is guessed by the one before", async () => {
  await using box = new ForkBox();
  const threads =
    "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()";
  box.write(["python3", "-c", `${threads}\nprint('{"waits":true}', flush=True)\ntime.sleep(1000)`]);
  await box.atLeast(1, await box.start());
  await box.checkpoint();
  await settled();
  const { images } = box;
  const options = { root: box.containers.root, bundle: box.containers.bundle.path };
  const guessed: boolean[] = [];
  for (const name of ["first", "second", "third"]) {
    guessed.push(isLikelyLazy(images, {}));
    const [outcome] = await forkContainers({ images }, { ...options, name });
    if ("error" in outcome!) throw outcome.error;
    await using fork = outcome!.fork;
    equal(fork.pages.how, "eager");
  }
  deepEqual(guessed, [false, true, false], "only the first time nobody knows of its threads");
  equal(isLikelyLazy(images, { pages: "lazy" }), true);
  equal(isLikelyLazy(images, { pages: "eager" }), false);
});

snapshotTest("memory of images is kept only so long and so much of it, and while it is used", async () => {
  await using box = new ForkBox();
  box.write(["bash", "-c", COUNT]);
  await box.atLeast(1, await box.start());
  await box.checkpoint();
  await settled();
  using kept = new KeptPages({ idleMs: 10 });
  kept.take(box.images)[Symbol.dispose]();
  equal(kept.bytes, 0); // nobody knows yet that they come again
  using first = kept.take(box.images);
  {
    using second = kept.take(box.images);
    equal(second.pages, first.pages);
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  ok(kept.bytes > 0, "the first one uses it");
  Deno.chmodSync(`${box.images}/pstree.img`, 0o600);
  await settled();
  kept.take(box.images)[Symbol.dispose](); // now they are seen as they are
  using changed = kept.take(box.images);
  notEqual(changed.pages, first.pages);
  using little = new KeptPages({ mostBytes: kept.bytes - 1 });
  using _much = little.take(box.images);
  equal(little.bytes, 0);
  first[Symbol.dispose]();
  changed[Symbol.dispose]();
  await eventually(() => kept.bytes, (bytes) => bytes === 0);
});

snapshotTest("fork() of a snapshot makes containers that go on from it", async () => {
  await using box = new ForkBox();
  box.write(["bash", "-c", COUNT]);
  await box.atLeast(1, await box.start());
  const store = `${box.containers.bundle.path}/store`;
  await box.containers.output("snapshot", "create", "--leave-running", "--store", store, "--tag", "one", BOX);
  const snapshot = findSnapshot("one", { store });
  equal(JSON.parse(JSON.stringify(snapshot)).fork, undefined);
  const { root } = box.containers;
  const [outcome] = await snapshot.fork({ root, stdin: "piped", stdout: "piped" });
  if ("error" in outcome!) throw outcome.error;
  await using fork = outcome!.fork;
  equal(fork.id, `${BOX}-1`);
  const input = fork.stdin!.getWriter();
  await input.write(encoder.encode("hello\n"));
  await input.close();
  equal(await new Response(fork.stdout).text(), "1 hello\n");
});

snapshotTest("forkContainers() refuses what there is only room for one of, and wrong numbers", async () => {
  await using box = new ForkBox();
  box.write(["bash", "-c", COUNT]);
  await box.atLeast(1, await box.start());
  const { root } = box.containers;
  await rejects(forkContainers({ container: BOX }, { root, count: 0 }), /Cannot make 0 forks/);
  await rejects(forkContainers({ container: "none" }, { root }), /container does not exist/);
  await rejects(forkContainers({ images: `${root}/none` }, { root }), /there is no such directory/);
  const { stderr } = await box.containers.run("fork", "--name", "a/b", BOX);
  match(stderr, /Cannot make fork "a\/b-1": Cannot use "a\/b-1" as an id/);
  deepEqual(box.forks, []);
});

snapshotTest(
  "Pool keeps forks ready that do not run, makes others for those taken, and ends the rest",
  async () => {
    await using box = new ForkBox();
    box.write(["bash", "-c", COUNT]);
    await box.atLeast(1, await box.start());
    const { root } = box.containers;
    const options = { size: 2, root, name: `${BOX}-pool`, stdin: "piped", stdout: "piped" } as const;
    await using pool = await Pool.open({ container: BOX }, options);
    const full = async (): Promise<void> => {
      for (const end = Date.now() + 60_000; pool.ready < 2;) {
        if (Date.now() > end) throw new Error(`Only ${pool.ready} forks are ready`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    await full();
    for (const id of box.forks) equal(await box.containers.status(id), "paused");
    const taken = new Set<string>();
    for (let turn = 0; turn < 3; turn++) {
      await using fork = await pool.take();
      equal(fork.container.state.status, "running");
      taken.add(fork.id);
      const input = fork.stdin!.getWriter();
      await input.write(encoder.encode(`turn ${turn}\n`));
      await input.close();
      equal(await new Response(fork.stdout).text(), `1 turn ${turn}\n`);
    }
    equal(taken.size, 3);
    await full();
    equal(box.forks.length, 2);
    await pool[Symbol.asyncDispose]();
    deepEqual(box.forks, []);
    await rejects(pool.take(), /the pool is closed/);
  },
);

snapshotTest("Pool.take() says why no fork can be made", async () => {
  await using box = new ForkBox();
  box.write(["bash", "-c", COUNT]);
  await box.atLeast(1, await box.start());
  const { root } = box.containers;
  await using pool = await Pool.open({ container: BOX }, { size: 1, root, name: "a/b" });
  await rejects(pool.take(), /Cannot use "a\/b-\d+" as an id/);
  await rejects(Pool.open({ container: BOX }, { size: 0, root }), /Cannot keep 0 forks/);
});
