import { deepEqual, equal } from "node:assert/strict";
import type { Spec } from "../../runtime/spec/config.ts";
import { withRuntime } from "./built.ts";
import { containerTest } from "./container_test.ts";
import { type Answer, BOX, Containers } from "./containers.ts";
import { SETTLED_MS } from "./reruns.ts";

/** Programs that are run in one container after another, by a built command, which keeps the steps for that. */
export class Execs {
  constructor(readonly containers: Containers) {}

  /** The file with the steps. */
  get file(): string {
    return `${this.containers.root}/${BOX}/execs`;
  }

  /** Begins the container, in which nothing was run yet. */
  async begin(part: Partial<Spec> = {}): Promise<void> {
    this.containers.write(["/bin/sleep", "300"], part);
    await this.containers.output("run", "--detach", BOX);
    await settle();
  }

  /** Runs a program, and tells whether that took Deno: which keeps the steps anew. */
  async run(...words: readonly string[]): Promise<Answer & { readonly light: boolean }> {
    const before = this.#version();
    const answer = await this.containers.run("exec", BOX, ...words);
    return { ...answer, light: before !== undefined && this.#version() === before };
  }

  /** Lets the container be run in by Deno, and so without it from then on. */
  async first(): Promise<void> {
    deepEqual(await this.run("true"), { code: 0, stdout: "", stderr: "", light: false });
    equal(this.#version() === undefined, false, "no steps are kept");
  }

  #version(): number | undefined {
    try {
      return Deno.statSync(this.file).ino ?? undefined;
    } catch {
      return undefined;
    }
  }
}

/** Waits until files that were changed just now can be told from what they are later. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
}

/** A test of programs that are run in a container without Deno. */
export function execsTest(name: string, body: (execs: Execs) => Promise<void>): void {
  containerTest(name, () =>
    withRuntime(async (program) => {
      await using containers = new Containers(program);
      await body(new Execs(containers));
      await containers.run("delete", "--force", BOX);
    }, { codeCache: false }));
}
