import { deepEqual, throws } from "node:assert/strict";
import { parseResources } from "../../../../runtime/spec/resources.ts";

Deno.test("parseResources() reads limits, null as nothing, and leaves out what it does not know", () => {
  const text =
    '{ "cpu": null, "blockIO": { "blkioWeight": 0 }, "memory": { "limit": 9223372036854771712 }, "x": 1 }';
  deepEqual(parseResources(text, "-"), { blockIO: {}, memory: { limit: 9223372036854771712n } });
});

for (
  const [text, message] of [
    ["{", /as JSON/],
    ['{ "cpu": { "idle": 2 } }', /\/cpu\/idle: .*0 or 1/],
    ['{ "memory": { "limit": "5" } }', /\/memory\/limit/],
    ['{ "memory": { "limit": 5, "swap": 4 } }', /\/memory\/swap/],
    ["[]", /an object is needed/],
  ] as const
) {
  Deno.test(`parseResources() refuses ${text}`, () => {
    throws(() => parseResources(text, "new.json"), (error: Error) => {
      return error.name === "SpecError" && error.message.includes('"new.json"') &&
        message.test(error.message);
    });
  });
}
