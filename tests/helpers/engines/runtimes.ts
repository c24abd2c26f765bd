import { build } from "../../../tools/build.ts";
import { ROOT } from "../cli.ts";

/** A runtime that engines run. */
export interface EngineRuntime {
  readonly name: "runc" | "ai-sandbox";
  readonly path: string;
}

/** Debian's runc first: what fails with it is the fault of the test. */
export const RUNTIMES: readonly EngineRuntime["name"][] = ["runc", "ai-sandbox"];

/** The executable of a runtime; ours is built once in a run of the tests. */
export async function runtime(name: EngineRuntime["name"]): Promise<EngineRuntime> {
  return { name, path: name === "runc" ? "/usr/sbin/runc" : await built() };
}

async function built(): Promise<string> {
  const id = Deno.env.get("AI_SANDBOX_TEST_RUN"); // then the directory for temporary files is the run's own
  const path = `${Deno.env.get("TMPDIR") ?? "/tmp"}/runtime-${id ?? Deno.pid}`;
  try {
    Deno.statSync(path);
  } catch {
    await build({ entry: `${ROOT}/cli/main.ts`, output: path });
    if (id === undefined) globalThis.addEventListener("unload", () => Deno.removeSync(path));
  }
  return path;
}
