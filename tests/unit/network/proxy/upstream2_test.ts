import { deepEqual } from "node:assert/strict";
import { add, noFields } from "../../../../network/proxy/http/upstream2.ts";

Deno.test("add() keeps headers whose names every object has, and those that come twice", () => {
  const fields = noFields();
  const all = [["constructor", "one"], ["__proto__", "two"], ["x", "three"], ["x", "four"]] as const;
  for (const [name, value] of all) add(fields, name, value);
  deepEqual(Object.entries(fields), [["constructor", "one"], ["__proto__", "two"], ["x", ["three", "four"]]]);
});
