import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { check, errno, SyscallError } from "../../../ffi/errno.ts";
import { errnoName } from "../../../ffi/errno_names.ts";
import { duplicate, Fd, open, pipe, socketPair } from "../../../ffi/fd.ts";
import { libc } from "../../../ffi/libc.ts";
import { executable } from "../../../ffi/memfd.ts";
import { openPidFd, reap, signalPidFd, spawn } from "../../../ffi/process.ts";
import { receive, writeAll } from "../../../ffi/socket.ts";
import { ERRNO } from "../../../runtime/plan/abi.ts";

function isOpen(raw: number): boolean {
  try {
    Deno.readLinkSync(`/proc/self/fd/${raw}`);
    return true;
  } catch {
    return false;
  }
}

Deno.test("Fd closes its descriptor once, and not one that was given away", () => {
  const fd = open("/dev/null", 0);
  const { raw } = fd;
  ok(isOpen(raw));
  fd[Symbol.dispose]();
  ok(fd.closed && !isOpen(raw));
  fd[Symbol.dispose]();
  throws(() => fd.raw, ReferenceError);
  const given = open("/dev/null", 0);
  const kept = given.disown();
  given[Symbol.dispose]();
  ok(isOpen(kept));
  new Fd(kept)[Symbol.dispose]();
});

Deno.test("every descriptor is made close-on-exec", () => {
  const F_GETFD = 1;
  using stack = new DisposableStack();
  const { read, write } = pipe();
  const [one, two] = socketPair();
  const file = stack.use(open("/dev/null", 0));
  const copy = stack.use(duplicate(file.raw, 200));
  const memory = stack.use(executable("test", new Uint8Array(1)));
  for (const fd of [read, write, one, two, file, copy, memory, stack.use(openPidFd(Deno.pid))]) {
    equal(libc.fcntl(fd.raw, F_GETFD, 0n), 1);
    stack.use(fd);
  }
  ok(copy.raw >= 200);
});

Deno.test("check() throws what errno says, with its name and subject", () => {
  throws(() => open("/none/such", 0), (error) => {
    ok(error instanceof SyscallError);
    deepEqual([error.errno, error.message], [ERRNO.ENOENT, 'Cannot open "/none/such": ENOENT']);
    return true;
  });
  equal(libc.close(99999), -1);
  equal(errno(), ERRNO.EBADF);
  equal(check(5n, "count"), 5);
});

Deno.test("errnoName() knows every error number that the plans name", () => {
  for (const [name, number] of Object.entries(ERRNO)) equal(errnoName(number), name);
  deepEqual([errnoName(0), errnoName(41), errnoName(999)], ["errno 0", "errno 41", "errno 999"]);
});

Deno.test("executable() makes a file that nobody can change", () => {
  using file = executable("test", new TextEncoder().encode("text"));
  equal(Number(libc.write(file.raw, new Uint8Array(1), 1n)), -1);
  equal(errno(), ERRNO.EPERM);
  throws(() => Deno.writeTextFileSync(`/proc/self/fd/${file.raw}`, "more"), /Operation not permitted/);
});

Deno.test("spawn() gives a program its descriptors and nothing else", () => {
  const { read, write } = pipe();
  using null0 = open("/dev/null", 0);
  const pid = spawn("/bin/sh", "sh", [null0.raw, write.raw, write.raw]);
  write[Symbol.dispose]();
  const { code, signal, userMs, systemMs, peakMemoryBytes } = reap(pid, true)!;
  deepEqual([code, signal], [0, undefined]);
  ok(userMs >= 0 && systemMs >= 0 && peakMemoryBytes > 100_000);
  equal(reap(pid, true), undefined, "it is waited for once");
  read[Symbol.dispose]();
  throws(() => spawn("/none", "none", []), /Cannot start "none": ENOENT/);
});

Deno.test("reap() tells signals and running processes", () => {
  const { read, write } = pipe();
  using _ends = { [Symbol.dispose]: () => [read, write].forEach((fd) => fd[Symbol.dispose]()) };
  const pid = spawn("/bin/cat", "cat", [read.raw, 1, 2]);
  equal(reap(pid, false), undefined);
  using pidFd = openPidFd(pid);
  equal(signalPidFd(pidFd, 15), true);
  equal(reap(pid, true)?.signal, 15);
  equal(signalPidFd(pidFd, 15), false);
});

Deno.test("receive() takes messages one by one and never waits", () => {
  const [one, two] = socketPair();
  equal(receive(two, 16), "nothing");
  writeAll(one, new Uint8Array([1, 2, 3]), "a socket");
  writeAll(one, new Uint8Array([4]), "a socket");
  const [first, second] = [receive(two, 16), receive(two, 16)];
  deepEqual(typeof first === "object" && [...first.bytes], [1, 2, 3]);
  deepEqual(typeof second === "object" && [...second.bytes], [4]);
  one[Symbol.dispose]();
  equal(receive(two, 16), "end");
  two[Symbol.dispose]();
});
