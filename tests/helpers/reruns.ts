import { rerunFile } from "../../runtime/rerun.ts";
import { withRuntime } from "./built.ts";
import { cli, type Said, start, until } from "./cli.ts";
import type { Part, TestBundle } from "./launch_bundle.ts";
import { launchTest } from "./launch_leaks.ts";

/** Steps are kept of files that have lain still for a moment. */
export const SETTLED_MS = 150;

/** What one bundle's runs share. */
export class Runs implements Disposable {
  constructor(readonly bundle: TestBundle, readonly program: readonly string[]) {}

  /** The file with the steps of running the bundle once more. */
  get file(): string {
    return `/run/ai-sandbox/runs/${rerunFile(BigInt(Deno.statSync(this.bundle.path).ino!))}`;
  }

  run(stdin = ""): Promise<Said> {
    return cli(["run", this.bundle.path], { program: this.program, stdin });
  }

  /** Begins a run whose program says `ready`. */
  async ready(): Promise<Deno.ChildProcess> {
    const child = start(["run", this.bundle.path], { program: this.program });
    await until(child.stdout, "ready\n");
    return child;
  }

  /** Lets the bundle run a script, and runs that once, with Deno. */
  async first(script: string, part: Part = {}): Promise<Said> {
    this.bundle.write(script, part);
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    return await this.run();
  }

  [Symbol.dispose](): void {
    try {
      Deno.removeSync(this.file);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** A test of a built command that runs one bundle again and again; it must leave nothing behind. */
export function rerunTest(name: string, body: (runs: Runs) => Promise<void>): void {
  launchTest(name, async (bundle) => {
    await withRuntime(async (program) => {
      using runs = new Runs(bundle, program);
      await body(runs);
    });
  });
}
