import { deepEqual, equal, match, ok } from "node:assert/strict";
import { BOX } from "../helpers/containers.ts";
import { eventually } from "../helpers/eventually.ts";
import { ForkBox } from "../helpers/fork_box.ts";
import { snapshotTest } from "../helpers/snapshot_box.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";

interface Line {
  readonly count: number;
  readonly hash: string;
  readonly host: string;
  readonly machine: string;
  readonly mark: { readonly id: string; readonly number: number; readonly source: string } | null;
  readonly signals: number;
}

/** Begins a Python that says what it has in memory. */
async function python(box: ForkBox, part: Parameters<ForkBox["write"]>[1] = {}): Promise<number> {
  const { bundle } = box.containers;
  bundle.file("program.py", Deno.readTextFileSync("tests/testdata/fork.py"));
  bundle.file("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
  box.write(["python3", "/program.py"], part);
  const started = await box.start();
  await box.atLeast(3, started);
  return started;
}

snapshotTest(
  "fork -n 3 of a Python: the same memory, another host name, machine-id and mark each",
  async () => {
    await using box = new ForkBox();
    const started = await python(box);
    await box.checkpoint();
    const last = box.lines<Line>(started).at(-1)!;
    const ids = await box.fork(box.images, "-n", "3", "--signal", "USR1");
    deepEqual(ids, [1, 2, 3].map((number) => `${BOX}-${number}`));
    const firsts: Line[] = [];
    for (const id of ids) {
      // Lines of before it has heard the signal may be many by now.
      const lines = await eventually(() => box.linesOf<Line>(id, 4), (all) => all.at(-1)!.signals > 0);
      equal(lines[0]!.count, last.count + 1);
      const { host, mark } = lines[1]!; // it may have been held while it made up the one before
      equal(host, id.slice(0, 64));
      deepEqual([mark?.id, mark?.source], [id, BOX]);
      equal(lines.at(-1)!.signals, 1);
      firsts.push(lines[1]!);
    }
    equal(new Set(firsts.map(({ hash }) => hash)).size, 1);
    equal(new Set([last, ...firsts].map(({ machine }) => machine)).size, 4);
    // Forks of a fork have all of that anew.
    const [second] = await box.fork(ids[0]!, "--name", `${BOX}-more`);
    const of = (await box.linesOf<Line>(second!))[1]!;
    equal(of.mark?.id, second);
    ok(![last, ...firsts].some(({ machine }) => machine === of.machine));
    for (const id of box.forks) await box.containers.output("delete", "--force", id);
    deepEqual(box.forks, []);
  },
);

snapshotTest("fork of a container that runs: it goes on, and its images are gone afterwards", async () => {
  await using box = new ForkBox();
  const script = `declare -i count=0; sleep 1000 & kept=$!
    while :; do count+=1; kill -0 $kept && echo "{\\"count\\":$count,\\"pid\\":$kept}"; sleep 0.05; done`;
  box.write(["bash", "-c", script], {
    linux: { ...starterSpec().linux!, cgroupsPath: `/${BOX}-above/${BOX}` },
  });
  const started = await box.start();
  const [first] = await box.atLeast<Line>(3, started);
  const temporary = `${box.containers.bundle.path}/temporary`; // /tmp is everybody's
  Deno.mkdirSync(temporary);
  box.containers.program = ["/usr/bin/env", `TMPDIR=${temporary}`, ...box.containers.program];
  const ids = await box.fork(BOX, "--count", "2", "--name", `${BOX}-of`, "--first", "7");
  deepEqual(ids, [`${BOX}-of-7`, `${BOX}-of-8`]);
  deepEqual([...Deno.readDirSync(temporary)], []);
  const { length } = box.lines(started);
  await box.atLeast(length + 2, started);
  for (const id of ids) {
    const lines = await box.linesOf<{ count: number; pid: number }>(id);
    ok(lines[0]!.count > first!.count);
    equal(lines[1]!.count, lines[0]!.count + 1);
    equal(JSON.parse(await box.containers.output("ps", "--format", "json", id)).length >= 2, true);
  }
});

snapshotTest("a Node.js with a server on loopback is forked: each has a network of its own", async () => {
  await using box = new ForkBox();
  const script = `
    const http = require("node:http"); let count = 0;
    http.createServer((_, answer) => answer.end(String(process.env.KEPT))).listen(8080, "127.0.0.1", () => setInterval(() => {
      http.get({ port: 8080, host: "127.0.0.1", agent: false }, (answer) => {
        let text = ""; answer.on("data", (part) => text += part).on("end", () => console.log(JSON.stringify({ count: ++count, text })));
      });
    }, 50));`;
  box.containers.bundle.file("program.js", script);
  box.write(["node", "/program.js"]);
  const started = await box.start();
  await box.atLeast(3, started);
  await box.checkpoint("--tcp-established");
  const last = box.lines<{ count: number }>(started).at(-1)!;
  for (const id of await box.fork(box.images, "-n", "2", "--tcp-established")) {
    const lines = await box.linesOf<{ count: number; text: string }>(id);
    ok(lines[0]!.count <= last.count + 2);
    equal(lines.at(-1)!.text, "yes");
  }
});

snapshotTest("fork says which forks cannot be made, and the others live", async () => {
  await using box = new ForkBox();
  await python(box);
  await box.checkpoint();
  await box.fork(box.images, "--first", "2");
  const { code, stdout, stderr } = await box.containers.run(
    "fork",
    "-n",
    "3",
    "--format",
    "json",
    box.images,
  );
  equal(code, 1);
  match(stderr, /^runtime: Cannot make fork "box-\d+-2": container with given ID already exists\n$/);
  const { forks } = JSON.parse(stdout);
  deepEqual(forks.map((each: Record<string, unknown>) => "pid" in each), [true, false, true]);
  match(forks[1].error, /already exists/);
  deepEqual(box.forks, [1, 2, 3].map((number) => `${BOX}-${number}`));
  for (const id of box.forks) equal(await box.containers.status(id), "running");
});

snapshotTest("forks in a user namespace find their mark, which is their root's", async () => {
  await using box = new ForkBox();
  const { linux } = starterSpec();
  const ids = [{ containerID: 0, hostID: 1_000_000, size: 65_536 }];
  const namespaces = [...linux!.namespaces!, { type: "user" as const }];
  const script = `while :; do stat -c '{"owner":"%u","mode":"%a"}' /dev/ai-sandbox/fork.json 2>/dev/null ||
    echo '{"owner":"none"}'; sleep 0.05; done`;
  box.write(["bash", "-c", script], { linux: { ...linux!, namespaces, uidMappings: ids, gidMappings: ids } });
  Deno.chmodSync(box.containers.bundle.path, 0o755);
  await box.atLeast(3, await box.start());
  await box.checkpoint();
  const { code, stderr, stdout } = await box.containers.run("fork", box.images);
  equal(stderr, "");
  equal(code, 0);
  equal(
    await box.containers.output("exec", stdout.trim(), "stat", "-c", "%u %a", "/dev/ai-sandbox/fork.json"),
    "0 644\n",
  );
});

snapshotTest(
  "forks of a container with an overlay begin with what was written, and write apart",
  async () => {
    await using box = new ForkBox();
    const { containers } = box;
    const script = 'echo first > /note; echo > /other; while :; do echo "{\\"count\\": 1}"; sleep 0.1; done';
    box.write(["/bin/sh", "-c", script], { annotations: { "dev.ai-sandbox.overlay": "tmpfs:size=8m" } });
    await box.atLeast(1, await box.start());
    const [one, two] = await box.fork(BOX, "-n", "2");
    await containers.output("exec", one!, "/bin/sh", "-c", "echo one >> /note; rm /other");
    await containers.output("exec", BOX, "/bin/sh", "-c", "echo source > /note");
    const noteOf = (id: string): Promise<string> => containers.output("exec", id, "/bin/cat", "/note");
    deepEqual(await Promise.all([one!, two!, BOX].map(noteOf)), ["first\none\n", "first\n", "source\n"]);
    await containers.output("exec", two!, "/bin/sh", "-c", "[ -e /other ]");
    ok(!Array.from(Deno.readDirSync(containers.bundle.rootfs), ({ name }) => name).includes("note"));
  },
);
