import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import { Fd } from "../../../../ffi/fd.ts";
import { libc } from "../../../../ffi/libc.ts";
import { descriptorOf, SplicePipe } from "../../../../ffi/pipe.ts";
import { pollOne } from "../../../../ffi/poll.ts";
import { Flow } from "../../../../network/proxy/sandbox.ts";
import { allowed, copy, type Direction, TooMuch } from "../../../../network/proxy/splice.ts";
import { ConnectionStream } from "../../../../network/proxy/stream.ts";
import { descriptors } from "../../../helpers/census.ts";

/** More than a copy of bytes takes at once. */
const COPIED_BYTES = 262144;

/** Two ends of a TCP connection over loopback. */
async function pair(): Promise<[Deno.TcpConn, Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  return await Promise.all([Deno.connect({ hostname: "127.0.0.1", port }), listener.accept()]);
}

/** Fails if descriptors are left: Deno lets go of a socket on a thread of its own, a little after it is closed. */
async function noneLeft(before: readonly string[]): Promise<void> {
  const left = (): string[] => descriptors().filter((each) => !before.includes(each));
  for (const end = Date.now() + 30_000; left().length > 0 && Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  deepEqual(left(), []);
}

/** Sends bytes that tell their places, as fast as they are taken; ends quietly if nobody takes them. */
async function send(to: Deno.TcpConn, bytes: number): Promise<string> {
  const [hash, piece] = [createHash("sha256"), new Uint32Array(1 << 16)];
  try {
    for (let at = 0; at < bytes; at += piece.byteLength) {
      for (let index = 0; index < piece.length; index++) piece[index] = at + index * 2654435761;
      const some = new Uint8Array(piece.buffer);
      hash.update(some);
      for (let done = 0; done < some.length;) done += await to.write(some.subarray(done));
    }
    await to.closeWrite();
  } catch { /* it was cut */ }
  return hash.digest("hex");
}

async function receive(from: Deno.TcpConn, pauseMs = 0): Promise<{ digest: string; bytes: number }> {
  const [hash, buffer] = [createHash("sha256"), new Uint8Array(1 << 20)];
  let bytes = 0;
  try {
    for (let count: number | null; (count = await from.read(buffer)) !== null;) {
      hash.update(buffer.subarray(0, count));
      bytes += count;
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  } catch { /* it was cut */ }
  return { digest: hash.digest("hex"), bytes };
}

/** Copies so many bytes, and says what came of it. */
async function copied(
  bytes: number,
  { flow = new Flow(undefined, undefined, 0), pauseMs = 0 }: { flow?: Flow; pauseMs?: number } = {},
): Promise<{
  sent: string;
  received: { digest: string; bytes: number };
  passed: number[];
  end: PromiseSettledResult<void>;
}> {
  const [client, from] = await pair();
  const [to, server] = await pair();
  const passed: number[] = [];
  const direction: Direction = {
    flow: () => flow,
    nowMs: () => performance.now(),
    passed: (count) => passed.push(count),
  };
  const copying = Promise.allSettled([
    copy(new ConnectionStream(from), new ConnectionStream(to), direction, new Uint8Array()),
  ]);
  const ends = [send(client, bytes), receive(server, pauseMs)] as const;
  const [end] = await copying;
  for (const one of [from, to]) one.close();
  const [sent, received] = await Promise.all(ends);
  for (const one of [client, server]) one.close();
  return { sent, received, passed, end };
}

Deno.test("copy() passes every byte of a long stream on, and lets the kernel move most of it", async () => {
  const before = descriptors();
  const { sent, received, passed, end } = await copied(96 << 20);
  equal(end.status, "fulfilled");
  deepEqual(received, { digest: sent, bytes: 96 << 20 });
  equal(passed.reduce((sum, each) => sum + each), 96 << 20);
  ok(Math.max(...passed) > COPIED_BYTES, `at most ${Math.max(...passed)} at once`);
  await noneLeft(before);
});

Deno.test("copy() waits for whoever reads slowly, and loses nothing", async () => {
  const { sent, received } = await copied(24 << 20, { pauseMs: 2 });
  deepEqual(received, { digest: sent, bytes: 24 << 20 });
});

Deno.test("copy() passes no more bytes than may, when the kernel moves them, too", async () => {
  const [before, most] = [descriptors(), 20 << 20];
  const { received, end } = await copied(64 << 20, { flow: new Flow(most, undefined, 0) });
  await rejects(async () => {
    if (end.status === "rejected") throw await end.reason;
  }, TooMuch);
  ok(received.bytes <= most && received.bytes > most / 2, `${received.bytes}`);
  await noneLeft(before);
});

Deno.test("copy() is no faster than may, when the kernel moves the bytes, too", async () => {
  const startMs = performance.now();
  const perSecond = 20 << 20;
  const { sent, received } = await copied(30 << 20, { flow: new Flow(undefined, perSecond, startMs) });
  const tookMs = performance.now() - startMs;
  equal(received.digest, sent);
  ok(tookMs > 1_100, `${tookMs} ms`); // what comes at once is a quarter of a second's worth
});

Deno.test("copy() moves nothing more of what is held back once the connections are closed", async () => {
  const before = descriptors();
  const [client, from] = await pair();
  const [to, server] = await pair();
  const perSecond = 4 << 20;
  const flow = new Flow(undefined, perSecond, performance.now());
  const [one, other] = [new ConnectionStream(from), new ConnectionStream(to)];
  let passed = 0;
  const isFar = Promise.withResolvers<void>();
  const direction: Direction = {
    flow: () => flow,
    nowMs: () => performance.now(),
    passed: (count) => (passed += count) > 5 << 20 && isFar.resolve(), // the kernel moves them by then
  };
  const copying = Promise.allSettled([copy(one, other, direction)]);
  const ends = [send(client, 64 << 20), receive(server)] as const;
  await isFar.promise;
  for (const each of [one, other]) each.close();
  const atClose = passed;
  await copying;
  ok(passed - atClose <= perSecond / 4, `${passed - atClose} bytes more`);
  for (const each of [client, server]) each.close();
  const [, received] = await Promise.all(ends);
  ok(received.bytes - atClose <= perSecond / 4, `${received.bytes - atClose} bytes more are received`);
  await noneLeft(before);
});

Deno.test("allowed() gives others their turn after some bytes, even if nothing has to wait", async () => {
  let isOthersTurn = false;
  setTimeout(() => isOthersTurn = true, 0);
  const direction = { flow: () => new Flow(undefined, undefined, 0), nowMs: () => 0, passed: () => {} };
  // A busy machine may be elsewhere until the time is up: some bytes pass in any case.
  const end = performance.now() + 2_000;
  for (let count = 0; !isOthersTurn && (count < 100 || performance.now() < end); count++) {
    await allowed(1 << 20, direction);
  }
  ok(isOthersTurn);
});

Deno.test("SplicePipe tells a connection that was cut from one that has ended", async () => {
  const before = descriptors();
  const [AF_INET, SOCK_STREAM, SOCK_CLOEXEC, SOL_SOCKET, SO_LINGER, POLLIN] = [2, 1, 0o2000000, 1, 13, 1];
  {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const theirs = new Fd(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const address = new Uint8Array(16); // struct sockaddr_in
    address.set([AF_INET, 0, port >> 8, port & 0xff, 127, 0, 0, 1]);
    equal(libc.connect(theirs.raw, address, address.length), 0);
    using ours = await listener.accept();
    const [from, to] = [1, 2].map(() => descriptorOf(ours.localAddr, ours.remoteAddr)!);
    using pipe = new SplicePipe(from!, to!);
    equal(pipe.fill(8), undefined);
    libc.setsockopt(theirs.raw, SOL_SOCKET, SO_LINGER, Int32Array.of(1, 0), 8); // to close it resets it
    theirs[Symbol.dispose]();
    ok(pollOne(new Int32Array([from!.raw, POLLIN]), 30_000, "wait"));
    throws(() => pipe.fill(8), /ECONNRESET/);
  }
  await noneLeft(before);
});
