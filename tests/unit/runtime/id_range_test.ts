import { deepEqual, throws } from "node:assert/strict";
import { idWindow } from "../../../runtime/id_range.ts";

const WHOLE = { first: 0x24000000, count: 19456 };

for (
  const [what, map, window] of [
    ["the first user namespace", "         0          0 4294967295\n", WHOLE],
    ["a namespace with all ids of an engine", "0 100000 1000\n1000 200000 2000000000\n", WHOLE],
    ["a container of 200,000 ids", "0 100000 200000\n", { first: 65536, count: 2 }],
    ["a container whose ids begin elsewhere", "0 1000 1\n70000 100000 200000\n", { first: 131072, count: 2 }],
  ] as const
) {
  Deno.test(`idWindow() finds room in ${what}`, () => deepEqual(idWindow(map), window));
}

for (const map of ["0 1000 1\n", "0 1000 1\n1 100000 65536\n"]) {
  Deno.test(`idWindow() says that there is no room in ${JSON.stringify(map)}`, () => {
    throws(() => idWindow(map), /has no 65536 ids to spare; give .* or use --policy permissive/);
  });
}
