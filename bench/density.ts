import { census, lasting } from "../tests/helpers/census.ts";
import { Crowd, settle } from "./crowd.ts";
import { PeerCrowd } from "./peer_crowd.ts";
import { ms, type Section, type Table } from "./report.ts";
import { median, ratio } from "./stats.ts";
import {
  children,
  type MachineMemory,
  machineMemory,
  networkNamespaces,
  type Usage,
  usage,
} from "./usage.ts";
import { Workspace } from "./workspace.ts";

const LIMIT_MS = 5_000;
const SLEEP = ["/bin/sleep", "1000000"];
/** How many are on their way at a time: more than one for each core, since each waits for the other half of its time. */
const CONCURRENCIES = [16, 1, 4, 64];
const WARM_UPS = 2;
/** How long what is on its way out may take before it counts as left. */
const LEFT_WAIT_MS = 10_000;
const PEER_MOST = 100;
const PEER_ROUNDS = 3;

interface Lap {
  readonly concurrency: number;
  readonly runningMs: number;
  readonly goneMs: number;
}

/** Measures sandboxes of one process that live at the same time, each with a network of its own. */
export async function density({ runs }: { readonly runs: number }): Promise<Section> {
  await using workspace = new Workspace();
  const bundle = workspace.bundleOf(SLEEP);
  {
    await using warm = new Crowd();
    await warm.fill(bundle, { count: WARM_UPS, concurrency: CONCURRENCIES[0]! });
  }
  openSignalSockets();
  const before = census([]);
  const namespaces = networkNamespaces();
  const laps: Lap[] = [];
  let memory: Table | undefined;
  for (const concurrency of CONCURRENCIES) {
    const used = machineMemory();
    const ownKib = Deno.memoryUsage().rss / 1024;
    await using crowd = new Crowd();
    const begin = performance.now();
    const reason = await crowd.fill(bundle, { count: runs, concurrency });
    const runningMs = performance.now() - begin;
    if (reason !== undefined) throw new Error(`Cannot measure ${runs} sandboxes: ${reason}`);
    memory ??= memoryTable(crowd, used, (Deno.memoryUsage().rss / 1024 - ownKib) / runs);
    const end = performance.now();
    await crowd[Symbol.asyncDispose]();
    laps.push({ concurrency, runningMs, goneMs: performance.now() - end });
    const many = await settle(namespaces, runs);
    const left = await lasting(before, LEFT_WAIT_MS);
    if (many > 0) left.push(`${many} network namespaces`);
    if (left.length > 0) throw new Error(`${runs} sandboxes leave behind: ${left.join(", ")}`);
  }
  const notes = [
    "Each has a network namespace and an overlay, and sleeps.",
    "After each line of the first table nothing was left: no process, mount, cgroup, namespace or descriptor.",
  ];
  const peers = await comparison(workspace, Math.min(runs, PEER_MOST), notes);
  const best = laps.reduce((a, b) => a.runningMs < b.runningMs ? a : b);
  return {
    title: `${runs} sandboxes that live at the same time`,
    tables: [
      {
        head: ["at a time", "ms to all running", "each", "ms to all gone"],
        rows: laps.toSorted((a, b) => a.concurrency - b.concurrency).map((lap) => [
          String(lap.concurrency),
          ms(lap.runningMs),
          ms(lap.runningMs / runs),
          ms(lap.goneMs),
        ]),
      },
      memory!,
      peers,
    ],
    targets: [{
      what: `${runs} sandboxes running, ${best.concurrency} at a time`,
      measured: best.runningMs,
      limit: LIMIT_MS,
      unit: "ms",
      aside: `one after the other ${ms(laps.find(({ concurrency }) => concurrency === 1)!.runningMs)} ms`,
    }],
    notes,
  };
}

/** Deno opens two sockets for signals, at some moment, and keeps them: now. */
function openSignalSockets(): void {
  const ignore = (): void => {};
  Deno.addSignalListener("SIGHUP", ignore);
  Deno.removeSignalListener("SIGHUP", ignore);
}

/** What each of the crowd takes: its processes, this process for it, and the kernel. */
function memoryTable({ sandboxes }: Crowd, before: MachineMemory, ownKib: number): Table {
  const used = difference(before, machineMemory());
  const inits = new Set(sandboxes.map(({ pid }) => pid));
  const guards = children().filter((pid) => !inits.has(pid));
  const each = (value: number): string => (value / sandboxes.length).toFixed(1);
  const row = (name: string, usages: Usage[]): string[] => {
    const cell = (key: keyof Usage): string => median(usages.map((one) => one[key])).toFixed(1);
    return [name, cell("uss"), cell("pss"), cell("pageTables"), "", "", ""];
  };
  return {
    head: ["KiB of each", "unique", "PSS", "page tables", "objects", "stacks", "per CPU"],
    rows: [
      row("program (busybox)", [...inits].map(usage)),
      row("guard", guards.map(usage)),
      ["this process", ownKib.toFixed(1), "", "", "", "", ""],
      [
        `the machine: ${each(sum(used))}`,
        each(used.pages),
        "",
        ...[used.pageTables, used.objects, used.kernelStacks, used.perCpu].map(each),
      ],
    ],
  };
}

function difference(a: MachineMemory, b: MachineMemory): MachineMemory {
  const keys = Object.keys(a) as (keyof MachineMemory)[];
  return Object.fromEntries(keys.map((key) => [key, b[key] - a[key]])) as unknown as MachineMemory;
}

function sum(memory: MachineMemory): number {
  return Object.values(memory).reduce((a: number, b: number) => a + b, 0);
}

/** Ours and the peers' in turns: how long it takes until all run. */
async function comparison(workspace: Workspace, count: number, notes: string[]): Promise<Table> {
  const bundle = workspace.bundleOf(SLEEP);
  const contenders = new Map<string, () => Promise<AsyncDisposable>>();
  contenders.set("ours", async () => {
    const crowd = new Crowd();
    const reason = await crowd.fill(bundle, { count, concurrency: CONCURRENCIES[0]! });
    if (reason === undefined) return crowd;
    await crowd[Symbol.asyncDispose]();
    throw new Error(`Cannot measure ${count} sandboxes: ${reason}`);
  });
  for (const name of ["crun", "runc"] as const) {
    const peer = await workspace.peer(name);
    if (typeof peer === "string") notes.push(`No ${name}: ${peer}.`);
    else {
      const crowd = new PeerCrowd(peer, workspace);
      contenders.set(crowd.name, () => crowd.fill(bundle.path, count));
    }
  }
  const times = new Map([...contenders.keys()].map((name) => [name, [] as number[]]));
  for (let round = 0; round < PEER_ROUNDS; round++) {
    for (const [name, fill] of contenders) {
      const namespaces = networkNamespaces();
      const begin = performance.now();
      {
        await using _crowd = await fill();
        times.get(name)!.push(performance.now() - begin);
      }
      await settle(namespaces, count);
    }
  }
  const ours = times.get("ours")!;
  return {
    head: [`${count} of each, ${PEER_ROUNDS} turns`, "median ms to all running", "ours ÷ it"],
    rows: [...times].map(([name, own]) => [name, ms(median(own)), ratio(ours, own).ofMedians.toFixed(2)]),
  };
}
