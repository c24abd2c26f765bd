import { deepEqual, equal } from "node:assert/strict";
import { errno } from "../../../ffi/errno.ts";
import { openLibrary } from "../../../ffi/library.ts";
import { cstring } from "../../../ffi/memory.ts";

/** More than it takes until a call is compiled, and until V8 makes it without a detour. */
const MANY = 20_000;
const [ENOENT, EBADF] = [2, 9];

Deno.test("a function says the same and leaves the same errno when it has been called often", () => {
  const c = openLibrary("libc.so.6", {
    openat: { parameters: ["i32", "buffer", "i32", "u32"], result: "i32" },
    pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
    close: { parameters: ["i32"], result: "i32" },
    umask: { parameters: ["u32"], result: "u32" },
    syscall: { parameters: ["i64", "i64", "i64", "i64", "i64"], result: "i64" },
    lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
    swab: { parameters: ["buffer", "buffer", "isize"], result: "void" },
  });
  const SYS_getpriority = Deno.build.arch === "x86_64" ? 140n : 141n;
  const [there, missing] = [cstring("/proc/self/comm"), cstring("/proc/self/nothing")];
  const mask = c.umask(0o22);
  const round = (): unknown[] => {
    const fd = c.openat(-100, there, 0o2000000, 0);
    const buffer = new Uint8Array(8);
    const read = c.pread(fd, buffer.subarray(2), 2n, 1n);
    const said = [...buffer.subarray(4)];
    const moved = c.lseek(fd, 0x1_0000_0001n, 0);
    const far = c.lseek(fd, -1n, 0);
    const swapped = new Uint8Array(2);
    c.swab(new Uint8Array([1, 2]), swapped, 2n);
    return [
      c.close(fd),
      read,
      buffer[2] !== 0 && buffer[3] !== 0,
      said,
      moved,
      far,
      [...swapped],
      c.openat(-100, missing, 0o2000000, 0),
      errno(),
      c.close(-1),
      errno(),
      c.umask(0o22),
      c.syscall(SYS_getpriority, 0n, 0n, 0n, 0n) > 0n,
    ];
  };
  const first = round();
  deepEqual(first.slice(0, 4), [0, 2n, true, [0, 0, 0, 0]]);
  deepEqual(first.slice(6, 12), [[2, 1], -1, ENOENT, -1, EBADF, 0o22]);
  for (let turn = 0; turn < MANY; turn++) {
    const again = round();
    if (String(again) !== String(first)) deepEqual(again, first, `turn ${turn}`);
  }
  equal(c.umask(mask), 0o22);
});
