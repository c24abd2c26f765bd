import { hasCompiler } from "../helpers/c_program.ts";
import { leavesNothing } from "../helpers/census.ts";
import { output } from "../helpers/sandboxes.ts";
import { naming, skip } from "../helpers/skip.ts";
import { buildProbe, World } from "./world.ts";

/** Why no attack can be tried on this machine; nothing if one can. */
export const reason: string | undefined = Deno.uid() !== 0
  ? "needs root"
  : hasCompiler
  ? undefined
  : "needs gcc (./setup --test)";
let built: string | undefined;

/** The probe program, compiled once a test run. */
function probe(): string {
  if (built === undefined) {
    const directory = Deno.makeTempDirSync({ prefix: "attacks-" });
    addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
    buildProbe(`${directory}/probe`);
    built = `${directory}/probe`;
  }
  return built;
}

/** A test with targets of its own that must leave nothing behind. */
export function attackTest(name: string, body: (world: World) => Promise<void>): void {
  Deno.test(name, (test) =>
    naming(test, async () => {
      if (reason !== undefined) return skip(reason);
      // What is opened once and kept, such as the reactor, exists after the first sandbox.
      for (const terminal of [false, true]) await output(["true"], terminal);
      await leavesNothing([], async () => {
        using world = new World(probe());
        await body(world);
      });
    }));
}
