import { Sandbox, type SandboxOptions } from "../mod.ts";
import { attest } from "../runtime/attest/attest.ts";
import { expect } from "../runtime/attest/expect.ts";
import { parseIdMap } from "../runtime/attest/parse.ts";
import { prepare } from "../runtime/prepare.ts";
import { type Section, type Target, timeCells } from "./report.ts";
import { median } from "./stats.ts";
import { Workspace } from "./workspace.ts";

const WARM_UPS = 50;
const LIMIT_MS = 1;
const REPORTED: readonly string[] = [
  "host name",
  "domain name",
  "kernel parameter",
  "limit of the user namespace",
];

/** Times how long a warm process looks at a sandbox that waits at its start gate. */
export async function attestation({ runs }: { readonly runs: number }): Promise<Section> {
  await using workspace = new Workspace();
  const { bundle } = workspace;
  const kinds: readonly { name: string; options: SandboxOptions }[] = [
    { name: "a bundle", options: { bundle } },
    { name: "… under policy default", options: { bundle, policy: "default" } },
    { name: "a program, under policy default", options: { command: ["/bin/true"] } },
  ];
  const rows: string[][] = [];
  const targets: Target[] = [];
  for (const { name, options } of kinds) {
    const { facts, mounts, times } = await look({ ...options, attest: true }, runs);
    rows.push([name, ...timeCells(times), `${facts}`, `${mounts}`]);
    targets.push({
      what: `attestation of ${name.replace("… ", "a bundle ")}`,
      measured: median(times),
      limit: LIMIT_MS,
      unit: "ms",
    });
  }
  const head = ["attestation of", "median ms", "p95 ms", "least ms", "facts", "mounts"];
  return { title: `Attestation, ${runs} of each kind`, tables: [{ head, rows }], targets, notes: [] };
}

async function look(
  options: SandboxOptions,
  runs: number,
): Promise<{ facts: number; mounts: number; times: number[] }> {
  const { facts: all, mounts } = expect(prepare(options));
  // What init reports itself has come when somebody looks.
  const facts = all.filter(({ fact }) => !REPORTED.includes(fact));
  const expected = { facts, ...(mounts && { mounts }) };
  const times: number[] = [];
  for (let run = -WARM_UPS; run < runs; run++) {
    await using sandbox = await Sandbox.create({ ...options, stdout: "null", stderr: "null" });
    const firstId = parseIdMap(Deno.readTextFileSync(`/proc/${sandbox.pid}/uid_map`))[0]!.outside;
    const begin = performance.now();
    attest(sandbox.id, sandbox.pid, { expected, firstId });
    if (run >= 0) times.push(performance.now() - begin);
  }
  return { facts: facts.length, mounts: mounts!.length, times };
}
