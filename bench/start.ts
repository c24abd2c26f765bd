import { Program, type Run } from "./child.ts";
import { type Contender, contenders } from "./contenders.ts";
import { ratioTarget, type Section, type Target, timeCells } from "./report.ts";
import { median, ratio } from "./stats.ts";
import { Workspace } from "./workspace.ts";

/** a ≤ limit × b, by their letters. */
const TARGETS = [
  ["a", "c", 0.65],
  ["a", "d", 0.25],
  ["a", "k", 0.25],
  ["g", "e", 1.0],
  ["f", "e", 1.0],
  ["j", "i", 1.15],
] as const;

/** Times whole processes that run /bin/true in a sandbox, ours and the peers', in turns. */
export async function start({ runs }: { readonly runs: number }): Promise<Section> {
  await using workspace = new Workspace();
  const notes = ["Each turn runs every command line once, in an order of its own, with /dev/null as stdio."];
  const all: Contender[] = [];
  for (const contender of await contenders(workspace, notes)) {
    const failure = await failureOf(contender, workspace.id());
    if (failure === undefined) all.push(contender);
    else if (contender.optional) notes.push(`No ${contender.key}: ${failure}.`);
    else throw new Error(failure);
  }
  const times = new Map(all.map(({ key }) => [key, [] as Run[]]));
  for (const contender of all) timed(contender, workspace.id()); // warms the caches
  for (let turn = 0; turn < runs; turn++) {
    for (const contender of shuffled(all)) {
      times.get(contender.key)!.push(timed(contender, workspace.id()));
    }
  }
  const wall = (key: string): number[] => times.get(key)?.map(({ wallMs }) => wallMs) ?? [];
  const rows = all.map(({ key, name }) => {
    const own = wall(key);
    const against = ["c", "d", "e"].map((peer) => wall(peer).length > 0 ? ratio(own, wall(peer)) : undefined);
    const cpu = median(times.get(key)!.map(({ cpuMs }) => cpuMs)).toFixed(2);
    return [key, name, ...timeCells(own), cpu, ...against.map((one) => one ? one.ofMedians.toFixed(2) : "")];
  });
  const head = ["", "command", "median ms", "p95 ms", "least ms", "CPU ms", "÷ c", "÷ d", "÷ e"];
  const targets: Target[] = [];
  for (const [a, b, limit] of TARGETS) {
    const named = (key: string): string => all.find((one) => one.key === key)?.name ?? "";
    if (!named(a) || !named(b)) continue;
    targets.push(ratioTarget(`${a} ÷ ${b}: ${named(a)}, ${named(b)}`, wall(a), wall(b), limit));
  }
  return { title: `Start of whole processes, ${runs} turns`, tables: [{ head, rows }], targets, notes };
}

/** Runs it once, untimed, to know that it works, or why not. */
async function failureOf({ name, args }: Contender, id: string): Promise<string | undefined> {
  const [program = "", ...rest] = args(id);
  const { code, stderr } = await new Deno.Command(program, { args: rest, stdin: "null" }).output();
  if (code === 0) return undefined;
  return `"${name}" ends with ${code}: ${new TextDecoder().decode(stderr).trim()}`;
}

function timed({ name, args }: Contender, id: string): Run {
  using program = new Program(args(id), Deno.env.toObject());
  const run = program.run();
  if (run.status !== 0) throw new Error(`Cannot measure ${name}: a run ended with status ${run.status}`);
  return run;
}

/** The order of a turn: a fixed one would let each pay for what the one before it left the kernel to clean up. */
function shuffled<T>(values: readonly T[]): T[] {
  return values.map((value) => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value);
}
