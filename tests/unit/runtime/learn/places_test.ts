import { equal } from "node:assert/strict";
import { absolute, find, interpreter, isThere } from "../../../../runtime/learn/places.ts";
import { Temporary } from "../../../helpers/cli.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

for (
  const [what, head, wanted] of [
    ["a script", bytes("#!/bin/sh -e\necho"), "/bin/sh"],
    ["a script with a space", bytes("#! /usr/bin/env python3\n"), "/usr/bin/env"],
    ["a script without an interpreter", bytes("#!\n"), undefined],
    ["text", bytes("echo hello\n"), undefined],
    ["nothing", bytes(""), undefined],
    ["half a header", bytes("\x7fELF\x02\x01"), undefined],
    [
      "a header whose table lies elsewhere",
      Uint8Array.from({ length: 64 }, (_, at) => [0x7f, 0x45, 0x4c, 0x46, 2][at] ?? 0xff),
      undefined,
    ],
  ] as const
) {
  Deno.test(`interpreter() of ${what}`, () => equal(interpreter(head), wanted));
}

Deno.test("interpreter() of a real program is its loader", () => {
  const head = Deno.readFileSync("/bin/sh").subarray(0, 4096);
  equal(/^\/lib.*\/ld-linux/.test(interpreter(head) ?? ""), true);
});

Deno.test("find() follows links, and absolute() begins at a directory", () => {
  using here = new Temporary();
  const file = here.file("file", "x");
  Deno.symlinkSync("file", `${here.path}/link`);
  Deno.symlinkSync("nowhere", `${here.path}/dangling`);
  equal(find(Deno.pid, `${here.path}/link`)?.path, file);
  equal(find(Deno.pid, here.path)?.path, `${here.path}/`);
  equal(find(Deno.pid, `${here.path}/missing`), undefined);
  equal(find(Deno.pid, `${file}/below`), undefined);
  equal(isThere(Deno.pid, `${here.path}/dangling`), true);
  equal(isThere(Deno.pid, `${here.path}/missing`), false);
  equal(find(Deno.pid, "/proc/self/status")?.path, "/proc/");
  equal(absolute(Deno.pid, "x"), `${Deno.cwd()}/x`);
  equal(absolute(Deno.pid, "x", 1_000_000), undefined);
});
