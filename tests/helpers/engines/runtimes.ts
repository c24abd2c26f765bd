import { builtRuntime } from "../built.ts";

/** A runtime that engines run. */
export interface EngineRuntime {
  readonly name: "runc" | "ai-sandbox";
  readonly path: string;
}

/** Debian's runc first: what fails with it is the fault of the test. */
export const RUNTIMES: readonly EngineRuntime["name"][] = ["runc", "ai-sandbox"];

/** The executable of a runtime; ours is built once in a run of the tests. */
export async function runtime(name: EngineRuntime["name"]): Promise<EngineRuntime> {
  return { name, path: name === "runc" ? "/usr/sbin/runc" : await builtRuntime() };
}
