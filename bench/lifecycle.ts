import { Program } from "./child.ts";
import { ociCommand } from "./peers.ts";
import { ratioTarget, type Section, type Target, timeCells } from "./report.ts";
import { runtimeFile } from "./runtime_file.ts";
import { Workspace } from "./workspace.ts";

/** How many creates run at once, and how often; all these containers are there when they are listed. */
const CROWD = { size: 100, rounds: 10 } as const;
/** With fewer turns than this, which only show that the bench works, there is no crowd to speak of. */
const FEW = 20;
const COMMANDS = ["create", "state", "start", "delete"] as const;
type Command = (typeof COMMANDS)[number];

/** A runtime that is measured, with what each command took in each turn. */
interface Contender {
  readonly name: string;
  readonly words: readonly string[];
  readonly times: Record<Command | "sum" | "crowd" | "list", number[]>;
}

/** Times the commands of a container's life as whole processes, ours and the peers', in turns. */
export async function lifecycle({ runs }: { readonly runs: number }): Promise<Section> {
  await using workspace = new Workspace();
  const bundle = workspace.bundle.path;
  const notes = [
    "Each turn makes one container of each runtime; its program is /bin/true. stdio is /dev/null.",
  ];
  const all = [contender("bin/runtime", [await runtimeFile(), "--root", `${workspace.state}/ours`])];
  for (const name of ["runc", "crun"] as const) {
    const peer = await workspace.peer(name);
    if (typeof peer === "string") notes.push(`No ${name}: ${peer}.`);
    else {
      notes.push(`${name}: ${peer.version}.`);
      all.push(contender(name, ociCommand(peer, workspace.state, { cgroups: name === "runc" })));
    }
  }
  for (let turn = 0; turn <= runs; turn++) {
    for (const each of all) {
      const took = await life(each, workspace.id(), bundle);
      if (turn === 0) continue; // warms the caches
      for (const command of COMMANDS) each.times[command].push(took[command]);
      each.times.sum.push(took.create + took.start + took.delete);
    }
  }
  const crowd = runs < FEW ? { size: 2, rounds: 2 } : CROWD;
  await crowds(all.filter(({ name }) => name !== "crun"), workspace, crowd);
  const rows = all.flatMap(({ name, times }) =>
    Object.entries(times).filter(([, values]) => values.length > 0).map(([command, values]) => {
      return [`${name} ${titleOf(command, crowd)}`, ...timeCells(values)];
    })
  );
  const [ours] = all;
  const runc = all.find(({ name }) => name === "runc");
  const targets: Target[] = [];
  for (const command of ["sum", "state", "crowd", "list"] as const) {
    if (!runc) break;
    const what = `${titleOf(command, crowd)}: bin/runtime, runc`;
    targets.push(ratioTarget(what, ours!.times[command], runc.times[command], 1));
  }
  const head = ["command", "median ms", "p95 ms", "least ms"];
  return { title: `Life of a container, ${runs} turns`, tables: [{ head, rows }], targets, notes };
}

function contender(name: string, words: readonly string[]): Contender {
  return {
    name,
    words,
    times: { create: [], state: [], start: [], delete: [], sum: [], crowd: [], list: [] },
  };
}

function titleOf(
  command: string,
  { size, rounds }: { readonly size: number; readonly rounds: number },
): string {
  if (command === "sum") return "create + start + delete";
  if (command === "crowd") return `${size} times create at once`;
  return command === "list" ? `list of ${size * rounds}` : command;
}

/** One container from its begin to its end, in milliseconds of each command. */
async function life(
  { words }: Contender,
  id: string,
  bundle: string,
): Promise<Record<Command, number>> {
  const create = timed([...words, "create", "--bundle", bundle, id]);
  const state = timed([...words, "state", id]);
  const start = timed([...words, "start", id]);
  await until(words, id, "stopped");
  return { create, state, start, delete: timed([...words, "delete", id]) };
}

/** Many creates at once, each runtime in turn; then all that is there is listed and removed. */
async function crowds(
  all: readonly Contender[],
  workspace: Workspace,
  { size, rounds }: { readonly size: number; readonly rounds: number },
): Promise<void> {
  const made = new Map(all.map((each) => [each, [] as string[]]));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const each of all) {
        const ids = Array.from({ length: size }, () => workspace.id());
        made.get(each)!.push(...ids);
        const begin = performance.now();
        await Promise.all(
          ids.map((id) => run([...each.words, "create", "--bundle", workspace.bundle.path, id])),
        );
        each.times.crowd.push(performance.now() - begin);
      }
    }
    for (let turn = 0; turn < rounds; turn++) {
      for (const { words, times } of all) times.list.push(timed([...words, "list"]));
    }
  } finally {
    for (const [{ words }, ids] of made) {
      for (const id of ids) await run([...words, "delete", "--force", id]).catch(() => {});
    }
  }
}

function timed(words: readonly string[]): number {
  using program = new Program(words, Deno.env.toObject());
  const { status, wallMs } = program.run();
  if (status !== 0) throw new Error(`Cannot measure "${words.join(" ")}": it ended with status ${status}`);
  return wallMs;
}

async function run([program = "", ...args]: readonly string[]): Promise<void> {
  const stdio = { stdin: "null", stdout: "null", stderr: "null" } as const;
  const { code } = await new Deno.Command(program, { args, ...stdio }).spawn().status;
  if (code !== 0) throw new Error(`"${args.join(" ")}" ended with ${code}`);
}

async function until([program = "", ...words]: readonly string[], id: string, status: string): Promise<void> {
  for (const end = performance.now() + 10_000;;) {
    const { stdout } = await new Deno.Command(program, { args: [...words, "state", id] }).output();
    if (JSON.parse(new TextDecoder().decode(stdout)).status === status) return;
    if (performance.now() > end) throw new Error(`Container ${id} did not become ${status}`);
  }
}
