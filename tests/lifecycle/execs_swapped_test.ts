import { deepEqual, equal } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { BOX } from "../helpers/containers.ts";
import { linesTest } from "../helpers/execs.ts";
import { waitUntil } from "../helpers/eventually.ts";

linesTest("a fifo in the place of a process's file keeps nobody waiting without Deno", async (execs) => {
  const { containers } = execs;
  const { path } = containers.bundle;
  await execs.begin();
  const [file, pidFile, log] = [`${path}/process`, `${path}/stopped.pid`, `${path}/calls`];
  // No other test runs this: what is kept of it would be found.
  const args = ["sh", "-c", "echo swapped; exit 7"];
  const text = JSON.stringify({ ...starterSpec().process!, terminal: false, args, env: ["PATH=/bin"] });
  Deno.writeTextFileSync(file, text);
  const line = ["--process", file, BOX];
  for (const light of [false, false, true]) {
    const answer = await execs.line(...line);
    deepEqual(answer, { code: 7, stdout: "swapped\n", stderr: "", light });
  }
  // It is stopped when it has seen how large the file is.
  const stopped = ["strace", "-qq", "-o", log, "-P", file, "-e", "inject=statx:signal=STOP:when=1"];
  const named = ["sh", "-c", 'echo $$ >"$0"; exec "$@"', pidFile];
  Deno.writeTextFileSync(log, "");
  containers.program = [...stopped, ...named, ...containers.program];
  const { answer } = containers.begin("exec", ...line);
  const isStopped = (): boolean => /stopped by SIGSTOP/.test(Deno.readTextFileSync(log));
  await waitUntil(isStopped, "it stops behind its look");
  Deno.removeSync(file);
  equal(new Deno.Command("mkfifo", { args: [file] }).outputSync().code, 0);
  const pid = Deno.readTextFileSync(pidFile).trim();
  Deno.kill(Number(pid), "SIGCONT");
  // Deno loads libraries, and waits for who writes to it, as runc does.
  const isLeft = (): boolean => [...Deno.readDirSync(path)].some(({ name }) => name === `loaded.${pid}`);
  await waitUntil(isLeft, "it waits at the fifo, and Deno does not begin");
  await Deno.writeTextFile(file, text);
  const { code, stdout, stderr } = await answer;
  equal(`${code} ${stdout}${stderr}`, "7 swapped\n");
});
