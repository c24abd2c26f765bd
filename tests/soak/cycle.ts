import { Sandbox, type SandboxOptions } from "../../mod.ts";
import { reactor } from "../../runtime/launch/reactor.ts";
import type { Fixture, Kind } from "./fixture.ts";

/** How a cycle is brought to its end. All but the first are meant to interrupt something. */
export const FATES = ["ends", "kill", "timeout", "dispose", "never started", "struck"] as const;
/** One of {@linkcode FATES}. */
export type Fate = typeof FATES[number];

/** A random moment: a sandbox takes about this long from nothing to its program. */
const MOMENT_MS = 5;

/**
 * Makes, runs and deletes one sandbox.
 *
 * @throws {Error} if it does not end as it was to.
 */
export async function cycle(fixture: Fixture, kind: Kind, fate: Fate, random: () => number): Promise<void> {
  const moment = random() * MOMENT_MS;
  if (fate === "struck") return await struck(fixture, kind, moment, random);
  if (kind === "standalone") return await box(fixture, fate, moment);
  const options = { ...fixture.options(kind, fate !== "ends"), id: fixture.id() };
  if (fate === "ends") await whole(options, fixture.word);
  else if (fate === "kill") await killed(options, moment);
  else if (fate === "timeout") await late({ ...options, timeoutMs: 0.5 + moment });
  else if (fate === "dispose") {
    await using _sandbox = await Sandbox.run(options);
  } else if (fate === "never started") {
    await using _sandbox = await Sandbox.create(options);
  } else fate satisfies never;
}

async function whole(options: SandboxOptions, word: string): Promise<void> {
  await using sandbox = await Sandbox.run(options);
  if (sandbox.stdin) {
    const writer = sandbox.stdin.getWriter();
    await writer.write(new TextEncoder().encode(word));
    await writer.close();
  }
  const stream = sandbox.terminal?.readable ?? sandbox.stdout!;
  const said = new Response(stream).text();
  const { exitCode } = await sandbox.wait();
  expect(exitCode === 0, `exit code ${exitCode} and not 0`);
  const text = await said;
  expect(text.trim() === word, `output ${JSON.stringify(text)} and not ${word}`);
}

async function killed(options: SandboxOptions, moment: number): Promise<void> {
  await using sandbox = await Sandbox.run(options);
  await after(moment);
  sandbox.kill();
  const { exit } = await sandbox.wait();
  expect(exit.kind === "signal" && exit.signal === "SIGKILL", `the end ${JSON.stringify(exit)}`);
}

async function late(options: SandboxOptions): Promise<void> {
  await using sandbox = await Sandbox.run(options);
  const { timedOut } = await sandbox.wait();
  expect(timedOut, "an end before its time");
}

/** The standalone image, whose launcher is killed where a supervised one would be. */
async function box(fixture: Fixture, fate: Fate, moment: number): Promise<void> {
  const io = { stdin: "null", stdout: "piped", stderr: "null" } as const;
  const long = fate !== "ends";
  await using child = new Deno.Command(fixture.box(long), io).spawn();
  const said = new Response(child.stdout).text();
  if (long) {
    await after(moment);
    child.kill("SIGKILL");
  }
  const { code, signal } = await child.status;
  // Its end of the pipe is closed when the last process of the sandbox is gone.
  const text = await said;
  if (long) expect(signal === "SIGKILL", `the end ${code} of a killed launcher`);
  else expect(code === 0 && text.trim() === fixture.word, `exit code ${code} and output "${text}"`);
}

/** Runs a whole one, while a child of this process is killed: whichever it is, whatever it is doing. */
async function struck(fixture: Fixture, kind: Kind, moment: number, random: () => number): Promise<void> {
  const running = cycle(fixture, kind, "ends", random);
  running.catch(() => {});
  await after(moment);
  const pids = children();
  if (pids.length > 0) {
    try {
      Deno.kill(pids[Math.floor(random() * pids.length)]!, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  await running;
}

/** Children of this process: launchers, guards, inits, programs. */
export function children(): number[] {
  const lists = [...Deno.readDirSync("/proc/self/task")].map(({ name }) => {
    try {
      return Deno.readTextFileSync(`/proc/self/task/${name}/children`);
    } catch {
      return ""; // that thread has ended
    }
  });
  return lists.join(" ").split(" ").map(Number).filter((pid) => pid > 0);
}

function after(timeoutMs: number): Promise<void> {
  return new Promise((resolve) => void reactor.after(timeoutMs, resolve));
}

function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(`Found ${otherwise}`);
}
