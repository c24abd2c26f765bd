import { Sandbox } from "../mod.ts";
import { Program } from "./child.ts";
import { ociCommand } from "./peers.ts";
import { ms, ratioTarget, type Section, type Target, timeCells } from "./report.ts";
import { runtimeFile } from "./runtime_file.ts";
import { median } from "./stats.ts";
import { Workspace } from "./workspace.ts";

const WARM_UPS = 10;
const LIBRARY_LIMIT_MS = 3;
const RUNC_LIMIT = 1;

/** Times one more program in a sandbox: by the library, and by whole processes in turns with runc. */
export async function exec({ runs }: { readonly runs: number }): Promise<Section> {
  await using workspace = new Workspace();
  const bundle = workspace.bundleOf(["/bin/sleep", "100000"]);
  const times: number[] = [];
  {
    await using sandbox = await Sandbox.run({ bundle, policy: "default" });
    for (let run = -WARM_UPS; run < runs; run++) {
      const took = await once(sandbox);
      if (run >= 0) times.push(took);
    }
  }
  const rows = [["Sandbox.exec, wait, dispose: policy default", ...timeCells(times)]];
  const targets: Target[] = [{
    what: "Sandbox.exec",
    measured: median(times),
    limit: LIBRARY_LIMIT_MS,
    unit: "ms",
  }];
  const notes: string[] = [];
  const [ours, runc] = [await runtimeFile(), await workspace.peer("runc")];
  if (typeof runc === "string") notes.push(`No comparison: ${runc}.`);
  else {
    const commands = {
      "runtime exec": [ours, "--root", `${workspace.state}/ours`],
      "runc exec": ociCommand(runc, workspace.state, { cgroups: true }),
    };
    const id = workspace.id();
    const walls: Record<string, number[]> = {};
    const first: Record<string, number> = {};
    try {
      for (const command of Object.values(commands)) {
        run(command, "run", "--detach", "--bundle", bundle.path, id);
      }
      for (let turn = -1; turn < runs; turn++) {
        for (const [name, command] of Object.entries(commands)) {
          const took = run(command, "exec", id, "/bin/true");
          if (turn >= 0) (walls[name] ??= []).push(took);
          else first[name] = took;
        }
      }
    } finally {
      for (const command of Object.values(commands)) run(command, "delete", "--force", id);
    }
    for (const [name, wall] of Object.entries(walls)) {
      rows.push([`${name}, whole process`, ...timeCells(wall)]);
    }
    targets.push(
      ratioTarget("runtime exec ÷ runc exec", walls["runtime exec"]!, walls["runc exec"]!, RUNC_LIMIT),
    );
    notes.push(`${runc.version}; in turns, ${ms(median(walls["runc exec"]!))} ms.`);
    notes.push(
      `The first in a container is not counted, which keeps the steps of the next: ${
        ms(first["runtime exec"]!)
      } ms, runc ${ms(first["runc exec"]!)} ms.`,
    );
  }
  return {
    title: `One more program in a sandbox, ${runs} times`,
    tables: [{ head: ["what", "median ms", "p95 ms", "least ms"], rows }],
    targets,
    notes,
  };
}

async function once(sandbox: Sandbox): Promise<number> {
  const begin = performance.now();
  {
    await using program = await sandbox.exec(["/bin/true"], { stdout: "null", stderr: "null" });
    const { exitCode } = await program.wait();
    if (exitCode !== 0) throw new Error(`Cannot measure exec: exit code ${exitCode}`);
  }
  return performance.now() - begin;
}

/** How long a command takes, in ms. */
function run(command: readonly string[], ...args: readonly string[]): number {
  using program = new Program([...command, ...args], Deno.env.toObject());
  const { wallMs, status } = program.run();
  if (status !== 0) throw new Error(`Cannot measure exec: ${args[0]} ended with status ${status}`);
  return wallMs;
}
