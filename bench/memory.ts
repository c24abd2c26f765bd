import { join } from "@std/path";
import { Sandbox } from "../mod.ts";
import { ociCommand, type Peer } from "./peers.ts";
import type { Section, Target } from "./report.ts";
import { median } from "./stats.ts";
import { children, type Usage, usage } from "./usage.ts";
import { Workspace } from "./workspace.ts";

const INIT_LIMIT_KIB = 64;

/** Measures the processes of sandboxes and containers that are created and not started. */
export async function memory({ runs }: { readonly runs: number }): Promise<Section> {
  await using workspace = new Workspace();
  const all: { name: string; usages: Usage[] }[] = [
    { name: "init, overlay", usages: [] },
    { name: "its guard", usages: [] },
  ];
  const peers: { peer: Peer; usages: Usage[] }[] = [];
  const notes = ["KiB, medians; one sandbox at a time, none of them started."];
  for (const name of ["crun", "runc"] as const) {
    const peer = await workspace.peer(name);
    if (typeof peer === "string") notes.push(`No ${name}: ${peer}.`);
    else {
      const usages: Usage[] = [];
      peers.push({ peer, usages });
      all.push({ name: `init of ${name} create`, usages });
      notes.push(`${peer.version}.`);
    }
  }
  const [init, guard] = [all[0]!.usages, all[1]!.usages];
  for (let run = 0; run < runs; run++) {
    await ours(workspace, init, guard);
    for (const { peer, usages } of peers) usages.push(await theirs(peer, workspace));
  }
  const rows = all.map(({ name, usages }) => [
    name,
    ...[usages.map(({ pss }) => pss), usages.map(({ pageTables }) => pageTables), usages.map(sum)]
      .map((values) => median(values).toFixed(0)),
    median(usages.map(({ rss }) => rss)).toFixed(0),
  ]);
  const targets: Target[] = [{
    what: "init's PSS and page tables",
    measured: median(init.map(sum)),
    limit: INIT_LIMIT_KIB,
    unit: "KiB",
    aside: `with its guard ${(median(init.map(sum)) + median(guard.map(sum))).toFixed(0)} KiB`,
  }];
  return {
    title: `Memory before the start, ${runs} of each`,
    tables: [{ head: ["process", "PSS", "page tables", "both", "RSS"], rows }],
    targets,
    notes,
  };
}

function sum({ pss, pageTables }: Usage): number {
  return pss + pageTables;
}

async function ours({ bundle }: Workspace, init: Usage[], guard: Usage[]): Promise<void> {
  const before = new Set(children());
  await using sandbox = await Sandbox.create({ bundle, stdin: "null", stdout: "null", stderr: "null" });
  const found = children().filter((pid) => !before.has(pid) && pid !== sandbox.pid);
  if (found.length !== 1) throw new Error(`Cannot tell the guard: ${found.length} processes might be it`);
  init.push(usage(sandbox.pid));
  guard.push(usage(found[0]!));
}

async function theirs(peer: Peer, workspace: Workspace): Promise<Usage> {
  const [program = "", ...common] = ociCommand(peer, workspace.state, { cgroups: false });
  const [id, pidFile] = [workspace.id(), join(workspace.path, "pid")];
  // With a pipe as its output, which init would keep open, we would wait for the end of the container.
  const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
  const oci = async (...args: string[]): Promise<void> => {
    const { success } = await new Deno.Command(program, { args: [...common, ...args], ...quiet }).output();
    if (!success) throw new Error(`Cannot measure ${peer.name}: "${args.join(" ")}" fails`);
  };
  await oci("create", "--bundle", workspace.bundle.path, "--pid-file", pidFile, id);
  const found = usage(Number(Deno.readTextFileSync(pidFile)));
  await oci("delete", "--force", id);
  return found;
}
