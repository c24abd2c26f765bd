import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { SpecError } from "../../../../runtime/errors.ts";
import { parseSpec, specWarnings, validateSpec } from "../../../../runtime/spec/validate.ts";
import { everything, shared, toJson } from "./_samples.ts";

Deno.test("parseSpec() takes a spec that uses every property", () => {
  deepEqual(JSON.parse(toJson(parseSpec(toJson(everything()), "x"))), JSON.parse(toJson(everything())));
});

function pointers(text: string): string[] {
  let found: string[] = [];
  throws(() => parseSpec(text, "config.json"), (error) => {
    ok(error instanceof SpecError, String(error));
    equal(error.path, "config.json");
    found = error.issues.map(({ pointer }) => pointer);
    return true;
  });
  return found;
}

Deno.test("parseSpec() tells of shape and meaning at once", () => {
  const text =
    '{"ociVersion":"9.0.0","root":{"path":5},"process":{"cwd":"a","args":["a"],"oomScoreAdj":"b"}}';
  deepEqual(pointers(text), ["/root/path", "/process/oomScoreAdj", "/ociVersion", "/process/cwd"]);
});

Deno.test("parseSpec() leaves out rules whose places are misshapen", () => {
  // The uts namespace may be the very one that could not be read.
  const text =
    '{"ociVersion":"1.3.0","root":{"path":"a"},"hostname":"a","linux":{"namespaces":[{"type":"UTS"}]}}';
  deepEqual(pointers(text), ["/linux/namespaces/0/type"]);
});

Deno.test("parseSpec() follows the other rules", () => {
  // Pointers of one length: neither is inside the other.
  const text = '{"ociVersion":"1.3.0","root":{"path":"a"},"process":{"cwd":"a","args":["a"],"env":5}}';
  deepEqual(pointers(text), ["/process/env", "/process/cwd"]);
});

Deno.test("validateSpec() tells fifty problems at most", () => {
  const mounts = Array.from({ length: 1000 }, () => ({ destination: "" }));
  equal(validateSpec(shared({ mounts })).length, 50);
});

Deno.test("specWarnings() tells of a later version, whatever it may have added", () => {
  for (const ociVersion of ["1.0.0", "1.3.9-dev"]) deepEqual(specWarnings(shared({ ociVersion })), []);
  for (const ociVersion of ["1.4.0", "1.10.2-dev"]) {
    const message = `ignoring what version ${ociVersion} of the specification has added to 1.3`;
    deepEqual(specWarnings(shared({ ociVersion })), [{ pointer: "/ociVersion", message }]);
  }
});

Deno.test("validateSpec() keeps hostile names out of its messages", () => {
  const [issue] = specWarnings(
    shared({ process: { capabilities: { bounding: ["\x1b[2J" + "A".repeat(70_000)] } } }),
  );
  ok(issue!.message.length < 200);
  // deno-lint-ignore no-control-regex
  ok(!/[\x00-\x1f\x7f-\x9f]/.test(issue!.message), issue!.message);
});

Deno.test("parseSpec() survives holes beyond the fiftieth problem", () => {
  const mounts = Array(60).fill("{}").join();
  const text =
    `{"ociVersion":"1.3.0","root":{"path":"a"},"mounts":[${mounts}],"process":{"args":5,"cwd":5,"user":{}},"linux":{"seccomp":{"defaultAction":"x","syscalls":[{}]}}}`;
  equal(pointers(text).length, 50);
});
