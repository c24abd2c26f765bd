import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import type { Hooks, Spec } from "../../runtime/spec/config.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { BOX } from "../helpers/containers.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

const COUNT = `count=0; while :; do count=$((count + 1))
  echo "{\\"count\\":$count,\\"devices\\":\\"$(echo /sys/class/net/*)\\"}"; sleep 0.05; done`;
const KINDS = ["prestart", "createRuntime", "poststart", "poststop"] as const;

interface Line {
  readonly count: number;
  readonly devices: string;
}

function hook(script: string, timeout?: number): NonNullable<Hooks["poststop"]>[number] {
  return { path: "/bin/sh", args: ["sh", "-c", script], ...(timeout !== undefined && { timeout }) };
}

class HookBox extends SnapshotBox {
  readonly notes: string = `${this.containers.bundle.path}/notes`;

  configure(more: Hooks = {}, part: Partial<Spec> = {}): void {
    const hooks = Object.fromEntries(KINDS.map((kind) => {
      return [kind, [hook(`echo ${kind} "$(cat)" >>${this.notes}; echo ${kind} is said`)]];
    }));
    this.write(["bash", "-c", COUNT], { hooks: { ...hooks, ...more }, ...part });
  }

  /** What hooks have noted since this was asked last: `kind status`. */
  noted(): { readonly what: string[]; readonly pids: number[] } {
    const lines = Deno.readTextFileSync(this.notes).trimEnd().split("\n");
    Deno.removeSync(this.notes);
    const states = lines.map((line) =>
      JSON.parse(line.slice(line.indexOf(" "))) as { status: string; pid: number }
    );
    return {
      what: lines.map((line, index) => `${line.split(" ")[0]} ${states[index]!.status}`),
      pids: states.map(({ pid }) => pid),
    };
  }
}

const BEGUN = ["prestart creating", "createRuntime creating", "poststart running"];

snapshotTest(
  "hooks of the runtime run around a restore as around a start, and behind a checkpoint's end",
  async () => {
    await using box = new HookBox();
    const inside = { createContainer: [hook(`echo createContainer "$(cat)" >>${box.notes}`)] };
    box.configure({ ...inside, startContainer: [hook(":")] });
    const started = await box.start();
    await box.atLeast(2, started);
    // Those that run inside do not run again.
    deepEqual(box.noted().what, [...BEGUN.slice(0, 2), "createContainer creating", ...BEGUN.slice(2)]);
    await box.checkpoint();
    deepEqual(box.noted().what, ["poststop stopped"]);
    const last = box.lines<Line>(started).at(-1)!;
    const [line] = await box.atLeast<Line>(1, await box.restore());
    equal(line!.count, last.count + 1);
    const { what, pids } = box.noted();
    deepEqual(what, BEGUN);
    const { pid } = JSON.parse(await box.containers.output("state", BOX));
    deepEqual(pids, [pid, pid, pid]);
    await box.containers.output("delete", "--force", BOX);
    deepEqual(box.noted().what, ["poststop stopped"]);
    const refused = async (reason: RegExp, hooks: Hooks): Promise<void> => {
      box.configure(hooks);
      const { code, stderr } = await box.tryRestore();
      equal(code, 1);
      match(stderr, reason);
      equal((await box.containers.run("state", BOX)).code, 1);
    };
    await refused(/createRuntime hook #0.*exit status 7.*not today/s, {
      createRuntime: [hook("echo not today >&2; exit 7")],
    });
    deepEqual(box.noted().what, ["prestart creating", "poststop stopped"]);
    await refused(/prestart hook #0.*timeout/s, { prestart: [hook("sleep 100", 1)] });
    deepEqual(box.noted().what, ["poststop stopped"]);
    await refused(/poststart hook #0.*exit status 9/s, { poststart: [hook("exit 9")] });
    deepEqual(box.noted().what, ["prestart creating", "createRuntime creating", "poststop stopped"]);
  },
);

snapshotTest("network devices are moved again to a container that is restored", async () => {
  await using box = new HookBox();
  // Each command finds a network of its own with devices, which ends with it: the host's is left alone. Both ends of
  // the link are moved: one that stayed would take the other along when that network ends.
  const script = 'ip link add dev0 type veth peer name dev1; exec "$@"';
  Object.assign(box.containers, { program: ["unshare", "-n", "/bin/sh", "-c", script, "sh", ...RUNTIME] });
  const { linux } = starterSpec();
  const moving = (name: string): Partial<Spec> => ({
    linux: { ...linux, netDevices: { dev0: { name }, dev1: {} } },
  });
  box.configure({}, moving("uplink"));
  const started = await box.start();
  const [first] = await box.atLeast<Line>(2, started);
  equal(first!.devices, "/sys/class/net/dev1 /sys/class/net/lo /sys/class/net/uplink");
  await box.checkpoint();
  const last = box.lines<Line>(started).at(-1)!;
  box.configure({}, moving("other"));
  const [line] = await box.atLeast<Line>(1, await box.restore());
  deepEqual(line, {
    count: last.count + 1,
    devices: "/sys/class/net/dev1 /sys/class/net/lo /sys/class/net/other",
  });
  await box.containers.output("delete", "--force", BOX);
  box.configure({}, { linux: { ...linux!, netDevices: { nosuch: {} } } });
  const { code, stderr } = await box.tryRestore();
  notEqual(code, 0);
  match(stderr, /Cannot move network device "nosuch": there is no such device/);
  ok(!Array.from(Deno.readDirSync(box.containers.root)).some(({ name }) => name === BOX));
});
