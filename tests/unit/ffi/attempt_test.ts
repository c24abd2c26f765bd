import { deepEqual, equal, throws } from "node:assert/strict";
import { accept, listenIn } from "../../../ffi/accept.ts";
import { openDirectory, tryLock } from "../../../ffi/directory.ts";
import { attempt, errno, SyscallError } from "../../../ffi/errno.ts";
import { pipe, setNonblocking, socketPair } from "../../../ffi/fd.ts";
import { libc } from "../../../ffi/libc.ts";
import { errnoMemory } from "../../../ffi/library.ts";
import { readSome, receive, writeSome } from "../../../ffi/socket.ts";

const [ENOENT, EAGAIN, EBADF] = [2, 11, 9];

/** Has the first call of a function of the C library be followed by one of V8's own that fails. */
function disturbed<Result>(name: keyof typeof libc, body: () => Result): Result {
  const functions = libc as unknown as Record<string, (...args: unknown[]) => unknown>;
  const own = functions[name]!;
  let calls = 0;
  functions[name] = (...args) => {
    const result = own(...args);
    if (calls++ === 0) errnoMemory()[0] = ENOENT;
    return result;
  };
  try {
    return body();
  } finally {
    functions[name] = own;
  }
}

Deno.test("attempt() makes a call again whose failure is not the ordinary one, once", () => {
  const made: number[] = [];
  const call = (...errnos: readonly number[]) => (): number => {
    errnoMemory()[0] = errnos[made.length]!;
    return made.push(0) > 0 ? -1 : 0;
  };
  equal(attempt(call(EAGAIN), EAGAIN), -1);
  equal(made.splice(0).length, 1);
  equal(attempt(call(ENOENT, EAGAIN), EAGAIN), -1);
  deepEqual([made.splice(0).length, errno()], [2, EAGAIN]);
  equal(attempt(call(ENOENT, EBADF, EAGAIN), EAGAIN), -1);
  deepEqual([made.splice(0).length, errno()], [2, EBADF]);
  equal(attempt(() => 7n, EAGAIN), 7);
});

Deno.test("who reads without waiting takes a failure of V8's own for nothing", () => {
  const [ours, theirs] = socketPair();
  using _ours = ours;
  using _theirs = theirs;
  equal(disturbed("recvmsg", () => receive(ours, 8)), "nothing");
  const { read, write } = pipe();
  using _read = read;
  using _write = write;
  setNonblocking(read);
  setNonblocking(write);
  equal(disturbed("read", () => readSome(read)), undefined);
  while (writeSome(write, new Uint8Array(4096)) > 0);
  equal(disturbed("write", () => writeSome(write, new Uint8Array(4096))), 0);
  const path = Deno.makeTempDirSync();
  try {
    using directory = openDirectory(path)!;
    using listener = listenIn(directory, "socket");
    equal(disturbed("accept4", () => accept(listener)), undefined);
    using other = openDirectory(path)!;
    equal(tryLock(other), true);
    equal(disturbed("flock", () => tryLock(directory)), false);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
  theirs[Symbol.dispose]();
  equal(receive(ours, 8), "end");
  throws(() => receive(read, 8), SyscallError); // which is no socket
});
