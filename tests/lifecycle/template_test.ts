/** Containers that an engine makes alike: from the fourth on they are made without the planner. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Spec } from "../../runtime/spec/config.ts";
import { withRuntime } from "../helpers/built.ts";
import { containerTest } from "../helpers/container_test.ts";
import { EngineBundles, randomName, read } from "../helpers/engine_bundles.ts";

/** So many are planned, and at most so many. */
const [PLANNED, MOST_PLANNED] = [3, 9];

/** A test with bundles of which so many containers were made that the next one is made as they were. */
function templateTest(
  name: string,
  body: (bundles: EngineBundles) => Promise<void>,
  edit?: (spec: Spec, rootfs: string) => Spec,
): void {
  containerTest(name, () =>
    withRuntime(async (program) => {
      await using bundles = new EngineBundles(program);
      await until(bundles, () => read(bundles.file).includes('"proven"'), edit);
      await body(bundles);
    }));
}

/** Makes containers until something is kept of them: others are made meanwhile, and so many are noted at a time. */
async function until(
  bundles: EngineBundles,
  isKept: () => boolean,
  edit?: (spec: Spec, rootfs: string) => Spec,
): Promise<void> {
  for (let count = 0; bundles.kept().length === 0 || !isKept(); count++) {
    ok(count < MOST_PLANNED, "nothing is kept");
    const id = bundles.write(edit);
    equal(await bundles.live(id), said("plain", id));
  }
}

/** What a program says; `evil` is what only the tampered template says. */
function said(word: string, id: string, home = "/root"): string {
  return `${word} ${id.slice(0, 12)} ${home} ${id}\n`;
}

/** All that can be seen of a container that waits to be started; what no two have in common is left out. */
async function seen(bundles: EngineBundles, id: string): Promise<unknown> {
  const { containers } = bundles;
  const directory = `${containers.root}/${id}`;
  const { init, created: _, stdio: __, ...record } = JSON.parse(read(`${directory}/record.json`));
  const { pid, created: ___, ...state } = JSON.parse(await containers.output("state", id));
  equal(pid, init.pid);
  const status = read(`/proc/${pid}/status`).match(/^(Cap|Seccomp|NoNewPrivs|Groups|Uid|Gid).*/gm);
  const mounts = read(`/proc/${pid}/mountinfo`).replace(/^\d+ \d+ \d+:\d+/gm, "").replace(/:\d+/g, "");
  const limits = record.groups.flatMap(({ directory }: { readonly directory: string }) => {
    return ["memory.limit_in_bytes", "memory.max", "pids.max", "devices.list"].map((file) => {
      try {
        return read(`${directory}/${file}`);
      } catch {
        return ""; // another hierarchy's
      }
    });
  });
  return {
    record,
    state,
    status,
    mounts,
    limits,
    groups: read(`/proc/${pid}/cgroup`),
    config: read(`${directory}/config.json`),
    host: read(`/proc/${pid}/limits`),
    files: [...Deno.readDirSync(directory)].map(({ name }) => name).sort(),
  };
}

templateTest(
  "a container of an engine's is made without the planner as the planner makes it",
  async (bundles) => {
    const { file } = bundles;
    const id = bundles.write();
    equal((await bundles.create(id)).stderr, "");
    const without = await seen(bundles, id);
    await bundles.remove(id);
    equal(JSON.parse(read(`${bundles.directory(id)}/hooked`)).id, id);
    const whole = read(file);
    Deno.removeSync(file);
    equal((await bundles.create(id)).stderr, "");
    deepEqual(without, await seen(bundles, id));
    await bundles.remove(id);
    // It was that file, and nothing else, that the container was made from: only who may write there decides that.
    bundles.overwrite(file, whole);
    equal(await bundles.live(bundles.write()), said("plain", bundles.last));
    bundles.tamper("SAID=plain", "SAID=evil!");
    equal(await bundles.live(bundles.write()), said("evil!", bundles.last));
    for (const damaged of [whole.replaceAll("SAID=plain", "SAID=evil!"), whole.slice(0, -100), ""]) {
      bundles.overwrite(file, damaged);
      equal(await bundles.live(bundles.write()), said("plain", bundles.last));
    }
  },
);

containerTest("what is warned of is told of a container that is made without the planner", async () => {
  await withRuntime(async (program) => {
    await using bundles = new EngineBundles(program);
    const later = (spec: Spec): Spec => ({ ...spec, ociVersion: "1.9.0" });
    const isKept = (): boolean => bundles.kept().length > 0 && read(bundles.file).includes('"proven"');
    for (let count = 0, isLast = false; !isLast; count++) {
      ok(count < MOST_PLANNED, "nothing is kept");
      isLast = isKept();
      const { stderr } = await bundles.create(bundles.write(later));
      equal(stderr, "runtime: ignoring what version 1.9.0 of the specification has added to 1.3\n");
      await bundles.remove(bundles.last);
    }
  });
});

templateTest("what differs in more than names is planned", async (bundles) => {
  bundles.tamper("SAID=plain", "SAID=evil!");
  const other = bundles.write((spec) => {
    return { ...spec, process: { ...spec.process!, env: [...spec.process!.env!, "MORE=1"] } };
  });
  equal(await bundles.live(other), said("plain", other));
  const short = bundles.write((spec) => ({ ...spec, hostname: randomName().slice(0, 12) }));
  equal(await bundles.live(short), said("plain", short));
  // What lies elsewhere in the root file system decides, too, and it is another one each time.
  const elsewhere = bundles.write((spec, rootfs) => {
    Deno.writeTextFileSync(`${rootfs}/etc/passwd`, "root:x:0:0::/data:/bin/sh\n");
    return spec;
  });
  equal(await bundles.live(elsewhere), said("plain", elsewhere, "/data"));
});

templateTest("a link of the root file system leads a mount where it leads", async (bundles) => {
  bundles.tamper("SAID=plain", "SAID=evil!");
  const id = bundles.write((spec, rootfs) => {
    Deno.symlinkSync("../data/name", `${rootfs}/etc/hostname`);
    return spec;
  });
  equal(await bundles.live(id), said("plain", id));
});

templateTest("a mount's source that is missing is told as by the planner", async (bundles) => {
  const id = bundles.write();
  Deno.removeSync(`${bundles.directory(id)}/hostname`);
  const { code, stderr } = await bundles.create(id);
  equal(code, 1);
  match(stderr, new RegExp(`${id}/userdata/hostname": .*No such file`));
});

const FIXED = [randomName(), randomName()] as const;
const fixed = (name: string) => (spec: Spec): Spec => ({
  ...spec,
  annotations: { ...spec.annotations, image: name },
});

templateTest("a name in which none has differed stays as it was", async (bundles) => {
  bundles.tamper("SAID=plain", "SAID=evil!");
  const other = bundles.write(fixed(FIXED[1]));
  equal(await bundles.live(other), said("plain", other)); // and is kept, with what differs
  const same = bundles.write(fixed(FIXED[0]));
  equal(await bundles.live(same), said("plain", same));
}, fixed(FIXED[0]));

containerTest("what the next container does not come out as is no template", async () => {
  await withRuntime(async (program) => {
    await using bundles = new EngineBundles(program);
    const live = async (word: string): Promise<void> => {
      const id = bundles.write();
      equal(await bundles.live(id), said(word, id));
    };
    await live("plain");
    deepEqual(bundles.kept(), []);
    await until(bundles, () => true);
    bundles.tamper("SAID=plain", "SAID=evil!");
    await live("plain"); // is compared with that
    await live("plain"); // is compared with the one before
    bundles.tamper("SAID=plain", "SAID=evil!");
    await live("evil!");
  });
});

containerTest(
  "containers with other names, terminals or without process ids of their own are planned",
  async () => {
    await withRuntime(async (program) => {
      await using bundles = new EngineBundles(program);
      const edits: readonly (readonly [string, (spec: Spec) => Spec, id?: () => string])[] = [
        ["the host's processes", (spec) => {
          const namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== "pid");
          return { ...spec, linux: { ...spec.linux, namespaces } };
        }],
        ["an overlay", (spec) => ({ ...spec, annotations: { "dev.ai-sandbox.overlay": "tmpfs" } })],
        ["a shorter name", (spec) => spec, () => randomName().slice(1)],
      ];
      for (const [what, edit, id] of edits) {
        for (let count = 0; count < PLANNED; count++) {
          const made = bundles.write(edit, id?.());
          equal((await bundles.create(made)).stderr, "");
          await bundles.remove(made);
        }
        deepEqual(bundles.kept(), [], what);
      }
    });
  },
);
