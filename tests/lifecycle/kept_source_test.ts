import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { withRuntime } from "../helpers/built.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { recreateFile } from "../../runtime/lifecycle/keep_recreate.ts";
import { nameOf } from "../../runtime/lifecycle/kept_source.ts";
import { fileOf } from "../../runtime/kept_files.ts";

const KEPT = "/run/ai-sandbox/creates";

/** The ids of the containers of one test, as long as each other. */
const [FIRST, OTHER] = [`${BOX}-a`, `${BOX}-b`];

/** The file that what a bundle's containers are made from is kept in. */
function keptFile({ bundle: { path } }: Containers, id: string, attached = false): string {
  return `${KEPT}/${fileOf(nameOf({ id, directory: path, attached, config: "" }))}`;
}

/** When it was written; nothing if it is not there. */
function written(file: string): number | undefined {
  try {
    return Deno.statSync(file).mtime!.getTime();
  } catch {
    return undefined;
  }
}

/** A letter for each byte. */
function contentOf(file: string): string {
  return Array.from(Deno.readFileSync(file), (byte) => String.fromCharCode(byte)).join("");
}

function overwrite(file: string, text: string): void {
  Deno.writeFileSync(file, Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
}

/** What is known of a container that was made. */
interface Made {
  readonly record: {
    readonly init?: { readonly pid: number };
    readonly created?: string;
    readonly stdio?: unknown;
  };
  readonly config: string;
  /** The cgroups of its first process. */
  readonly groups: string;
}

/** Has the next container made by Deno. */
function forgetSteps({ bundle: { path } }: Containers, id: string): void {
  const file = `/run/ai-sandbox/recreates/${recreateFile(BigInt(Deno.statSync(path).ino!), id.length)}`;
  if (written(file) !== undefined) Deno.removeSync(file);
}

/** Makes a container, with Deno, and removes it when its program has ended. */
async function live(containers: Containers, id: string): Promise<Made> {
  forgetSteps(containers, id);
  await containers.output("create", id);
  const read = (name: string): string => Deno.readTextFileSync(`${containers.root}/${id}/${name}`);
  const record = JSON.parse(read("record.json"));
  const made = {
    record,
    config: read("config.json"),
    groups: Deno.readTextFileSync(`/proc/${record.init.pid}/cgroup`),
  };
  await containers.output("start", id);
  await containers.until(id, "stopped");
  await containers.output("delete", id);
  return made;
}

containerTest("a container is made from what another one of the same bundle was made from", async () => {
  await withRuntime(async (program) => {
    await using containers = new Containers(program);
    containers.write(["/bin/sh", "-c", "echo mine > /said"]);
    const said = (): string => Deno.readTextFileSync(`${containers.bundle.rootfs}/said`);
    const file = keptFile(containers, FIRST);
    const first = await live(containers, FIRST);
    const time = written(file);
    ok(time !== undefined, "nothing is kept");
    const other = await live(containers, OTHER);
    equal(written(file), time, "it was made anew");
    // All is the same but for the name, and what no two containers have in common.
    const { init: _, created: __, stdio: ___, ...record } = other.record;
    const { init: _i, created: _c, stdio: _s, ...expected } = first.record;
    deepEqual(record, JSON.parse(JSON.stringify(expected).replaceAll(FIRST, OTHER)));
    equal(other.config, first.config);
    equal(other.groups, first.groups.replaceAll(FIRST, OTHER));
    match(other.groups, new RegExp(`/${OTHER}$`, "m"));
    // The other's own would have been the same.
    const whole = contentOf(file);
    Deno.removeSync(file);
    await live(containers, OTHER);
    equal(contentOf(file), whole.replaceAll(FIRST, OTHER));
    // It is what is run, and nothing else: only who may write there decides that.
    const at = whole.lastIndexOf("echo mine");
    overwrite(file, `${whole.slice(0, at)}echo evil${whole.slice(at + 9)}`);
    await live(containers, OTHER);
    equal(said(), "evil\n");
    for (const damaged of [whole.replaceAll("echo mine", "echo evil"), whole.slice(0, -100), ""]) {
      overwrite(file, damaged);
      await live(containers, FIRST);
      equal(said(), "mine\n");
    }
    Deno.chmodSync(KEPT, 0o777);
    overwrite(file, `${whole.slice(0, at)}echo evil${whole.slice(at + 9)}`);
    await live(containers, FIRST);
    Deno.chmodSync(KEPT, 0o700);
    equal(said(), "mine\n");
    // Another bundle, or what it would not run in, is looked at anew.
    await live(containers, FIRST);
    containers.write(["/bin/sh", "-c", "echo more > /said"]);
    await live(containers, OTHER);
    equal(said(), "more\n");
    Deno.renameSync(containers.bundle.rootfs, `${containers.bundle.path}/elsewhere`);
    const { code, stderr } = await containers.run("create", FIRST);
    equal(code, 1);
    match(stderr, /rootfs": no such directory/);
    Deno.renameSync(`${containers.bundle.path}/elsewhere`, containers.bundle.rootfs);
    Deno.removeSync(file);
    forgetSteps(containers, FIRST);
  });
});

containerTest(
  "run keeps what its container is made from; errors are those of a first container",
  async () => {
    await withRuntime(async (program) => {
      await using containers = new Containers(program);
      containers.write(["/bin/sh", "-c", "echo said; exit 3"]);
      const tool = `${containers.bundle.rootfs}/bin/sh`;
      const file = keptFile(containers, FIRST, true);
      const answers = [];
      for (const id of [FIRST, OTHER]) answers.push(await containers.run("run", id));
      deepEqual(answers, Array.from({ length: 2 }, () => ({ code: 3, stdout: "said\n", stderr: "" })));
      const time = written(file);
      notEqual(time, undefined);
      Deno.renameSync(tool, `${tool}.gone`);
      const kept = await containers.run("run", OTHER);
      Deno.removeSync(file);
      deepEqual(await containers.run("run", OTHER), kept);
      equal(kept.code, 1);
      Deno.renameSync(`${tool}.gone`, tool);
    });
  },
);

containerTest(
  "what a bundle is warned of is told of a container that is made from what was kept",
  async () => {
    await withRuntime(async (program) => {
      await using containers = new Containers(program);
      containers.write(["/bin/true"], { ociVersion: "1.9.0" });
      const file = keptFile(containers, FIRST);
      const log = `${containers.bundle.path}/log`;
      for (const id of [FIRST, OTHER]) {
        const { stderr } = await containers.run("--log", log, "create", id);
        equal(stderr, "runtime: ignoring what version 1.9.0 of the specification has added to 1.3\n");
        match(
          Deno.readTextFileSync(log),
          /^time="[^"]+" level=warning msg="ignoring what version 1\.9\.0 .*\n$/,
        );
        Deno.removeSync(log);
        await containers.output("delete", "--force", id);
      }
      Deno.removeSync(file);
      forgetSteps(containers, FIRST);
    });
  },
);

containerTest("what depends on more than a container's bundle and id is not kept", async () => {
  await withRuntime(async (program) => {
    await using containers = new Containers(program);
    const file = keptFile(containers, FIRST);
    const args = ["/bin/true"];
    const { linux } = starterSpec();
    const hook = { path: "/bin/true" };
    const cases: readonly [string, Parameters<Containers["write"]>[1], ...string[]][] = [
      ["a cgroup of its own", { linux: { ...linux, cgroupsPath: `/${FIRST}` } }],
      ["the host's processes", {
        linux: { namespaces: linux!.namespaces!.filter(({ type }) => type !== "pid") },
      }],
      ["hooks", { hooks: { poststop: [hook] } }],
      ["the caller's keys", {}, "--no-new-keyring"],
    ];
    for (const [what, part, ...flags] of cases) {
      containers.write(args, part);
      const { code, stderr } = await containers.run("create", ...flags, FIRST);
      equal(code, 0, stderr);
      equal(written(file), undefined, what);
      await containers.run("delete", "--force", FIRST);
    }
  });
});
