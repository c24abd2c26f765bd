/**
 * A process that makes sandboxes until it is killed: `supervisor.ts FIXTURE SEED KIND…`. It prints a line when the first is
 * over.
 */
import { cycle } from "./cycle.ts";
import { Fixture, type Kind } from "./fixture.ts";
import { pick, randomOf } from "./random.ts";

const WORKERS = 3;
const [path, seed, ...kinds] = Deno.args;

using fixture = new Fixture(path!);
const random = randomOf(Number(seed));
let said = false;
await Promise.all(Array.from({ length: WORKERS }, async () => {
  for (;;) {
    await cycle(fixture, pick(kinds as Kind[], random), pick(["ends", "kill", "dispose"], random), random);
    if (!said) console.log("ready");
    said = true;
  }
}));
