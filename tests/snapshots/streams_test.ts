import { deepEqual, equal, match, ok } from "node:assert/strict";
import { BOX } from "../helpers/containers.ts";
import { replaceUnheard, startReplaced } from "../helpers/replaced.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

const ECHO = 'count=0; while read -r line; do count=$((count + 1)); echo "$count $line"; done; exit 7';

function command(box: SnapshotBox, ...args: readonly string[]): Deno.ChildProcess {
  const [program, ...first] = RUNTIME;
  return new Deno.Command(program!, {
    args: [...first, "--root", box.containers.root, ...args],
    cwd: box.containers.bundle.path,
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

snapshotTest("pipes of run become pipes of restore, which ends as the program does", async () => {
  await using box = new SnapshotBox();
  box.write(["bash", "-c", ECHO]);
  const first = command(box, "run", "--detach", BOX);
  const [written, read] = [first.stdin.getWriter(), first.stdout.getReader()];
  await written.write(new TextEncoder().encode("one\n"));
  equal(new TextDecoder().decode((await read.read()).value), "1 one\n");
  await first.status;
  await box.checkpoint();
  await written.close().catch(() => {});
  await read.cancel();
  await first.stderr.cancel();
  const second = command(box, "restore", "--image-path", box.images, BOX);
  const input = second.stdin.getWriter();
  await input.write(new TextEncoder().encode("two\n"));
  await input.close();
  const { code, stdout, stderr } = await second.output();
  equal(new TextDecoder().decode(stderr), "");
  equal(new TextDecoder().decode(stdout), "2 two\n");
  equal(code, 7);
  match((await box.containers.run("state", BOX)).stderr, /container does not exist/);
});

snapshotTest("the end of restore leaves another container that has its name by then as it is", async () => {
  await using box = new SnapshotBox();
  const { containers } = box;
  box.write(["bash", "-c", "trap : TERM; while :; do sleep 0.05; done"]);
  await containers.output("run", "--detach", BOX);
  await box.checkpoint();
  const { child, answer } = containers.begin("restore", "--image-path", box.images, BOX);
  while ((await containers.run("state", BOX)).code !== 0);
  await containers.until(BOX, "running");
  await replaceUnheard(containers, child, BOX);
  deepEqual(await answer, { code: 137, stdout: "", stderr: "" });
  equal(await startReplaced(containers, BOX), "running");
});

snapshotTest("a program that has closed its stdin and stdout is restored without them", async () => {
  await using box = new SnapshotBox();
  const script = 'exec <&- >&-; count=0; while :; do echo "{\\"count\\":$((++count))}" >&2; sleep 0.05; done';
  box.write(["bash", "-c", script]);
  const count = (command: number): number => {
    return Number(/\d+/.exec(box.containers.said(command).stderr.trim().split("\n").at(-1)!)?.[0] ?? 0);
  };
  const until = async (least: number, command: number): Promise<void> => {
    for (const end = Date.now() + 60_000; count(command) < least;) {
      ok(Date.now() < end, box.containers.said(command).stderr);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  await box.containers.run("run", "--detach", BOX);
  const started = box.containers.commands - 1;
  await until(3, started);
  await box.checkpoint();
  const reached = count(started);
  await box.tryRestore();
  const restored = box.containers.commands - 1;
  await until(reached + 2, restored);
  equal(box.containers.said(restored).stdout, "");
});

snapshotTest("a paused container is checkpointed as it is, and stays paused if it is left", async () => {
  await using box = new SnapshotBox();
  box.write(["bash", "-c", 'count=0; while :; do echo "{\\"count\\":$((++count))}"; sleep 0.05; done']);
  await box.atLeast(3, await box.start());
  await box.containers.output("pause", BOX);
  await box.checkpoint("--leave-running");
  equal(await box.containers.status(BOX), "paused");
  await box.containers.output("delete", "--force", BOX);
  const [first] = await box.atLeast<{ count: number }>(2, await box.restore());
  ok(first!.count >= 3);
});

snapshotTest("a Node.js with a worker, a timer and a server on loopback goes on", async () => {
  await using box = new SnapshotBox();
  const script = `
    const { Worker } = require("node:worker_threads"), http = require("node:http");
    let count = 0, turns = 0;
    new Worker("const { parentPort } = require('node:worker_threads'); setInterval(() => parentPort.postMessage(1), 20)", { eval: true })
      .on("message", () => turns++);
    const server = http.createServer((_, answer) => answer.end("hello")).listen(8080, "127.0.0.1", () => setInterval(() => {
      http.get({ port: 8080, host: "127.0.0.1", agent: false }, (answer) => {
        let text = ""; answer.on("data", (part) => text += part).on("end", () => {
          console.log(JSON.stringify({ count: ++count, turns, text }));
        });
      });
    }, 50));`;
  box.containers.bundle.file("program.js", script);
  box.write(["node", "/program.js"]);
  await box.atLeast(4, await box.start());
  await box.checkpoint("--tcp-established");
  const last = box.lines<{ count: number; turns: number }>(0).at(-1)!;
  const restored = await box.restore("--tcp-established");
  const lines = await box.atLeast<{ count: number; turns: number; text: string }>(4, restored);
  ok(lines[0]!.count === last.count + 1 && lines.at(-1)!.turns > last.turns);
  equal(lines.at(-1)!.text, "hello");
  await box.containers.output("delete", "--force", BOX);
});
