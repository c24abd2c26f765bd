import { deepEqual, throws } from "node:assert/strict";
import { annotated, readVariant } from "../../../../runtime/systemd/variant.ts";

for (
  const [text, variant] of [
    ["true", ["b", true]],
    ["'a b'", ["s", "a b"]],
    ['"it\'s"', ["s", "it's"]],
    ["'it\\'s'", ["s", "it's"]],
    ["5", ["i", 5]],
    ["-0x10", ["i", -16]],
    ["uint64 123456789", ["t", "123456789"]],
    ["uint64 18446744073709551615", ["t", "18446744073709551615"]],
    ["byte 7", ["y", 7]],
    ["1.5", ["d", 1.5]],
    ["['one', 'two']", ["as", ["one", "two"]]],
    ["[uint32 1, 2]", ["au", [1, 2]]],
    ["objectpath '/a'", ["o", "/a"]],
  ] as const
) {
  Deno.test(`readVariant() reads ${text}`, () => deepEqual(readVariant(text), variant));
}

for (const text of ["", "word", "'open", "[1, 'a']", "[]", "1 2", "uint64 'a'", "uint64 1.5", "{'a': 1}"]) {
  Deno.test(`readVariant() refuses ${JSON.stringify(text)}`, () => {
    throws(() => readVariant(text), { name: "UsageError" });
  });
}

Deno.test("annotated() takes properties out of annotations, seconds as microseconds", () => {
  deepEqual(
    annotated({
      "org.systemd.property.TimeoutStopSec": "uint64 3",
      "org.systemd.property.RuntimeMaxSec": "1.5",
      "org.systemd.property.TimeoutStopUSec": "uint64 9",
      "org.systemd.property.After": "['a.service']",
      other: "word",
    }),
    [
      ["TimeoutStopUSec", ["t", "3000000"]],
      ["RuntimeMaxUSec", ["t", "1500000"]],
      ["TimeoutStopUSec", ["t", "9"]],
      ["After", ["as", ["a.service"]]],
    ],
  );
  throws(() => annotated({ "org.systemd.property.a-b": "1" }), { name: "UsageError" });
});
