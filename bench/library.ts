import { fromFileUrl } from "@std/path";
import { type PolicyName, Sandbox, type SandboxOptions } from "../mod.ts";
import { Program } from "./child.ts";
import { ociCommand } from "./peers.ts";
import { imagesInARow, type Phases, phases } from "./phases.ts";
import { ms, ratioTarget, type Section, type Target, timeCells } from "./report.ts";
import { median, quantile } from "./stats.ts";
import { Workspace } from "./workspace.ts";

const PHASES = fromFileUrl(new URL("phases.ts", import.meta.url));
/** One run of runc, which takes long, comes with this many sandboxes of each kind. */
const PER_PEER = 4;
const WARM_UPS = 10;
const COLD_RUNS = 5;

const PLAN_LIMIT_MS = 0.3;
const RUNC_LIMIT = 0.12;
const POLICY_LIMIT_MS = 0.5;

/** Times sandboxes that run /bin/true, made one after the other by one warm process. */
export async function library({ runs }: { readonly runs: number }): Promise<Section> {
  await using workspace = new Workspace();
  const { bundle, hostNetwork } = workspace;
  // What attestation takes has a bench of its own.
  const policed = (policy: PolicyName): SandboxOptions => ({ bundle, policy, attest: false });
  const kinds: readonly { name: string; options: SandboxOptions; times: number[] }[] = [
    { name: "Sandbox.run, wait, dispose: overlay", options: { bundle }, times: [] },
    { name: "… in the host's network", options: { bundle: hostNetwork }, times: [] },
    { name: "… by the bundle's path", options: { bundle: bundle.path }, times: [] },
    { name: "… under policy default", options: policed("default"), times: [] },
    { name: "… under policy strict", options: policed("strict"), times: [] },
  ];
  const runc = await workspace.peer("runc");
  const [runcTimes, steps]: [number[], Phases[]] = [[], []];
  for (let run = -Math.min(WARM_UPS, runs); run < runs; run++) {
    const counts = run >= 0;
    for (const kind of kinds) {
      const took = await once(kind.options);
      if (counts) kind.times.push(took);
    }
    const found = await phases(bundle.path);
    if (counts) steps.push(found);
    if (typeof runc !== "string" && counts && run % PER_PEER === 0) {
      const args = [
        ...ociCommand(runc, workspace.state, { cgroups: true }),
        "run",
        "--bundle",
        bundle.path,
        workspace.id(),
      ];
      using program = new Program(args, Deno.env.toObject());
      const { wallMs, status } = program.run();
      if (status !== 0) throw new Error(`Cannot measure runc: it ended with status ${status}`);
      runcTimes.push(wallMs);
    }
  }
  const cold = await coldPhases(bundle.path, Math.min(COLD_RUNS, runs));

  const rows = kinds.map(({ name, times }) => [name, ...timeCells(times)]);
  if (runcTimes.length > 0) rows.push(["runc run, whole process", ...timeCells(runcTimes)]);
  const images = steps.map((one) => one.plan + one.assemble);
  const targets: Target[] = [];
  if (runcTimes.length > 0) {
    for (const { name, times } of kinds.slice(0, 2)) {
      const among = times.filter((_, run) => run % PER_PEER === 0);
      targets.push(ratioTarget(`${name} ÷ runc`, among, runcTimes, RUNC_LIMIT));
    }
  }
  const plain = median(kinds[0]!.times);
  for (const { name, times } of kinds.slice(3)) {
    const added = { measured: median(times) - plain, limit: POLICY_LIMIT_MS, unit: "ms" } as const;
    targets.push({ what: `${name.slice(2)} adds`, ...added });
  }
  targets.push({
    what: "plan and assemble, warm, in a row",
    measured: median(imagesInARow(bundle.path, runs * 5)),
    limit: PLAN_LIMIT_MS,
    unit: "ms",
    aside: `between sandboxes ${ms(median(images))}, cold ${
      ms(median(cold.map((one) => one.plan + one.assemble)))
    } ms`,
  });
  return {
    title: `Sandboxes of one warm process, ${runs} of each kind`,
    tables: [
      { head: ["what", "median ms", "p95 ms", "least ms"], rows },
      {
        head: ["phase, overlay", "warm median ms", "warm p95 ms", "cold median ms"],
        rows: phaseRows(steps, cold),
      },
    ],
    targets,
    notes: [
      typeof runc === "string"
        ? `No comparison: ${runc}.`
        : `One ${runc.version} for ${PER_PEER} of each kind.`,
      `Cold is the first sandbox of a new process, ${cold.length} times.`,
    ],
  };
}

/** From the call to a sandbox that is gone. */
async function once(options: SandboxOptions): Promise<number> {
  const begin = performance.now();
  {
    await using sandbox = await Sandbox.run({ ...options, stdin: "null", stdout: "null", stderr: "null" });
    const { exitCode } = await sandbox.wait();
    if (exitCode !== 0) throw new Error(`Cannot measure the library: exit code ${exitCode}`);
  }
  return performance.now() - begin;
}

async function coldPhases(path: string, runs: number): Promise<Phases[]> {
  const all: Phases[] = [];
  for (let run = 0; run < runs; run++) {
    const args = ["run", "-A", PHASES, path];
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
    const decoder = new TextDecoder();
    if (!success) throw new Error(`Cannot measure a first sandbox: ${decoder.decode(stderr).trim()}`);
    all.push(JSON.parse(decoder.decode(stdout)));
  }
  return all;
}

function phaseRows(warm: readonly Phases[], cold: readonly Phases[]): string[][] {
  const names = Object.keys(warm[0]!) as (keyof Phases)[];
  return names.map((name) => {
    const [values, first] = [warm, cold].map((list) => list.map((one) => one[name])) as [number[], number[]];
    return [name, ms(median(values)), ms(quantile(values, 0.95)), ms(median(first))];
  });
}
