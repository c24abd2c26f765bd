import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { Sandbox } from "../mod.ts";
import { cannotLimit } from "./helpers/cgroups.ts";
import { sandboxTest } from "./helpers/sandboxes.ts";
import { skip } from "./helpers/skip.ts";

const encoder = new TextEncoder();
const TEN_MB = 10_000_000;

function noise(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let index = 0, state = 1; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

async function hash(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

sandboxTest("stdin, stdout and stderr carry 10 MB byte by byte the same", async () => {
  await using sandbox = await Sandbox.run({ command: ["tee", "/dev/stderr"], stdin: "piped" });
  const input = noise(TEN_MB);
  const writing = new Response(input).body!.pipeTo(sandbox.stdin!);
  const [out, err] = await Promise.all([
    new Response(sandbox.stdout).bytes(),
    new Response(sandbox.stderr).bytes(),
  ]);
  await writing;
  equal((await sandbox.wait()).exitCode, 0);
  const expected = await hash(input);
  deepEqual([await hash(out), await hash(err)], [expected, expected]);
});

sandboxTest("stdout can be read into buffers of the reader", async () => {
  await using sandbox = await Sandbox.run({ command: ["seq", "2000"] });
  const reader = sandbox.stdout!.getReader({ mode: "byob" });
  let text = "";
  for (let buffer = new Uint8Array(100);;) {
    const { done, value } = await reader.read(buffer);
    if (done) break;
    text += new TextDecoder().decode(value);
    buffer = new Uint8Array(value.buffer);
  }
  equal(text.trimEnd().split("\n").length, 2000);
});

sandboxTest("stdout waits for a reader that is slower than the program", async () => {
  await using sandbox = await Sandbox.run({ command: ["head", "-c", "600000", "/dev/zero"] });
  let length = 0;
  for await (const chunk of sandbox.stdout!) {
    length += chunk.length;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  equal(length, 600_000);
});

sandboxTest("stdout that nobody reads does not hold up the end", async () => {
  await using sandbox = await Sandbox.run({ command: ["yes"] });
  await new Promise((resolve) => setTimeout(resolve, 50));
  ok(sandbox.pid > 0);
});

sandboxTest("stdout that somebody has locked and does not read keeps no descriptor", async () => {
  const sandbox = await Sandbox.run({ command: ["yes"] });
  const reader = sandbox.stdout!.getReader();
  await reader.read();
  sandbox.stderr!.getReader();
  await sandbox[Symbol.asyncDispose]();
  while (!(await reader.read()).done); // what the program printed to its end
});

sandboxTest("stdout is complete when it is read after the end", async () => {
  let stdout: ReadableStream<Uint8Array<ArrayBuffer>>;
  {
    await using sandbox = await Sandbox.run({ command: ["seq", "1000"] });
    await sandbox.wait();
    stdout = sandbox.stdout!;
  }
  equal((await new Response(stdout).text()).split("\n").length, 1001);
});

sandboxTest("a read that waits when the sandbox is disposed of finds the end", async () => {
  const sandbox = await Sandbox.run({ command: ["sleep", "60"], terminal: false });
  const reads = [sandbox.stdout!.getReader().read(), sandbox.stderr!.getReader().read()];
  await sandbox[Symbol.asyncDispose]();
  for (const { done } of await Promise.all(reads)) equal(done, true);
});

sandboxTest("cancelling stdout ends a program that writes to it", async () => {
  await using sandbox = await Sandbox.run({ command: ["yes"] });
  await sandbox.stdout!.cancel();
  // As pid 1 it is spared from SIGPIPE, and sees EPIPE.
  equal((await sandbox.wait()).exitCode, 1);
});

sandboxTest("closing stdin is the end of the program's input", async () => {
  await using sandbox = await Sandbox.run({ command: ["wc", "-c"], stdin: "piped" });
  const writer = sandbox.stdin!.getWriter();
  await writer.write(encoder.encode("12345"));
  await writer.close();
  equal(await new Response(sandbox.stdout).text(), "5\n");
});

sandboxTest("stdin that is never closed keeps no descriptor", async () => {
  const sandbox = await Sandbox.run({ command: ["cat"], stdin: "piped" });
  const writer = sandbox.stdin!.getWriter();
  await writer.write(encoder.encode("x"));
  await sandbox[Symbol.asyncDispose]();
  await rejects(writer.write(encoder.encode("y")), /EPIPE/);
});

sandboxTest("writing to a program that does not read fails when it ends", async () => {
  await using sandbox = await Sandbox.run({ command: ["sleep", "0.2"], stdin: "piped" });
  const writer = sandbox.stdin!.getWriter();
  await rejects(writer.write(new Uint8Array(1_000_000)), /Cannot write to the sandbox: EPIPE/);
  equal((await sandbox.wait()).exitCode, 0);
});

sandboxTest("a write that waits when the sandbox is disposed of fails", async () => {
  const sandbox = await Sandbox.run({ command: ["sleep", "60"], stdin: "piped" });
  const writing = rejects(sandbox.stdin!.getWriter().write(new Uint8Array(1_000_000)), /EPIPE/);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await sandbox[Symbol.asyncDispose]();
  await writing;
});

sandboxTest("null connects the program with /dev/null, and makes no streams", async () => {
  const command = [
    "sh",
    "-c",
    "wc -c >/tmp/n; readlink /proc/self/fd/0 >/tmp/l; test $(cat /tmp/n) = 0 && grep -q null /tmp/l",
  ];
  await using sandbox = await Sandbox.run({ command, stdout: "null", stderr: "null" });
  deepEqual([sandbox.stdin, sandbox.stdout, sandbox.stderr], [undefined, undefined, undefined]);
  equal((await sandbox.wait()).exitCode, 0);
});

sandboxTest(
  "stdout ends with the program, before anybody has read what its limits have counted",
  async () => {
    const reason = cannotLimit();
    if (reason) return skip(reason);
    await using sandbox = await Sandbox.run({ command: ["echo", "hi"], pids: 100, timeoutMs: 60_000 });
    equal(await new Response(sandbox.stdout).text(), "hi\n");
    equal((await sandbox.wait()).exitCode, 0);
  },
);

sandboxTest("terminal talks with a program on its own terminal", async () => {
  const command = ["sh", "-c", "tty; read a; stty size; echo got $a >&2"];
  await using sandbox = await Sandbox.create({ command, terminal: true });
  sandbox.terminal!.resize({ rows: 33, columns: 99 });
  sandbox.start();
  const writer = sandbox.terminal!.writable.getWriter();
  await writer.write(encoder.encode("word\r"));
  const text = await new Response(sandbox.terminal!.readable).text();
  match(text, /33 99\r\ngot word\r\n$/);
  equal((await sandbox.wait()).exitCode, 0);
});

sandboxTest("terminal can be resized when its input is closed, and after the end", async () => {
  const sandbox = await Sandbox.run({ command: ["sleep", "60"], terminal: true });
  await sandbox.terminal!.writable.close();
  sandbox.terminal!.resize({ rows: 10, columns: 20 });
  await sandbox[Symbol.asyncDispose]();
  sandbox.terminal!.resize({ rows: 10, columns: 20 });
});

sandboxTest("terminal keeps no descriptor and no reader when the sandbox is disposed of", async () => {
  const sandbox = await Sandbox.run({ command: ["sleep", "60"], terminal: true });
  const reading = sandbox.terminal!.readable.getReader().read();
  sandbox.terminal!.writable.getWriter();
  await sandbox[Symbol.asyncDispose]();
  equal((await reading).done, true);
});

sandboxTest("terminal is undefined without one", async () => {
  await using sandbox = await Sandbox.run({ command: ["true"] });
  equal(sandbox.terminal, undefined);
});
