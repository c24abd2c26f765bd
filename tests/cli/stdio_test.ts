import { deepEqual, equal, match } from "node:assert/strict";
import { leavesNothing } from "../helpers/census.ts";
import { cli, finish, start, Temporary, until } from "../helpers/cli.ts";

const TEN_MB = 10_000_000;

/** Bytes of every value, in no order that a line or a block could hide. */
function noise(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = 1;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

async function hash(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

Deno.test("run passes 10 MB through in both directions, byte by byte the same", async () => {
  const input = noise(TEN_MB);
  const { code, stdout, stderr } = await leavesNothing([], () => {
    return finish(start(["run", "--", "sh", "-c", "tee /dev/stderr"]), input);
  });
  equal(code, 0);
  deepEqual([stdout.length, stderr.length], [TEN_MB, TEN_MB]);
  deepEqual([await hash(stdout), await hash(stderr)], [await hash(input), await hash(input)]);
});

Deno.test("run keeps stdout and stderr apart", async () => {
  const said = await cli([
    "run",
    "--",
    "sh",
    "-c",
    "echo out; echo err >&2; printf '\\000\\377' | od -An -tx1",
  ]);
  deepEqual([said.stdout, said.stderr], ["out\n 00 ff\n", "err\n"]);
});

Deno.test("run writes its result to a stream that --result names, and leaves the stream where it is", async () => {
  const { code, stdout } = await cli(["run", "--result", "/dev/fd/1", "--", "sh", "-c", "echo out; exit 3"]);
  equal(code, 3);
  match(stdout, /^out\n\{/);
  equal(JSON.parse(stdout.slice("out\n".length)).exitCode, 3);
  using directory = new Temporary();
  const fifo = `${directory.path}/fifo`;
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  const read = Deno.readTextFile(fifo);
  equal((await cli(["run", "--result", fifo, "--", "true"])).code, 0);
  equal(JSON.parse(await read).exitCode, 0);
  equal(Deno.lstatSync(fifo).isFifo, true);
  const { code: unread, stderr } = await cli(["run", "--result", fifo, "--", "true"]);
  equal(unread, 1);
  match(stderr, /Cannot write the result ".*fifo": nobody has read it for 5 s/);
});

Deno.test("run hands on the end of stdin", async () => {
  equal((await cli(["run", "--", "wc", "-c"], { stdin: "" })).stdout, "0\n");
  equal((await cli(["run", "--", "wc", "-c"], { stdin: "12345" })).stdout, "5\n");
});

Deno.test("run lets a program read a line at a time", async () => {
  const child = start(["run", "--", "sh", "-c", "echo ready; while read line; do echo got $line; done"]);
  await until(child.stdout, "ready\n");
  const writer = child.stdin.getWriter();
  for (const word of ["one", "two"]) {
    await writer.write(new TextEncoder().encode(`${word}\n`));
    equal(await until(child.stdout, "\n"), `got ${word}\n`);
  }
  writer.releaseLock();
  equal((await finish(child)).code, 0);
});

Deno.test("run ends a program by SIGPIPE when nobody reads its output", async () => {
  await leavesNothing([], async () => {
    const child = start(["run", "--timeout", "60s", "--", "sh", "-c", "yes; echo $? >&2"]);
    await until(child.stdout, "y\n");
    await child.stdout.cancel();
    child.stdin.close();
    const stderr = await new Response(child.stderr).text();
    await child.status;
    match(stderr, /^141\n$/);
  });
});

Deno.test("run works with its standard descriptors closed", async () => {
  using here = new Temporary();
  for (const closed of ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]) {
    const wrapper = ["sh", "-c", `exec "$@" ${closed}`, "sh"];
    const script = "echo x > /m/out; exit 7";
    const said = await cli(["run", "--mount", `${here.path}:/m:rw`, "--", "sh", "-c", script], { wrapper });
    equal(said.code, 7, `${closed}: ${said.stderr}`);
    equal(Deno.readTextFileSync(`${here.path}/out`), "x\n");
    Deno.removeSync(`${here.path}/out`);
  }
});

Deno.test("run reads its input from a file and writes to one", async () => {
  using here = new Temporary();
  here.file("in", "from a file\n");
  const wrapper = ["sh", "-c", `exec "$@" < ${here.path}/in > ${here.path}/out`, "sh"];
  equal((await cli(["run", "--", "cat"], { wrapper })).code, 0);
  equal(Deno.readTextFileSync(`${here.path}/out`), "from a file\n");
});
