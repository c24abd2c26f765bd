import { equal, match, rejects } from "node:assert/strict";
import { specOf } from "../../../../runtime/lifecycle/container.ts";
import { starterSpec } from "../../../../runtime/starter_spec.ts";
import { Store } from "../../../../runtime/state/store.ts";
import { Temporary } from "../../../helpers/cli.ts";

Deno.test("specOf() reads the config.json as it was when the container was made", async () => {
  using temporary = new Temporary();
  using entry = new Store(temporary.path).claim("box");
  entry.writeSpec({ ...starterSpec(), hostname: "kept" });
  equal((await specOf({ entry })).hostname, "kept");
});

Deno.test("specOf() refuses a config.json that is missing or that somebody changed", async () => {
  using temporary = new Temporary();
  using entry = new Store(temporary.path).claim("box");
  await rejects(specOf({ entry }), /Cannot use the record ".*config.json": it is missing/);
  Deno.writeTextFileSync(`${entry.path}/config.json`, '{"process":5}');
  const error = await specOf({ entry }).catch((each) => each);
  match(error.message, /Cannot use the record ".*\/process/);
});
