import { equal } from "node:assert/strict";
import { saysEnded } from "../../../ffi/ended.ts";

function failure(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error("It succeeded, which it must not");
}

Deno.test("saysEnded() knows a process that ends before its file is opened, or before it is read", async () => {
  const child = new Deno.Command("true", { stdin: "null", stdout: "null" }).spawn();
  using file = Deno.openSync(`/proc/${child.pid}/stat`);
  await child.status;
  equal(saysEnded(failure(() => file.readSync(new Uint8Array(100)))), true);
  equal(saysEnded(failure(() => Deno.readTextFileSync(`/proc/${child.pid}/stat`))), true);
  equal(saysEnded(failure(() => Deno.readTextFileSync("/proc/self/mem"))), false);
  equal(saysEnded(failure(() => Deno.readTextFileSync("/proc"))), false);
});
