import { fromFileUrl } from "@std/path";
import { type Result, results } from "../helpers/run_results.ts";
import { boot, QEMU } from "./boot.ts";
import { command } from "./command.ts";
import { type Kernel, kernel } from "./kernel.ts";
import { payload } from "./payload.ts";
import { rootImage } from "./root.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url)).replace(/\/$/, "");
/** The tests that need what this machine may not have; they know that they run in a guest. */
const TESTS = "tests/v2";
/** Where the guest has the command line that was built. */
const RUNTIME = "/opt/ai-sandbox-test/runtime";
const TIMEOUT_MS = 15 * 60_000;

/** Whether an argument names tests that run in the guest. */
export function inGuest(argument: string): boolean {
  return argument.replace(`${ROOT}/`, "").replace(/^\.\//, "").startsWith(TESTS);
}

/**
 * Runs tests in one guest, all that there are if no paths are named, and passes on what they print.
 *
 * @param runtime The command line as it was built; without it, it is started from sources.
 */
export async function guestTests(
  paths: readonly string[],
  write: (bytes: Uint8Array) => Promise<void>,
  runtime?: string,
): Promise<Result[]> {
  const name = `${TESTS}, in a guest with cgroup v2`;
  const print = (line: string): Promise<void> => write(new TextEncoder().encode(`${line}\n`));
  const lacking = await missing();
  if (lacking !== undefined) {
    await print(`SKIP ${name}: ${lacking}`);
    return [{ name, outcome: "skipped" }];
  }
  try {
    const { base, root, denoDirectory } = await parts();
    let output = "";
    const decoder = new TextDecoder();
    const said = await boot({
      kernel: base,
      root,
      payload: payload(ROOT, denoDirectory, runtime ? { [RUNTIME]: runtime } : {}),
      script: script(denoDirectory, paths.length > 0 ? paths : [TESTS], runtime !== undefined),
      timeoutMs: TIMEOUT_MS,
    }, async (bytes) => {
      output += decoder.decode(bytes, { stream: true });
      await write(bytes);
    });
    await print(`The guest took ${(said.ms / 1000).toFixed(0)} s.`);
    if (said.problem !== undefined) {
      await print(said.problem);
      return [{ name: `${name}: ${said.problem.split(";")[0]}`, outcome: "failed" }];
    }
    const how = `in the guest ended with status ${said.status}`;
    return results({ root: ROOT, xml: said.report, skips: said.skips, output, code: said.status, how });
  } catch (error) {
    await print(`${name}: ${error instanceof Error ? error.stack : error}`);
    return [{ name: `${name}: ${error instanceof Error ? error.message : error}`, outcome: "failed" }];
  }
}

/** What every guest is made of: found in the cache, or fetched and made now. */
export async function parts(): Promise<{ base: Kernel; root: string; denoDirectory: string }> {
  const cache = cacheDirectory();
  Deno.mkdirSync(cache, { recursive: true });
  const base = await kernel(cache);
  const info = JSON.parse(new TextDecoder().decode(await command(Deno.execPath(), ["info", "--json"])));
  return { base, root: await rootImage(cache, base), denoDirectory: info.denoDir };
}

/** Why there can be no guest here; nothing if there can. */
export async function missing(): Promise<string | undefined> {
  if (Deno.build.arch !== "x86_64") return "the guest is an x86-64 machine, and this is none";
  if (Deno.uid() !== 0) return "needs root, whose files the guest has";
  for (const program of [QEMU, "apt-get", "busybox", "setpriv", "mke2fs", "xz"]) {
    const found = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" })
      .output();
    if (!found.success) return `needs ${program}, which ./setup --test installs on Debian`;
  }
  return undefined;
}

/** A directory outside of the checkout: what lies there outlives it. */
function cacheDirectory(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  return `${base}/ai-sandbox/vm`;
}

function script(denoDirectory: string, tests: readonly string[], isBuilt: boolean): string {
  const quoted = tests.map((each) => `'${each.replaceAll("'", `'\\''`)}'`).join(" ");
  return `cd '${ROOT}' || exit
export DENO_DIR='${denoDirectory}' AI_SANDBOX_SKIPS=/run/guest/skips AI_SANDBOX_GUEST=1${
    isBuilt ? ` AI_SANDBOX_TEST_RUNTIME=${RUNTIME}` : ""
  }
exec deno test --allow-all --no-check --cached-only --junit-path=/run/guest/report.xml ${quoted}
`;
}
