import { deepEqual, equal } from "node:assert/strict";
import { subordinateIds, userName } from "../../../../runtime/host/subordinate_ids.ts";

for (
  const [what, text, ids] of [
    ["a range by name", "ann:100000:65536\n", { first: 100000, count: 65536 }],
    ["a range by number", "1000:200000:5\n", { first: 200000, count: 5 }],
    ["the largest of several", "ann:100000:5\nbob:1:9\nann:300000:70000\nann:500000:6", {
      first: 300000,
      count: 70000,
    }],
    ["none of others", "bob:100000:65536\nanna:1:2\n", undefined],
    [
      "none in lines that are none",
      "ann\nann:1\nann:a:5\nann:1:5:6\nann:-1:5\nann:99999999999:1\n#ann:5:5\n",
      undefined,
    ],
    ["none with root's own id", "ann:0:65536\n", undefined],
    ["none that ends beyond the last id", "ann:4294967290:65536\nann:5:0\n", undefined],
  ] as const
) {
  Deno.test(`subordinateIds() finds ${what}`, () => deepEqual(subordinateIds(text, 1000, "ann"), ids));
}

Deno.test("userName() finds the name of an id, and no other", () => {
  const text = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
  equal(userName(text, 1000), "ann");
  equal(userName(text, 100), undefined);
});
