import { join } from "@std/path";
import {
  checkpointContainer,
  Container,
  type Fork,
  forkContainers,
  type ForkOptions,
  Pool,
  UnsupportedError,
} from "../mod.ts";
import { findCriu } from "../snapshots/installed.ts";
import { readFields, readImage } from "../snapshots/protobuf.ts";
import { Program } from "./child.ts";
import { ociCommand, type Peer } from "./peers.ts";
import { ms, ratioTarget, type Section, type Target, timeCells } from "./report.ts";
import { runtimeFile } from "./runtime_file.ts";
import { pythonBundle } from "./snapshot_box.ts";
import { median } from "./stats.ts";
import { Workspace } from "./workspace.ts";

const [RESTORE_MS, FORKS_MS, PAUSE_MS, UNIQUE_KIB, RUNC_RATIO, COLD_RATIO] = [
  30,
  3000,
  60,
  5 * 1024,
  0.5,
  1 / 3,
];
const FORKS = 100;
/** How long the program may take to import everything. */
const IMPORT_MS = 1500;
/** The first fork is eager, the second copies the pages that the next ones need. */
const WARM_UP = 2;
/** With fewer turns than this, which only show that the bench works, there are few forks too. */
const FEW = 10;

/** Everything that the parts of this bench have in common. */
interface Bench {
  readonly workspace: Workspace;
  readonly runtime: string;
  readonly bundle: string;
  readonly images: string;
  /** Where our containers are kept: in memory, as on most machines. */
  readonly root: string;
}

/** Times checkpoints, restores and forks of a Python that has imported much. */
export async function snapshot({ runs }: { readonly runs: number }): Promise<Section> {
  await using workspace = new Workspace();
  const criu = installed();
  const title = `Checkpoints and forks of a Python with its imports done, ${runs} turns`;
  if (typeof criu === "string") return { title, tables: [], targets: [], notes: [`No CRIU: ${criu}.`] };
  const root = `${workspace.state}/ours`;
  const bundle = pythonBundle(join(workspace.path, "python"));
  const bench: Bench = {
    workspace,
    runtime: await runtimeFile(),
    bundle,
    images: join(workspace.path, "images"),
    root,
  };
  const notes = [
    "The state of containers is in memory. stdin and stderr are /dev/null.",
    "A warm library that makes one fork after the other of the same images keeps their pages, brings memory in when it is touched, " +
    "and has CRIU loaded for the next one.",
  ];
  const paused = await checkpoints(bench, Math.min(runs, 20));
  const cold = await times(runs, () => coldStart(bench));
  const warm = await times(runs, () => firstOutput(bench), WARM_UP);
  const whole = await times(runs, () => firstOutput(bench, "eager"));
  const taken = await takenFromPool(bench, runs);
  const share = await shareOfCriu(bench, Math.min(runs, 10));
  const forks = await manyForks(bench, runs < FEW ? 3 : FORKS);
  const eager = await manyForks(bench, runs < FEW ? 3 : FORKS, "eager");
  notes.push(
    `Forks with --eager: ${ms(eager.tookMs / eager.count)} ms each, ${
      median(eager.uniqueKib).toFixed(0)
    } KiB of their own.`,
  );
  notes.push(
    `Where the time of a restore with all memory at once goes, with CRIU's log: ${
      ms(share.criu)
    } ms are CRIU's, from when it has ` +
      `heard of it until all is there and attested, ${ms(share.whole - share.criu)} its start and ours.`,
  );
  const rows = [
    ["cold start to first output", ...timeCells(cold)],
    ["restore to first output, warm library", ...timeCells(warm)],
    ["… all memory at once", ...timeCells(whole)],
    ["taken from a Pool, to first output", ...timeCells(taken)],
    ["pause of a checkpoint", ...timeCells(paused)],
  ];
  const targets: Target[] = [
    { what: "restore to first output", measured: median(warm), limit: RESTORE_MS, unit: "ms" },
    ratioTarget("restore ÷ cold start, to first output", warm, cold, COLD_RATIO),
    { what: "pause of a checkpoint", measured: median(paused), limit: PAUSE_MS, unit: "ms" },
    {
      what: `fork of ${forks.count}`,
      measured: forks.tookMs,
      limit: (FORKS_MS * forks.count) / FORKS,
      unit: "ms",
      aside: `${ms(forks.tookMs / forks.count)} ms each`,
    },
    {
      what: "unique memory of a fork",
      measured: median(forks.uniqueKib),
      limit: UNIQUE_KIB,
      unit: "KiB",
      aside: `PSS ${median(forks.pssKib).toFixed(0)} KiB`,
    },
  ];
  const runc = await workspace.peer("runc");
  if (typeof runc === "string") notes.push(`No comparison: ${runc}.`);
  else {
    const { ours, theirs, refused } = await againstRunc(bench, { runc, criu, runs });
    if (refused !== undefined) notes.push(`No runc: ${refused}.`);
    else {
      rows.push(["runtime restore --detach, whole process", ...timeCells(ours)]);
      rows.push(["runc restore --detach, whole process", ...timeCells(theirs)]);
      targets.push(ratioTarget("runtime restore ÷ runc restore, the same state", ours, theirs, RUNC_RATIO));
      notes.push(`${runc.version}, with the same CRIU and images of its own of the same program.`);
    }
  }
  return { title, tables: [{ head: ["what", "median ms", "p95 ms", "least ms"], rows }], targets, notes };
}

/** The program of CRIU, or why there is none. */
function installed(): string | { readonly program: string } {
  try {
    return findCriu();
  } catch (error) {
    if (error instanceof UnsupportedError) return error.message;
    throw error;
  }
}

/** @param warmUp How many are not counted: they warm the caches. */
async function times(runs: number, once: () => Promise<number>, warmUp = 1): Promise<number[]> {
  const found: number[] = [];
  for (let run = -warmUp; run < runs; run++) {
    const took = await once();
    if (run >= 0) found.push(took);
  }
  return found;
}

/** Starts the container as a whole process, until the program says something. */
async function coldStart({ workspace, runtime, bundle, root }: Bench): Promise<number> {
  const id = workspace.id();
  const began = performance.now();
  const child = new Deno.Command(runtime, {
    args: ["--root", root, "run", "--bundle", bundle, id],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  const took = performance.now() - began;
  child.kill("SIGKILL");
  await reader.cancel();
  await child.status;
  await Container.open(id, { root }).delete({ force: true }).catch(() => {});
  return took;
}

/** Restores a container in this process, until its program says something. */
async function firstOutput(
  { workspace, bundle, images, root }: Bench,
  pages?: ForkOptions["pages"],
): Promise<number> {
  const began = performance.now();
  const options = { bundle, root, name: workspace.id(), stdout: "piped", pages } as const;
  await using fork = made(await forkContainers({ images }, options))[0]!;
  const reader = fork.stdout!.getReader();
  await reader.read();
  const took = performance.now() - began;
  await reader.cancel();
  return took;
}

/** How long restores take, and how much of that CRIU counts as its own: medians, in ms. */
async function shareOfCriu(
  { workspace, bundle, images, root }: Bench,
  runs: number,
): Promise<{ readonly whole: number; readonly criu: number }> {
  const [whole, criu]: [number[], number[]] = [[], []];
  for (let run = 0; run < runs; run++) {
    const workPath = join(workspace.path, "work-of-forks");
    const name = workspace.id();
    const options = { bundle, root, name, workPath, stdout: "piped", pages: "eager" } as const;
    const began = performance.now();
    await using fork = made(await forkContainers({ images }, options))[0]!;
    const reader = fork.stdout!.getReader();
    await reader.read();
    whole.push(performance.now() - began);
    await reader.cancel();
    criu.push(sumOf(`${workPath}/${fork.id}/stats-restore`, 2, [4]) / 1000);
  }
  return { whole: median(whole), criu: median(criu) };
}

/** Takes a fork that is kept ready, until its program says something. */
async function takenFromPool(
  { workspace, bundle, images, root }: Bench,
  runs: number,
): Promise<number[]> {
  const options = { size: 1, bundle, root, name: workspace.id(), stdout: "piped" } as const;
  await using pool = await Pool.open({ images }, options);
  return await times(runs, async () => {
    while (pool.ready === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const began = performance.now();
    await using fork = await pool.take();
    const reader = fork.stdout!.getReader();
    await reader.read();
    const took = performance.now() - began;
    await reader.cancel();
    return took;
  });
}

function made(outcomes: Awaited<ReturnType<typeof forkContainers>>): Fork[] {
  return outcomes.map((outcome) => {
    if ("error" in outcome) throw outcome.error;
    return outcome.fork;
  });
}

/** For how long the program of each checkpoint was held, as CRIU counts it; the last one's images are kept. */
async function checkpoints(
  { workspace, runtime, bundle, images, root }: Bench,
  runs: number,
): Promise<number[]> {
  const id = workspace.id();
  // Pipes are what runc can give other ones for.
  const child = new Deno.Command(runtime, {
    args: ["--root", root, "run", "--detach", "--bundle", bundle, id],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const read = [child.stdout, child.stderr].map((stream) => stream.pipeTo(new WritableStream()));
  await child.status;
  const container = Container.open(id, { root });
  try {
    await new Promise((resolve) => setTimeout(resolve, IMPORT_MS));
    const found: number[] = [];
    for (let turn = 0; turn <= runs; turn++) {
      const imagePath = turn === runs ? images : join(workspace.path, "images-of-a-turn");
      await checkpointContainer(id, { root, imagePath, leaveRunning: true });
      if (turn > 0) found.push(frozenMs(`${imagePath}/stats-dump`));
    }
    return found;
  } finally {
    await container.delete({ force: true });
    await child.stdin.close().catch(() => {});
    await Promise.all(read);
  }
}

/** `stats_entry { dump_stats_entry dump = 1 { uint32 freezing_time = 1; uint32 frozen_time = 2; … } }` */
function frozenMs(file: string): number {
  return sumOf(file, 1, [1, 2]) / 1000;
}

/** The sum of some numbers in a part of CRIU's figures; `restore_stats_entry restore = 2 { …; uint32 restore_time = 4; }` */
function sumOf(file: string, part: number, numbers: readonly number[]): number {
  const [message] = readImage(Deno.readFileSync(file)).messages;
  const found = readFields(message!).find(({ number }) => number === part)?.value;
  if (found === undefined || typeof found === "bigint") throw new Error(`Cannot read "${file}"`);
  return readFields(found).filter(({ number }) => numbers.includes(number))
    .reduce((total, { value }) => total + Number(value), 0);
}

interface Forks {
  readonly count: number;
  readonly tookMs: number;
  readonly uniqueKib: readonly number[];
  readonly pssKib: readonly number[];
}

async function manyForks(
  { workspace, bundle, images, root }: Bench,
  count: number,
  pages?: ForkOptions["pages"],
): Promise<Forks> {
  const began = performance.now();
  const outcomes = await forkContainers({ images }, { bundle, root, count, name: workspace.id(), pages });
  const tookMs = performance.now() - began;
  const forks = made(outcomes);
  try {
    const rolled = forks.map(({ pid }) => Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`));
    const kib = (text: string, name: string): number =>
      Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(text)?.[1] ?? 0);
    return {
      count,
      tookMs,
      uniqueKib: rolled.map((text) => kib(text, "Private_Clean") + kib(text, "Private_Dirty")),
      pssKib: rolled.map((text) => kib(text, "Pss")),
    };
  } finally {
    for (const fork of forks) await fork[Symbol.asyncDispose]();
  }
}

/** Restores the same state as whole processes, in turns with runc, each from its own images. */
async function againstRunc(
  { workspace, runtime, bundle, images, root }: Bench,
  { runc, criu, runs }: {
    readonly runc: Peer;
    readonly criu: { readonly program: string };
    readonly runs: number;
  },
): Promise<{ ours: number[]; theirs: number[]; refused?: string }> {
  const commands = {
    ours: [runtime, "--root", root],
    theirs: [...ociCommand(runc, workspace.state, { cgroups: true }), "--criu", criu.program],
  };
  const id = workspace.id();
  const found = { ours: [] as number[], theirs: [] as number[] };
  const work = join(workspace.path, "work-of-restores");
  const from = { ours: images, theirs: join(workspace.path, "images-of-runc") };
  const flags = ["--detach", "--empty-ns", "network", "--bundle", bundle, "--work-path", work];
  try {
    await checkpointOf(commands.theirs, { id, bundle, images: from.theirs });
    for (let turn = -1; turn < runs; turn++) {
      for (const name of ["ours", "theirs"] as const) {
        const took = run([...commands[name], "restore", ...flags, "--image-path", from[name], id]);
        if (turn >= 0) found[name].push(took);
        run([...commands[name], "delete", "--force", id]);
      }
    }
    return found;
  } catch (error) {
    return { ...found, refused: error instanceof Error ? error.message : String(error) };
  } finally {
    for (const [command = "", ...words] of Object.values(commands)) {
      new Deno.Command(command, { args: [...words, "delete", "--force", id] }).outputSync();
    }
  }
}

/** Has another runtime start the program and checkpoint it, when all is imported. */
async function checkpointOf(
  [command = "", ...words]: readonly string[],
  { id, bundle, images }: { readonly id: string; readonly bundle: string; readonly images: string },
): Promise<void> {
  const args = [...words, "run", "--detach", "--bundle", bundle, id];
  const child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const read = [child.stdout, child.stderr].map((stream) => stream.pipeTo(new WritableStream()));
  try {
    await child.status;
    await new Promise((resolve) => setTimeout(resolve, IMPORT_MS));
    run([command, ...words, "checkpoint", "--empty-ns", "network", "--image-path", images, id]);
  } finally {
    new Deno.Command(command, { args: [...words, "delete", "--force", id] }).outputSync();
    await child.stdin.close().catch(() => {});
    await Promise.all(read);
  }
}

/** How long a command takes, in ms. */
function run(words: readonly string[]): number {
  using program = new Program(words, Deno.env.toObject());
  const { wallMs, status } = program.run();
  if (status !== 0) throw new Error(`"${words.slice(1).join(" ")}" ended with status ${status}`);
  return wallMs;
}
