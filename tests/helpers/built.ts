import { build } from "../../tools/build.ts";
import { ROOT } from "./cli.ts";

/** The command line as it is built, which keeps images and steps between commands: one file for a run of the tests. */
export async function builtRuntime(): Promise<string> {
  const given = Deno.env.get("AI_SANDBOX_TEST_RUNTIME");
  if (given) return given;
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

/** Runs `body` with a built command of its own, which keeps images and steps between commands; a checkout keeps none. */
export async function withRuntime(body: (program: readonly string[]) => Promise<void>): Promise<void> {
  const built = await builtRuntime();
  const output = Deno.makeTempFileSync({ prefix: "runtime-" });
  try {
    Deno.copyFileSync(built, output);
    Deno.chmodSync(output, 0o755);
    await body([output]);
  } finally {
    Deno.removeSync(output);
  }
}
