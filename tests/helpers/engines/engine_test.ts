import { naming } from "../skip.ts";
import { configuration } from "./configuration.ts";
import { writeImage } from "./image.ts";
import { PrivateMachine } from "./private_machine.ts";
import { runtime, RUNTIMES } from "./runtimes.ts";

/** Where the configuration that docs/engines.md shows has the runtime. */
export const RUNTIME_PATH = "/usr/local/bin/runtime";

/** What an engine needs of the machine that it is tested on. */
export interface Engine {
  /** Its section in docs/engines.md. */
  readonly section: string;
  /** What the test calls it. @default its section */
  readonly name?: string;
  /** Programs that have to be there, by path; each with the Debian package that has it. */
  readonly programs: Readonly<Record<string, string>>;
  /** Names of the cgroups that it, or the runtime for it, makes below the root of a hierarchy. */
  readonly cgroups: RegExp;
}

/** One step of a test, named. */
export type Step = (name: string, body: () => Promise<void>) => Promise<void>;

/** What the body of an engine's test gets. */
export interface Bench {
  readonly machine: PrivateMachine;
  /** The archive of {@linkcode IMAGE}. */
  readonly image: string;
  /** The archive of its files. */
  readonly layer: string;
  readonly runtime: "runc" | "ai-sandbox";
  readonly step: Step;
}

/** Registers a test of an engine for each runtime, on a machine of its own with the configuration of docs/engines.md. */
export function engineTest(engine: Engine, body: (bench: Bench) => Promise<void>): void {
  const reason = missing(engine);
  const title = engine.name ?? engine.section;
  if (reason !== undefined) console.log(`SKIP tests of ${title}: ${reason}`);
  for (const name of RUNTIMES) {
    Deno.test({
      name: `${title} runs containers with ${name}`,
      ignore: reason !== undefined,
      fn: (test) =>
        naming(test, () =>
          onMachine(engine, name, async (machine) => {
            const step: Step = async (name, body) => void await test.step(name, body);
            await body({ machine, ...await writeImage(machine.shared), runtime: name, step });
          })),
    });
  }
}

async function onMachine(
  engine: Engine,
  name: "runc" | "ai-sandbox",
  body: (machine: PrivateMachine) => Promise<void>,
): Promise<void> {
  const { path } = await runtime(name);
  await using machine = await PrivateMachine.start(configuration(engine.section), engine.cgroups);
  await machine.output(["install", path, RUNTIME_PATH]); // runc since 1.3 does not start where it is a mount
  await body(machine);
}

function missing({ programs }: Engine): string | undefined {
  if (Deno.uid() !== 0) return "needs root";
  for (const [path, debian] of Object.entries({ "/usr/bin/busybox": "busybox-static", ...programs })) {
    try {
      Deno.statSync(path);
    } catch {
      return `needs ${path} (${debian})`;
    }
  }
  return undefined;
}
