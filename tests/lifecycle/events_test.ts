import { deepEqual, equal, match } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { cannotRunRunc } from "../helpers/cgroups.ts";
import { skip } from "../helpers/skip.ts";
import { reactor } from "../../runtime/launch/reactor.ts";
import { containerEvents } from "../../mod.ts";

const MB = 2 ** 20;
const namespaces = (["pid", "network", "ipc", "uts", "mount"] as const).map((type) => ({ type }));
// What waits for everything in this process is there before the tests.
reactor.after(1, () => {})[Symbol.dispose]();

/** The names of all fields, in their order; those of lists and of counts that come and go are left out. */
function shape(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return typeof value;
  return Object.entries(value).map(([key, each]) => [key, shape(each)]);
}

/** Starts a container that has used something of everything. */
async function begin(runtime: Containers, id: string): Promise<void> {
  const linux = {
    namespaces,
    resources: { memory: { limit: 64 * MB, swap: 64 * MB }, pids: { limit: 20 } },
  };
  const work =
    "dd if=/dev/zero of=/file bs=1M count=2 2>/dev/null; i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done";
  runtime.write(["/bin/sh", "-c", `${work}; : >/ready; exec sleep 300`], { linux });
  await runtime.output("run", "--detach", "--bundle", runtime.bundle.path, id);
  const ready = `${runtime.bundle.rootfs}/ready`;
  for (const end = Date.now() + 60_000; !isThere(ready) && Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function statsShape(runtime: Containers, id: string): Promise<string> {
  const line = await runtime.output("events", "--stats", id);
  equal(line.indexOf("\n"), line.length - 1);
  return JSON.stringify(shape(JSON.parse(line)));
}

containerTest("events --stats prints one line with the fields of runc, in their order", async () => {
  const reason = cannotRunRunc();
  if (reason !== undefined) return skip(reason);
  await using ours = new Containers();
  await using theirs = new Containers(["/usr/sbin/runc"]);
  const id = `${BOX}-runc`; // their cgroups are at the same places
  await Promise.all([begin(ours, BOX), begin(theirs, id)]);
  let [own, other] = ["", ""];
  // Counts that are 0 are left out, and some of the kernel's come and go.
  for (let tries = 0; tries < 20; tries++) {
    [own, other] = [await statsShape(ours, BOX), await statsShape(theirs, id)];
    if (own === other) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  equal(own, other);
  await ours.output("delete", "--force", BOX);
  await theirs.output("delete", "--force", id);
});

containerTest("events tells of want of memory and ends when the container does", async () => {
  await using containers = new Containers();
  const until = (file: string): string => `while [ ! -e ${file} ]; do sleep 0.1; done`;
  const script = `${until("/go")}; dd if=/dev/zero of=/dev/null bs=200M count=1; ${until("/seen")}; exit 3`;
  containers.write(["/bin/sh", "-c", script], {
    linux: { namespaces, resources: { memory: { limit: 32 * MB, swap: 32 * MB } } },
  });
  await containers.output("run", "--detach", BOX);
  const { answer } = containers.begin("events", "--interval", "100ms", BOX);
  const told = async (type: string, times: number): Promise<void> => {
    const isTold = (): boolean => containers.said(1).stdout.split(`"type":"${type}"`).length > times;
    for (const end = Date.now() + 30_000; !isTold() && Date.now() < end;) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await told("stats", 2);
  Deno.writeTextFileSync(`${containers.bundle.rootfs}/go`, "");
  await told("oom", 1);
  Deno.writeTextFileSync(`${containers.bundle.rootfs}/seen`, "");
  const { code, stdout, stderr } = await answer;
  deepEqual([code, stderr], [0, ""]);
  const events = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  deepEqual(events.filter(({ type }) => type === "oom"), [{ type: "oom", id: BOX }]);
  equal(
    events.filter(({ type, id, data }) => type === "stats" && id === BOX && data.pids.current > 0).length > 1,
    true,
  );
});

containerTest("events of the library can be left at any time", async () => {
  await using containers = new Containers();
  await containers.output("run", "--detach", BOX);
  for await (const event of containerEvents(BOX, { root: containers.root, intervalMs: 20 })) {
    if (event.type !== "stats") continue;
    equal(event.data.pids.current, 1);
    break;
  }
});

containerTest("events is refused for what has ended, and for an interval that is none", async () => {
  await using containers = new Containers();
  await containers.output("create", BOX);
  for (
    const [interval, message] of [["0", /must be greater than 0/], ["-1s", /greater than 0/], [
      "x",
      /parse error/,
    ]] as const
  ) {
    match((await containers.run("events", `--interval=${interval}`, BOX)).stderr, message);
  }
  match(await containers.output("events", "--stats", BOX), /^\{"type":"stats","id":/);
  await containers.output("kill", BOX, "KILL");
  await containers.until(BOX, "stopped");
  for (const flags of [["--stats"], []]) {
    deepEqual(await containers.run("events", ...flags, BOX), {
      code: 1,
      stdout: "",
      stderr: `runtime: container with id ${BOX} is not running\n`,
    });
  }
});
