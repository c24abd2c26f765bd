import { deepEqual, equal } from "node:assert/strict";
import type { Spec } from "../../runtime/spec/config.ts";
import { withRuntime } from "./built.ts";
import { reapOrphans } from "./census.ts";
import { containerTest } from "./container_test.ts";
import { type Answer, BOX, Containers } from "./containers.ts";
import { SETTLED_MS } from "./reruns.ts";

/** Programs that are run in one container after another, by a built command, which keeps the steps for that. */
export class Execs {
  constructor(readonly containers: Containers) {}

  /** The file with the steps. */
  get file(): string {
    return `${this.containers.root}/${this.containers.id}/execs`;
  }

  /** Begins the container, in which nothing was run yet. */
  async begin(part: Partial<Spec> = {}): Promise<void> {
    this.containers.write(["/bin/sleep", "300"], part);
    await this.containers.output("run", "--detach", this.containers.id);
    await settle();
  }

  /** Runs a program, and tells whether that took Deno: which keeps the steps anew. */
  async run(...words: readonly string[]): Promise<Answer & { readonly light: boolean }> {
    const before = versionOf(this.file);
    const answer = await this.containers.run("exec", this.containers.id, ...words);
    return { ...answer, light: before !== undefined && versionOf(this.file) === before };
  }

  /** Runs a whole command line behind `exec`, and tells whether that went without Deno: it loads no library then. */
  async line(...words: readonly string[]): Promise<Answer & { readonly light: boolean }> {
    const { path } = this.containers.bundle;
    const loads = (): string[] => {
      return [...Deno.readDirSync(path)].map(({ name }) => name).filter((name) => name.startsWith(LOADED));
    };
    for (const name of loads()) Deno.removeSync(`${path}/${name}`);
    const answer = await this.containers.run("exec", ...words);
    return { ...answer, light: loads().length === 0 };
  }

  /** Lets the container be run in by Deno, and so without it from then on. */
  async first(): Promise<void> {
    deepEqual(await this.run("true"), { code: 0, stdout: "", stderr: "", light: false });
    equal(versionOf(this.file) === undefined, false, "no steps are kept");
  }
}

/** What ld.so writes for each process that it loads libraries for. */
const LOADED = "loaded.";

function versionOf(file: string): number | undefined {
  try {
    return Deno.statSync(file).ino ?? undefined;
  } catch {
    return undefined;
  }
}

/** Waits until files that were changed just now can be told from what they are later. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
}

/** A test of command lines of `exec` with flags. */
export function linesTest(name: string, body: (execs: Execs) => Promise<void>): void {
  containerTest(name, () =>
    withRuntime(async (program) => {
      await using containers = new Containers([]);
      const output = `LD_DEBUG_OUTPUT=${containers.bundle.path}/${LOADED.slice(0, -1)}`;
      containers.program = ["env", "LD_DEBUG=files", output, ...program];
      await body(new Execs(containers));
      reapOrphans();
      await containers.run("delete", "--force", BOX);
    }));
}

/** A test of programs that are run in a container without Deno. */
export function execsTest(name: string, body: (execs: Execs) => Promise<void>): void {
  containerTest(name, () =>
    withRuntime(async (program) => {
      await using containers = new Containers(program);
      await body(new Execs(containers));
      reapOrphans();
      await containers.run("delete", "--force", BOX);
    }));
}
