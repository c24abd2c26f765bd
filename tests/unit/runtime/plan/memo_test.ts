import { deepEqual, equal, notEqual } from "node:assert/strict";
import { Memo } from "../../../../runtime/plan/memo.ts";
import { mountOptions } from "../../../../runtime/plan/mount_options.ts";

Deno.test("Memo.take() makes a part once for the same words, and never for other ones", () => {
  const memo = new Memo<string[]>();
  const make = (): string[] => ["part"];
  const part = memo.take(["a", "b"], make);
  equal(memo.take(["a", "b"], make), part);
  for (const words of [["a\0b"], ["a", "b", undefined], [["a"], "b"], ["b", "a"], ['a","b']]) {
    notEqual(memo.take(words, make), part, JSON.stringify(words));
  }
});

Deno.test("Memo.take() keeps neither all parts nor long ones", () => {
  const memo = new Memo<object>();
  const first = memo.take([0], () => ({}));
  for (let word = 1; word < 250; word++) memo.take([word], () => ({}));
  notEqual(memo.take([0], () => ({})), first);
  const long = ["x".repeat(3000)];
  notEqual(memo.take(long, () => ({})), memo.take(long, () => ({})));
});

Deno.test("mountOptions() reads the same words of the same type once, and keeps types apart", () => {
  const options = ["nosuid", "ro"];
  equal(mountOptions(options, "tmpfs"), mountOptions([...options], "tmpfs"));
  deepEqual([mountOptions(options, "bind").bind, mountOptions(options, "tmpfs").bind], [true, false]);
  deepEqual(mountOptions(["nosuid,ro"]).data, [{ key: "nosuid,ro" }]);
});
