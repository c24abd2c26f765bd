import { deepEqual, equal, match } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Process } from "../../runtime/spec/config.ts";
import { BOX, endLeft } from "../helpers/containers.ts";
import { type Execs, linesTest } from "../helpers/execs.ts";
import { waitUntil } from "../helpers/eventually.ts";

/** What a process says of itself. */
const SELF =
  "echo $COLOUR $HOME; pwd; id; umask; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; ls /proc/self/fd";

/** Writes the process of an exec, as an engine does, to a file of its own. */
function written({ containers }: Execs, name: string, part: Partial<Process>): string {
  const base = { ...starterSpec().process!, terminal: false, env: ["PATH=/bin", "COLOUR=blue"] };
  const path = `${containers.bundle.path}/${name}`;
  Deno.writeTextFileSync(path, JSON.stringify({ ...base, ...part }));
  return path;
}

/** Runs it again and again, until nothing is kept anew; what it said the first time and the last. */
async function thrice(execs: Execs, ...words: readonly string[]): Promise<[first: unknown, last: unknown]> {
  const { light, ...first } = await execs.line(...words);
  equal(light, false);
  equal((await execs.line(...words)).light, false);
  const { light: isLight, ...last } = await execs.line(...words);
  equal(isLight, true, "it took Deno again");
  return [first, last];
}

linesTest("a process in a file is the same without Deno when its content was given twice", async (execs) => {
  const { containers } = execs;
  containers.bundle.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nu:x:1000:100::/home/u:/bin/sh\n");
  await execs.begin();
  const part = { args: ["sh", "-c", SELF], user: { uid: 1000, gid: 100, umask: 0o27 }, cwd: "/bin" };
  const [first, last] = await thrice(execs, "--process", written(execs, "one", part), BOX);
  deepEqual(last, first);
  match((last as { stdout: string }).stdout, /^blue \/home\/u\n\/bin\nuid=1000/);
  // Where the file lies does not matter; what it says does.
  const elsewhere = written(execs, "other", part);
  deepEqual((await execs.line("--process", elsewhere, BOX)).light, true);
  written(execs, "other", { ...part, args: ["sh", "-c", `${SELF} `] });
  deepEqual((await execs.line("--process", elsewhere, BOX)).light, false);
  written(execs, "other", { ...part, cwd: "/etc" });
  match((await execs.line("--process", elsewhere, BOX)).stdout, /^blue \/home\/u\n\/etc\n/);
  match((await execs.line("--process", "/nowhere", BOX)).stderr, /open \/nowhere: no such file or directory/);
  deepEqual((await execs.line("--process", elsewhere, "--", BOX)).light, false);
  const missing = written(execs, "missing", { args: ["nosuch"] });
  const { code, stderr } = await execs.line("--process", missing, BOX);
  equal(code, 255);
  match(stderr, /exec: "nosuch": executable file not found in \$PATH/);
});

/** Waits until a process is that program. */
async function becomes(pid: string, name: string): Promise<void> {
  await waitUntil(() => Deno.readTextFileSync(`/proc/${pid}/comm`).trim() === name, `it is ${name}`);
}

linesTest("a program is left to itself without Deno, and its pid written whole", async (execs) => {
  const { containers } = execs;
  await execs.begin();
  const process = written(execs, "process", { args: ["sh", "-c", "echo from $PPID; exec sleep 300"] });
  const pidFile = `${containers.bundle.path}/pid`;
  const line = ["--process", process, "--detach", "--pid-file", pidFile, BOX];
  for (const light of [false, false, true, true]) {
    const answer = await execs.line(...line);
    deepEqual([answer.code, answer.stderr, answer.light], [0, "", light]);
    const pid = Deno.readTextFileSync(pidFile);
    await becomes(pid, "sleep"); // the command has ended as soon as its shell began
    match(Deno.readTextFileSync(`/proc/${pid}/cgroup`), new RegExp(BOX));
    deepEqual(
      [...Deno.readDirSync(containers.bundle.path)].filter(({ name }) => name.startsWith("pid.")),
      [],
    );
    endLeft(Number(pid));
  }
  // A file of somebody else's is not in its way.
  Deno.writeTextFileSync(`${pidFile}.new`, "whole");
  deepEqual((await execs.line(...line)).light, true);
  equal(Deno.readTextFileSync(`${pidFile}.new`), "whole");
  endLeft(Number(Deno.readTextFileSync(pidFile)));
  // What cannot be written whole is left to Deno, which says so.
  const nowhere = line.with(4, "/nowhere/pid");
  match((await execs.line(...nowhere)).stderr, /Cannot write the pid "\/nowhere\/pid"/);
  await waitUntil(async () => {
    return JSON.parse(await containers.output("ps", "--format", "json", BOX)).length === 1;
  }, "who has no pid file does not run");
});

linesTest("other flags are the same without Deno, and others of them take it", async (execs) => {
  await execs.begin();
  const flags = ["--env", "COLOUR=red", "--cwd", "/bin", "-u", "1000:100"];
  const [first, last] = await thrice(execs, ...flags, BOX, "sh", "-c", SELF);
  deepEqual(last, first);
  match((last as { stdout: string }).stdout, /^red \/\n\/bin\nuid=1000/);
  const words = await execs.line(...flags, BOX, "sh", "-c", 'echo "$@"; exit 7', "zero", "a b", "");
  deepEqual(words, { code: 7, stdout: "a b \n", stderr: "", light: true });
  for (
    const [other, said] of [
      [flags.with(1, "COLOUR=redder"), "redder\n"],
      [flags.with(1, "COLOUR=re"), "re\n"],
      [flags.with(3, "/bi"), undefined],
      [flags.toSpliced(0, 2), "\n"],
      [[...flags, "-e", "COLOUR=last"], "last\n"],
      [[...flags, "--no-new-privs"], "red\n"],
    ] as const
  ) {
    const { light, stdout } = await execs.line(...other, BOX, "sh", "-c", "echo $COLOUR");
    deepEqual([light, stdout], [false, said ?? ""], other.join(" "));
  }
  deepEqual((await execs.line(...flags, BOX)).code, 255);
  deepEqual((await execs.line(...flags, BOX, "--", "true")).light, false);
});
