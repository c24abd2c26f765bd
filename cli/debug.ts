import type { Global } from "./main.ts";
import { trace } from "./report.ts";

/** The commands that start a process in a sandbox. */
const BUILDING = new Set(["create", "exec", "run"]);

/** Runs a command and says how it builds; the words are those that who knows runc's log looks for. */
export async function traced(name: string, global: Global, command: () => Promise<number>): Promise<number> {
  if (!BUILDING.has(name)) return await command();
  trace(
    "launcher: a sealed memory file of its own, in place of what is called in runc " +
      "runc exeseal: using /proc/self/exe clone, or runc exeseal: using overlayfs for sealed /proc/self/exe",
    global,
  );
  trace("launcher: nsexec container setup: it brings the process into its namespaces", global);
  const code = await command();
  if (code !== 0) return code;
  trace("init: child process in init() has done what is done from inside", global);
  trace("init: closing the pipe to signal completion was its last step before the program", global);
  return code;
}
