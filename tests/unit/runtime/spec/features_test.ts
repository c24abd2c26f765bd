import { deepEqual, ok } from "node:assert/strict";
import { features } from "../../../../runtime/features.ts";
import { schema } from "./_schema.ts";

Deno.test("features() makes a document that the OCI schema takes", () => {
  const validate = schema("features-schema.json");
  const document = features({ "org.example.version": "1" });
  // As it is written: what is undefined is not there.
  const written = JSON.parse(JSON.stringify(document));
  ok(validate(written), JSON.stringify(validate.errors));
  deepEqual(written, document);
});
