/**
 * Runs the whole test suite: `deno task test [paths and options of deno test]`.
 *
 * Those of `tests/v2/` run in a guest with nothing but cgroup v2. Formatting, lint, types, documentation and its examples are checks of their own (left out when paths
 * or options narrow the run), a last one looks for what the tests left behind on the machine. The whole suite starts
 * the command line as it is built; with paths it is started from sources, unless AI_SANDBOX_TEST_RUNTIME names it. The last
 * line is `N passed, N failed[, N skipped]`; the exit status is 1 if anything failed or no test ran.
 */
import { fromFileUrl, resolve } from "@std/path";
import { count, summary } from "./helpers/run_junit.ts";
import { leftovers, look, type Machine } from "./helpers/run_leftovers.ts";
import { failures, type Result, results } from "./helpers/run_results.ts";
import { build } from "../tools/build.ts";
import { guestTests, inGuest } from "./vm/suite.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));
const LIMIT_MS = 35 * 60_000;
const LEFTOVERS_WAIT_MS = 10_000;
const CHECKS: readonly string[][] = [
  ["fmt", "--check"],
  ["lint"],
  ["check", "--quiet", "--doc"],
  ["doc", "--lint", "mod.ts"],
  ["test", "--doc", "--no-check", "-A", "mod.ts", "cli/", "ffi/", "runtime/", "tests/helpers/"],
];

const id = crypto.randomUUID().slice(0, 8);
const mark = `AI_SANDBOX_TEST_RUN=${id}`;
// Named so that a mount which a test forgets in its temporary directory is recognised.
const temporary = Deno.makeTempDirSync({ prefix: `ai-sandbox-test-${id}-` });
Deno.chmodSync(temporary, 0o1777);

const before = look(mark);
const found: Result[] = [];
const [forGuest, forHost] = [Deno.args.filter(inGuest), Deno.args.filter((one) => !inGuest(one))];
const whole = Deno.args.length === 0;
const runtime = whole ? `${temporary}/runtime` : Deno.env.get("AI_SANDBOX_TEST_RUNTIME");
if (whole) {
  for (const args of CHECKS) found.push(await check(args));
  found.push(await built());
}
if (whole || forHost.some((one) => !one.startsWith("-")) || forGuest.length === 0) {
  found.push(...await tests(forHost));
}
// Afterwards, not beside them: a guest takes all CPUs, and some of these tests measure time.
if (whole || forGuest.length > 0) found.push(...await guestTests(forGuest, write, runtime));
found.push(await nothingLeft(before));
removeTemporary();

const counts = count(found);
if (counts.failed > 0) console.log(failures(found));
console.log("\n" + summary(counts));
Deno.exit(counts.failed > 0 ? 1 : 0);

async function check(args: string[]): Promise<Result> {
  const name = `deno ${args.join(" ")}`;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1", TMPDIR: temporary, AI_SANDBOX_TEST_RUN: id },
    stdin: "null",
  }).output();
  console.log(`${name} ... ${success ? "ok" : "FAILED"}`);
  if (!success) { for (const part of [stdout, stderr]) await write(part); }
  return { name, outcome: success ? "passed" : "failed" };
}

/** Builds the command line for the tests. */
async function built(): Promise<Result> {
  const name = "deno task build";
  try {
    await build({ entry: `${ROOT}cli/main.ts`, output: runtime! });
    console.log(`${name} ... ok`);
    return { name, outcome: "passed" };
  } catch (error) {
    console.log(`${name} ... FAILED\n${error instanceof Error ? error.stack : error}`);
    return { name, outcome: "failed" };
  }
}

/** Runs `deno test`; the report counts, and what only its output shows is added. */
async function tests(args: readonly string[]): Promise<Result[]> {
  const report = resolve(temporary, "report.xml");
  const skips = resolve(temporary, "skips");
  const narrowed = args.length > 0;
  const paths = args.some((one) => !one.startsWith("-")) ? [] : ["--ignore=tests/v2", "tests/"];
  const child = new Deno.Command(Deno.execPath(), {
    // `deno check` has looked at the types of everything, so that one error there fails one check.
    args: ["test", "-A", `--junit-path=${report}`, ...(narrowed ? [] : ["--no-check"]), ...args, ...paths],
    cwd: ROOT,
    env: {
      NO_COLOR: "1",
      TMPDIR: temporary,
      AI_SANDBOX_SKIPS: skips,
      AI_SANDBOX_TEST_RUN: id,
      ...(runtime && { AI_SANDBOX_TEST_RUNTIME: runtime }),
    },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, LIMIT_MS);
  const output = await passThrough(child.stdout);
  const { code, signal } = await child.status;
  clearTimeout(timer);

  const how = late
    ? `took more than ${LIMIT_MS / 60_000} minutes`
    : `ended with ${signal ?? `status ${code}`}`;
  return results({ root: ROOT, xml: readIfThere(report), skips: readIfThere(skips), output, code, how });
}

/** Copies what `deno test` prints to our own output as it comes, and keeps it. */
async function passThrough(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    await write(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

async function write(bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await Deno.stdout.write(bytes.subarray(done));
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function nothingLeft(before: Machine): Promise<Result> {
  const name = "nothing is left behind";
  const deadline = Date.now() + LEFTOVERS_WAIT_MS;
  let left = leftovers(before, look(mark));
  while (left.length > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    left = leftovers(before, look(mark));
  }
  console.log(`${name} ... ${left.length === 0 ? "ok" : "FAILED\n" + left.join("\n")}`);
  return left.length === 0
    ? { name, outcome: "passed" }
    : { name: `${name}: ${left.join(", ")}`, outcome: "failed" };
}

/** A mount left below the directory would lead the removal into what is mounted: then it stays. */
function removeTemporary(): void {
  if (Deno.readTextFileSync("/proc/self/mountinfo").includes(temporary)) return;
  Deno.removeSync(temporary, { recursive: true });
}
