import { build } from "../../tools/build.ts";
import { ROOT } from "./cli.ts";

/** Runs `body` with a built command, which keeps images and steps between commands; a checkout keeps none. */
export async function withRuntime(
  body: (program: readonly string[]) => Promise<void>,
  { codeCache = true }: { readonly codeCache?: boolean } = {},
): Promise<void> {
  const output = Deno.makeTempFileSync({ prefix: "runtime-" });
  try {
    await build({ entry: `${ROOT}/cli/main.ts`, output, codeCache });
    await body([output]);
  } finally {
    Deno.removeSync(output);
  }
}
