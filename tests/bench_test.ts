import { deepEqual, equal, match, ok } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { settle } from "../bench/crowd.ts";
import { markdown, ratioTarget } from "../bench/report.ts";
import { quantile, ratio } from "../bench/stats.ts";
import { giveNamespacesBack, networkNamespaces } from "../bench/usage.ts";
import { missing } from "../bench/workspace.ts";
import { eventually } from "./helpers/eventually.ts";
import { skip } from "./helpers/skip.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));

interface Output {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function bench(args: readonly string[]): Promise<Output> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "bench/run.ts", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** The rows of all tables: their cells, by the first that is not a single letter. */
function rows(text: string): Map<string, string[]> {
  const lines = text.split("\n").filter((line) => line.startsWith("| "));
  return new Map(lines.map((line) => {
    const cells = line.split("|").slice(1, -1).map((cell) => cell.trim());
    if (/^[a-z]?$/.test(cells[0]!)) cells.shift();
    return [cells[0]!, cells.slice(1)];
  }));
}

/** Fails unless the table has such a row and all its numbers are above 0. */
function measured(text: string, name: string): void {
  const cells = rows(text).get(name)?.filter((cell) => cell !== "");
  equal(cells !== undefined && cells.length > 0 && cells.every((cell) => Number(cell) > 0), true, name);
}

/** As {@linkcode measured}; a peer that this machine does not have is named instead, and skipped. */
function peerMeasured(text: string, peer: string, name: string, t: Deno.TestContext): void {
  const reason = new RegExp(`^- (No .*${peer}.*)$`, "m").exec(text)?.[1];
  if (reason === undefined) measured(text, name);
  else skip(reason, t);
}

Deno.test("quantile() interpolates between neighbours", () => {
  deepEqual([0, 0.5, 0.95, 1].map((part) => quantile([4, 1, 2, 3], part)), [1, 2.5, 3.8499999999999996, 4]);
});

Deno.test("ratio() pairs the values of a turn", () => {
  deepEqual(ratio([1, 2, 30], [2, 4, 10]), { ofMedians: 0.5, paired: 0.5 });
});

Deno.test("markdown() marks a target that is missed", () => {
  const targets = [ratioTarget("a", [1], [2], 0.5), ratioTarget("b", [2], [2], 0.5)];
  const text = markdown({ title: "T", tables: [], targets, notes: [] });
  match(text, /^\| met +\| a .*0\.50×/m);
  match(text, /^\| MISSED +\| b .*1\.00×/m);
});

Deno.test("bench --help names every bench", async () => {
  const { code, out } = await bench(["--help"]);
  equal(code, 0);
  for (
    const name of [
      "start",
      "library",
      "snapshot",
      "memory",
      "seccomp",
      "syscalls",
      "density",
      "most",
      "--format",
      "--runs",
    ]
  ) {
    match(out, new RegExp(name));
  }
});

for (const [args, says] of [[["else"], /no bench "else"/], [["--runs", "0"], /above 0/]] as const) {
  Deno.test(`bench refuses ${args.join(" ")}`, async () => {
    const { code, err } = await bench(args);
    equal(code, 1);
    match(err, says);
  });
}

for (
  const [name, ours, peers] of [
    ["start", ["compiled image, overlay", "bin/runtime run, overlay, as run before", "deno run empty.js"], [
      ["bubblewrap|bwrap", "bwrap --unshare-all"],
      ["crun", "crun run, cgroups disabled"],
      ["runc", "runc run"],
    ]],
    ["library", ["Sandbox.run, wait, dispose: overlay", "plan", "reaped"], [
      ["runc", "runc run, whole process"],
    ]],
    ["lifecycle", ["bin/runtime create + start + delete", "bin/runtime list of 4"], [
      ["runc", "runc create + start + delete"],
    ]],
    ["snapshot", [
      "cold start to first output",
      "restore to first output, warm library",
      "taken from a Pool, to first output",
      "pause of a checkpoint",
    ], [
      ["runc", "runc restore --detach, whole process"],
    ]],
    ["memory", ["init, overlay", "its guard"], [
      ["crun", "init of crun create"],
      ["runc", "init of runc create"],
    ]],
    ["seccomp", ["libseccomp, one", "ours, all architectures", "no filter", "libseccomp"], []],
    ["syscalls", ["a profile of runc's size", "policy default", "policy strict"], []],
    ["density", ["64", "guard", "ours"], [
      ["crun", "crun run --detach"],
      ["runc", "runc run --detach"],
    ]],
  ] as const
) {
  Deno.test(`bench ${name} measures ours and its peers, and writes what it prints`, async (t) => {
    const reason = missing();
    if (reason !== undefined) return skip(reason, t);
    const output = await Deno.makeTempFile();
    try {
      const { code, out, err } = await bench([name, "--runs", "2", "--output", output]);
      equal(code, 0, err);
      match(out, /^- kernel: \d+\./m);
      match(out, /^\| (met|MISSED) /m);
      equal(out.startsWith(await Deno.readTextFile(output)), true);
      for (const row of ours) measured(out, row);
      for (const [peer, row] of peers) peerMeasured(out, peer, row, t);
    } finally {
      await Deno.remove(output);
    }
  });
}

Deno.test("settle() waits as long as namespaces get fewer, and tells how many are too many", async () => {
  const counted = (counts: number[], giveBack: boolean): Promise<number> => {
    const count = (): number => counts.length > 1 ? counts.shift()! : counts[0]!;
    return settle(10, 100, { count, giveBack: () => giveBack, stepMs: 5, quietMs: 60 });
  };
  equal(await counted([900, 700, 500, 300, 160], true), 0);
  equal(await counted([900, 700, 500, 300, 161], true), 1);
  equal(await counted([900, 220], false), 0);
  const slow = [900, ...Array.from({ length: 40 }, (_, index) => 800 - 16 * index), 100];
  equal(await counted(slow, true), 0, "slowly is not never");
});

Deno.test("network namespaces that have ended are given back, also by a kernel that waits for the next one", async () => {
  if (!giveNamespacesBack()) return skip("needs root, and a kernel that can be told to give back");
  const before = networkNamespaces();
  // All at once, so that no next one follows.
  const end = 'for i in $(seq 300); do unshare --net sleep 60 & all="$all $!"; done; kill $all; wait; exit 0';
  equal((await new Deno.Command("sh", { args: ["-c", end] }).output()).success, true);
  const most = before + 100;
  const left = await eventually(
    () => giveNamespacesBack() ? networkNamespaces() : Infinity,
    (count) => count < most,
  );
  ok(left < most, `${left} where ${before} were`);
});
