import { Sandbox } from "../../mod.ts";
import { leavesNothing } from "./census.ts";

let warm = false;

/** A test of the library that must leave no process, mount, descriptor, cgroup behind. */
export function sandboxTest(name: string, body: () => Promise<void>): void {
  Deno.test(name, async () => {
    // What is opened once and kept, such as the reactor, exists after the first sandbox.
    if (!warm) { for (const terminal of [false, true]) await output(["true"], terminal); }
    warm = true;
    await leavesNothing([], body);
  });
}

/** What a program prints that must succeed. */
export async function output(command: readonly string[], terminal = false): Promise<string> {
  await using sandbox = await Sandbox.run({ command, terminal });
  const { exitCode } = await sandbox.wait();
  const stream = terminal ? sandbox.terminal!.readable : sandbox.stdout!;
  const text = await new Response(stream).text();
  if (exitCode !== 0) throw new Error(`${command[0]} ended with ${exitCode} and printed ${text}`);
  return text;
}

/** The exception that a promise ends with. */
export async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("It succeeded, which it must not");
}
