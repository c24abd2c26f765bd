import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { loadBundle } from "../../runtime/bundle.ts";
import type { Process, Spec } from "../../runtime/spec/config.ts";
import type { Record } from "../../runtime/state/record.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { beginAnew } from "../../snapshots/light/begin.ts";
import { environmentIn } from "../../snapshots/light/begun.ts";
import { OWN_STDIO } from "../../snapshots/restore_externals.ts";
import { BOX } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { ForkBox } from "../helpers/fork_box.ts";
import { replaceAtOnce, startReplaced } from "../helpers/replaced.ts";
import { snapshotTest } from "../helpers/snapshot_box.ts";
import { warmUp } from "../helpers/warm_up.ts";

if (Deno.uid() === 0) await warmUp();

const OVERLAY: Partial<Spec> = { annotations: { "dev.ai-sandbox.overlay": "tmpfs:size=32m" } };
// Counts in memory and in a file over its rootfs, which is never empty in between; `gone` is removed when it is there.
const COUNT = `runs=0; rm -f /gone; count=$(tail -n 1 /count 2>/dev/null); while :; do
  count=$((count + 1)); runs=$((runs + 1)); echo $count >> /count; gone=$(test -e /gone && echo false || echo true)
  echo "{\\"count\\":$count,\\"runs\\":$runs,\\"kept\\":\\"$KEPT\\",\\"cwd\\":\\"$PWD\\",\\"gone\\":$gone}"; sleep 0.05; done`;
const NO_CRIU = ["--criu", "/nowhere/criu"];

interface Line {
  readonly count: number;
  readonly runs: number;
  readonly kept: string;
  readonly cwd: string;
  readonly gone: boolean;
}

/** A container with an overlay, and commands that find no CRIU. */
class LightBox extends ForkBox {
  readonly store: string = `${this.containers.bundle.path}/store`;

  async begin(part: Partial<Spec> = OVERLAY): Promise<number> {
    this.containers.bundle.file("gone", "of below");
    this.containers.bundle.directory("work");
    this.configure({ cwd: "/work" }, part);
    const started = await this.start();
    await this.atLeast<Line>(3, started);
    return started;
  }

  configure(process: Partial<Process>, part: Partial<Spec> = OVERLAY): void {
    this.write(["bash", "-c", COUNT], part, process);
  }

  /** Checkpoints it without CRIU; its last line. */
  async light(started: number, ...flags: readonly string[]): Promise<Line> {
    const { code, stderr } = await this.containers.run(
      ...NO_CRIU,
      ...["checkpoint", "--light", "--image-path", this.images, ...flags, BOX],
    );
    deepEqual({ code, stderr }, { code: 0, stderr: "" });
    return this.lines<Line>(started).at(-1)!;
  }

  async snapshot(what: string, ...args: readonly string[]): Promise<string> {
    return (await this.containers.output(...NO_CRIU, "snapshot", what, "--store", this.store, ...args))
      .trim();
  }

  /** Restores it without CRIU, whatever is there; its first lines, and what the command complained of. */
  async again(...flags: readonly string[]): Promise<{ readonly line: Line; readonly stderr: string }> {
    const { code, stderr } = await this.containers.run(...NO_CRIU, "restore", "--detach", ...flags, BOX);
    if (code !== 0) throw new Error(`restore ended with ${code}: ${stderr}`);
    const [line] = await this.atLeast<Line>(1, this.containers.commands - 1);
    return { line: line!, stderr };
  }
}

/** Text of a file, without the newline at its end; empty if it has gone. */
function textOf(file: string): string {
  try {
    return Deno.readTextFileSync(file).trim();
  } catch {
    return "";
  }
}

/** What a program says first that begins anew after `last`: a write may have come without its line. */
function beganAfter(last: Line, line: Line): void {
  ok(line.count === last.count + 1 || line.count === last.count + 2, `${line.count} after ${last.count}`);
  deepEqual({ ...line, count: 0 }, { count: 0, runs: 1, kept: "yes", cwd: "/work", gone: true });
}

containerTest(
  "a light checkpoint takes no CRIU: the program begins anew with its files, environment and directory of then",
  async () => {
    await using box = new LightBox();
    const started = await box.begin();
    const before = box.lines<Line>(started).length;
    await box.light(started, "--leave-running");
    await box.atLeast<Line>(before + 3, started); // it goes on
    Deno.removeSync(box.images, { recursive: true });
    const last = await box.light(started);
    equal((await box.containers.run("state", BOX)).code, 1);
    deepEqual(Array.from(Deno.readDirSync(box.images), ({ name }) => name).sort(), [
      ...["ai-sandbox.json", "config.json", "layer.data", "layer.json", "process.json"],
    ]);
    box.configure({ cwd: "/", env: ["PATH=/usr/bin:/bin", "KEPT=no"] });
    const { line, stderr } = await box.again("--image-path", box.images);
    equal(stderr, "");
    beganAfter(last, line);
    equal(JSON.parse(await box.containers.output("state", BOX)).status, "running");
    await box.containers.output("delete", "--force", BOX);
    Deno.writeTextFileSync(`${box.images}/process.json`, '{"version":1,"env":[]}');
    const refused = await box.containers.run("restore", "--detach", "--image-path", box.images, BOX);
    match(refused.stderr, /process\.json.*cut off or altered/);
    equal((await box.containers.run("state", BOX)).code, 1);
  },
);

containerTest(
  "a light checkpoint of a paused container leaves it paused, and works with a user namespace",
  async () => {
    await using box = new LightBox();
    const { rootfs, path } = box.containers.bundle;
    const mappings = [{ containerID: 0, hostID: 100_000, size: 1000 }];
    const namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup", "user"].map((type) => ({ type }));
    const linux = { ...starterSpec().linux, namespaces, uidMappings: mappings, gidMappings: mappings };
    box.containers.bundle.file("gone", "of below");
    for (const each of [rootfs, `${rootfs}/gone`]) Deno.chownSync(each, 100_000, 100_000);
    Deno.chmodSync(path, 0o755);
    const started = await box.begin({ ...OVERLAY, linux: linux as NonNullable<Spec["linux"]> });
    await box.containers.output("pause", BOX);
    const last = await box.light(started, "--leave-running");
    equal(JSON.parse(await box.containers.output("state", BOX)).status, "paused");
    await box.containers.output("delete", "--force", BOX);
    beganAfter(last, (await box.again("--image-path", box.images)).line);
    await box.containers.output("delete", "--force", BOX);
  },
);

containerTest("a container goes on when who holds it for a light checkpoint is killed", async () => {
  await using box = new LightBox();
  const many = `cd /work; for name in {1..3000}; do echo > $name; done; ${COUNT}`;
  box.containers.bundle.file("gone", "of below");
  box.containers.bundle.directory("work");
  box.write(["bash", "-c", many], OVERLAY);
  let started = await box.start();
  await box.atLeast<Line>(3, started);
  const record: Pick<Record, "groups"> = JSON.parse(
    Deno.readTextFileSync(`${box.containers.root}/${BOX}/record.json`),
  );
  const isHeld = (): boolean =>
    record.groups.some(({ directory, version, controllers }) =>
      version === 2
        ? textOf(`${directory}/cgroup.freeze`) === "1"
        : controllers.split(",").includes("freezer") && textOf(`${directory}/freezer.state`) === "FROZEN"
    );
  for (let isKilled = false; !isKilled;) {
    const { child, answer } = box.containers.begin("checkpoint", "--light", "--image-path", box.images, BOX);
    let isOver = false;
    const ended = answer.then(({ code }) => (isOver = true, code));
    while (!isOver && !(isKilled = isHeld())) await new Promise((resolve) => setTimeout(resolve, 1));
    if (isKilled) child.kill("SIGKILL");
    equal(await ended !== 0, isKilled);
    if (isKilled) break;
    // All of it was done while others had the CPU.
    Deno.removeSync(box.images, { recursive: true });
    await box.containers.output("delete", "--force", BOX);
    started = await box.start();
    await box.atLeast<Line>(3, started);
  }
  await box.containers.until(BOX, "running");
  await box.atLeast<Line>(box.lines(started).length + 3, started);
  for (const { name } of Deno.readDirSync(box.containers.bundle.path)) ok(name !== "images");
});

containerTest(
  "a light snapshot is explained, verified, compared, forked, sent elsewhere and gone back to",
  async () => {
    await using box = new LightBox();
    const started = await box.begin();
    const first = await box.snapshot("create", "--light", "--leave-running", "--tag", "before", BOX);
    const lines = box.lines<Line>(started);
    const { count } = lines.at(-1)!;
    await box.atLeast<Line>(lines.length + 3, started);
    const second = await box.snapshot("create", "--light", "--leave-running", BOX);
    equal(await box.snapshot("diff", "before", second), "C /count (time, content)");
    equal(await box.snapshot("verify", first), `${first} is whole`);
    const { conditions, canBeRestored } = JSON.parse(
      await box.snapshot("explain", "--format", "json", "--id", "other", first),
    ) as { conditions: { what: string }[]; canBeRestored: boolean };
    ok(canBeRestored);
    ok(!conditions.some(({ what }) => what === "CRIU" || what === "processor"));
    equal(JSON.parse(await box.snapshot("show", first)).sizes.memory, 0);
    match(
      (await box.containers.run("snapshot", "create", "--store", box.store, "--light", "--compress", BOX))
        .stderr,
      /holds no memory/,
    );
    const archive = `${box.containers.bundle.path}/archive`;
    await box.snapshot("export", first, archive);
    await box.snapshot("rm", first);
    equal(await box.snapshot("import", archive), first);
    await box.snapshot("rewind", BOX, first);
    const anew = (line: Line): boolean => line.runs === 1 && line.count <= count + 2;
    for (let seen = 0; !box.lines<Line>(started).slice(1).some(anew);) {
      seen = (await box.atLeast(seen + 1, started)).length;
    }
    const forks = await box.containers.output(
      ...[...NO_CRIU, "fork", "-n", "2", "--bundle", box.containers.bundle.path, "--output", box.output],
      ...["--store", box.store, first],
    );
    deepEqual(forks.trim().split("\n"), [`${BOX}-1`, `${BOX}-2`]);
    const pids: number[] = [];
    for (const id of box.forks) {
      const [line] = await box.linesOf<Line>(id, 1);
      ok(line!.runs === 1 && line!.count <= count + 2 && line!.gone);
      const said = await box.containers.output(
        "exec",
        id,
        "cat",
        "/dev/ai-sandbox/fork.json",
        "/proc/sys/kernel/hostname",
      );
      match(said, new RegExp(`"id":"${id}"[^]*\n${id}\n$`));
      pids.push(JSON.parse(await box.containers.output("state", id)).pid);
    }
    notEqual(pids[0], pids[1]);
  },
);

snapshotTest("restore --fallback goes down only as far as it is told, and says why", async () => {
  await using box = new LightBox();
  const started = await box.begin();
  await box.checkpoint();
  const last = box.lines<Line>(started).at(-1)!;
  const images = ["--image-path", box.images];
  const refused = await box.containers.run(...NO_CRIU, "restore", "--detach", ...images, BOX);
  equal(refused.code, 1);
  equal((await box.containers.run("state", BOX)).code, 1);
  const light = await box.again("--fallback", "light", ...images);
  beganAfter(last, light.line);
  match(light.stderr, /^runtime: Restored light, not full: Cannot apply a checkpoint: there is no CRIU.*\n$/);
  await box.containers.output("delete", "--force", BOX);
  Deno.writeTextFileSync(`${box.images}/layer.data`, "x");
  const worse = await box.containers.run(
    ...NO_CRIU,
    "restore",
    "--detach",
    "--fallback",
    "light",
    ...images,
    BOX,
  );
  equal(worse.code, 1);
  match(worse.stderr, /by any rung that was asked for: full: .*; light: .*layer\.data/);
  const cold = await box.again("--fallback", "cold", ...images);
  equal(cold.line.count, 1);
  match(cold.stderr, /Restored cold, not full: .*\n.*Restored cold, not light: .*layer\.data.*\n$/);
  await box.containers.output("delete", "--force", BOX);
});

Deno.test("environmentIn() takes what a program was begun with, and nothing that it has written over that", () => {
  const of = (text: string): string[] | undefined => environmentIn(new TextEncoder().encode(text));
  deepEqual(of("A=1\0B=\0C=x=y\0"), ["A=1", "B=", "C=x=y"]);
  deepEqual(of(""), []);
  for (const text of ["nginx: worker", "A=1\0master process\0", "=1\0", "A=1"]) equal(of(text), undefined);
  equal(environmentIn(Uint8Array.of(65, 61, 255, 0)), undefined);
});

containerTest(
  "a light restore leaves another container that has its name before it begins as it is",
  async () => {
    await using box = new LightBox();
    box.configure({ cwd: "/" });
    const { root, bundle } = box.containers;
    const begun = beginAnew(BOX, {
      images: undefined,
      bundle: () => loadBundle(bundle.path),
      options: { root, detach: true },
      stdio: OWN_STDIO,
      beforeStart: () => replaceAtOnce(box.containers, BOX),
    });
    await rejects(begun, /container does not exist/);
    equal(await startReplaced(box.containers, BOX), "running");
  },
);
