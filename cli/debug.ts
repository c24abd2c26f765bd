import type { Global } from "./main.ts";
import { trace } from "./report.ts";

/** Where the steps of a start are told, if that was asked for. */
export function stepsOf(global: Global): { onStep?: (step: string) => void } {
  return global.debug ? { onStep: (step) => trace(step, global) } : {};
}

/** The commands that start a process in a sandbox. */
const BUILDING = new Set(["create", "exec", "run"]);

/** Runs a command and says when it begins and when all is done that it does. */
export async function traced(name: string, global: Global, command: () => Promise<number>): Promise<number> {
  if (!BUILDING.has(name)) return await command();
  trace(`${name}: the launcher will be a sealed memory file; "runtime plan" lists its steps`, global);
  const code = await command();
  trace(`${name}: ended with ${code}`, global);
  return code;
}
