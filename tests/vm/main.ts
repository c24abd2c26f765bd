/**
 * Runs the tests of `tests/v2/` in a guest: `deno task test:v2 [--fetch] [paths]`. With `--fetch` it only gets ready,
 * so that a later run needs no network. The last line is `N passed, N failed[, N skipped]`.
 */
import { count, summary } from "../helpers/run_junit.ts";
import { guestTests, missing, parts } from "./suite.ts";

async function write(bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await Deno.stdout.write(bytes.subarray(done));
}

if (Deno.args.includes("--fetch")) {
  const lacking = await missing();
  if (lacking !== undefined) console.error(`Cannot make a guest: ${lacking}`);
  else await parts();
  Deno.exit(lacking === undefined ? 0 : 1);
}
const found = await guestTests(Deno.args, write, Deno.env.get("AI_SANDBOX_TEST_RUNTIME"));
const failed = found.filter(({ outcome }) => outcome === "failed");
if (failed.length > 0) console.log("\nFailed:\n" + failed.map(({ name }) => `  ${name}`).join("\n"));
console.log("\n" + summary(count(found)));
Deno.exit(failed.length > 0 ? 1 : 0);
