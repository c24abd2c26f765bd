import { equal, match } from "node:assert/strict";
import { LaunchError } from "../../runtime/launch/launch_error.ts";
import type { Part, RunOptions, TestBundle } from "./launch_bundle.ts";

/** A directory of the host beside the rootfs that no sandbox may reach. */
export class Outside {
  readonly path: string;
  readonly marker: string;
  readonly #before: string;

  constructor(bundle: TestBundle) {
    this.path = `${bundle.path}/outside`;
    this.marker = `${this.path}/marker`;
    for (const name of ["", "/dir", "/dev", "/proc", "/sys"]) Deno.mkdirSync(this.path + name);
    Deno.writeTextFileSync(this.marker, "untouched");
    this.#before = this.#listing();
  }

  /** Fails if anything in the directory has changed, down to the times. */
  check(): void {
    equal(this.#listing(), this.#before);
    equal(Deno.readTextFileSync(this.marker), "untouched");
  }

  #listing(): string {
    const args = [this.path, "-printf", "%P %y %m %U %G %s %T@ %C@ %l\n"];
    return new TextDecoder().decode(new Deno.Command("find", { args }).outputSync().stdout);
  }
}

/**
 * Runs a sandbox in a hostile rootfs: either it is refused with an error of one line, or it is built.
 *
 * @returns What the sandbox printed, or the error.
 */
export async function attempt(
  bundle: TestBundle,
  outside: Outside,
  command: string | readonly string[],
  part: Part,
  options?: RunOptions,
): Promise<string | LaunchError> {
  try {
    return (await bundle.run(command, part, options)).stdout;
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    match(error.message, /^Cannot [^\n]+ \(step \d+ of \d+, \w+\): E[A-Z0-9]+(; [^\n]+)?$/);
    return error;
  } finally {
    outside.check();
  }
}
