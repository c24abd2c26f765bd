import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { AuditLog } from "../../../../network/audit/log.ts";
import { followAudit } from "../../../../network/audit/follow.ts";
import { readAudit, verifyAudit } from "../../../../network/audit/read.ts";
import type { AuditEntry, AuditRecord } from "../../../../network/audit/record.ts";
import { ROOT, Temporary, until } from "../../../helpers/cli.ts";
import { skip } from "../../../helpers/skip.ts";

const denied = (name: string): AuditEntry => ({
  sandbox: "box",
  kind: "dns",
  verdict: "deny",
  rule: "default",
  name,
});

async function all(path: string): Promise<AuditRecord[]> {
  return await Array.fromAsync(readAudit(path));
}

/** A log of `count` records that differ. */
function written(here: Temporary, count: number, maxBytes?: number, domain = "example"): string {
  const path = `${here.path}/box.jsonl`;
  using log = AuditLog.open(path, maxBytes === undefined ? {} : { maxBytes });
  for (let each = 0; each < count; each++) log.append(denied(`${each}.${domain}`));
  return path;
}

Deno.test("AuditLog writes a line a record, for its owner only, each with the hash of the one before", async () => {
  using here = new Temporary();
  const path = written(here, 3);
  equal(Deno.statSync(path).mode! & 0o777, 0o600);
  equal(Deno.statSync(`${path}.head`).mode! & 0o777, 0o600);
  const records = await all(path);
  deepEqual(records.map(({ sequence, name }) => [sequence, name]), [[1, "0.example"], [2, "1.example"], [
    3,
    "2.example",
  ]]);
  equal(records[0]!.previous, "0".repeat(64));
  equal(records[2]!.previous, records[1]!.hash);
  // As somebody would check it without this program.
  const [line] = Deno.readTextFileSync(path).split("\n");
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(line!.replace(/,"hash":"[^"]*"/, "")),
  );
  equal(new Uint8Array(digest).toHex(), records[0]!.hash);
  deepEqual(await verifyAudit(path), { whole: true, records: 3, sequence: 3 });
});

Deno.test("AuditLog goes on where it ended", async () => {
  using here = new Temporary();
  written(here, 3);
  const path = written(here, 2);
  deepEqual(await verifyAudit(path), { whole: true, records: 5, sequence: 5 });
});

Deno.test("AuditLog lets only one write", () => {
  using here = new Temporary();
  using log = AuditLog.open(`${here.path}/box.jsonl`);
  throws(() => AuditLog.open(`${here.path}/box.jsonl`), /another process writes to it/);
  log.append(denied("a.example"));
});

Deno.test("AuditLog cuts off what was not written to its end, and says so", async () => {
  using here = new Temporary();
  const path = written(here, 2);
  Deno.writeTextFileSync(path, '{"sequence":3,"ti', { append: true });
  deepEqual(await verifyAudit(path), { whole: true, records: 2, sequence: 2 });
  AuditLog.open(path)[Symbol.dispose]();
  const last = (await all(path)).at(-1)!;
  deepEqual([last.sequence, last.rule, last.sandbox], [3, "builtin:audit", "box"]);
  match(last.reason!, /^17 bytes /);
  deepEqual(await verifyAudit(path), { whole: true, records: 3, sequence: 3 });
});

const TAMPERED:
  readonly (readonly [what: string, change: (lines: string[]) => string[], sequence: number])[] = [
    ["a changed record", (lines) => lines.map((line) => line.replace("3.example", "x.example")), 4],
    ["a record that is gone", (lines) => lines.toSpliced(4, 1), 5],
    ["the first that is gone", (lines) => lines.slice(1), 1],
    [
      "two that changed places",
      (lines) => [...lines.slice(0, 2), lines[3]!, lines[2]!, ...lines.slice(4)],
      3,
    ],
    ["a record twice", (lines) => lines.toSpliced(3, 0, lines[2]!), 4],
    ["the end that is gone", (lines) => lines.slice(0, 6), 7],
    ["everything that is gone", () => [], 1],
    ["a line that is none", (lines) => lines.toSpliced(2, 0, "hello"), 3],
  ];

for (const [what, change, sequence] of TAMPERED) {
  Deno.test(`verifyAudit() notices ${what}`, async () => {
    using here = new Temporary();
    const path = written(here, 10);
    const lines = Deno.readTextFileSync(path).trimEnd().split("\n");
    Deno.writeTextFileSync(path, change(lines).map((line) => `${line}\n`).join(""));
    const found = await verifyAudit(path);
    deepEqual([found.whole, found.sequence], [false, sequence]);
    // Going on does not hide it.
    AuditLog.open(path)[Symbol.dispose]();
    written(here, 1);
    const after = await verifyAudit(path);
    deepEqual([after.whole, after.sequence], [false, sequence]);
  });
}

Deno.test("verifyAudit() notices a log that was written anew", async () => {
  using here = new Temporary();
  using elsewhere = new Temporary();
  const path = written(here, 5);
  // With other names: the same in the same millisecond would be the same log.
  Deno.copyFileSync(written(elsewhere, 5, undefined, "test"), path);
  deepEqual([(await verifyAudit(path)).whole, (await verifyAudit(path)).sequence], [false, 5]);
  Deno.removeSync(`${path}.head`);
  equal((await verifyAudit(path)).whole, false);
});

Deno.test("AuditLog keeps four files, and one chain through them", async () => {
  using here = new Temporary();
  const path = written(here, 200, 4000);
  deepEqual([...Deno.readDirSync(here.path)].map(({ name }) => name).sort(), [
    ..."box.jsonl box.jsonl.1 box.jsonl.2 box.jsonl.3 box.jsonl.head".split(" "),
  ]);
  for (const part of ["", ".1", ".2", ".3"]) ok(Deno.statSync(path + part).size <= 4000);
  const found = await verifyAudit(path);
  deepEqual([found.whole, found.sequence], [true, 200]);
  const kept = await all(path);
  ok(kept.length > 30 && kept.length < 60);
  equal(kept.at(-1)!.name, "199.example");
  // The oldest cannot be taken away in silence.
  Deno.removeSync(`${path}.3`);
  equal((await verifyAudit(path)).whole, false);
});

Deno.test("AuditLog counts floods, and writes the count when it is closed or the time is over", async () => {
  using here = new Temporary();
  const path = `${here.path}/box.jsonl`;
  {
    using log = AuditLog.open(path, { foldMs: 3_000 });
    for (let each = 0; each < 1000; each++) log.append(denied("a.example"));
    log.append(denied("b.example"));
    equal((await all(path)).length, 2);
    for (const end = Date.now() + 20_000; (await all(path)).length < 3 && Date.now() < end;) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    deepEqual((await all(path)).map(({ name, count }) => [name, count]), [
      ["a.example", undefined],
      ["b.example", undefined],
      ["a.example", 999],
    ]);
    for (let each = 0; each < 5; each++) log.append(denied("c.example"));
  }
  const counts = (await all(path)).slice(3).map(({ name, count }) => [name, count]);
  deepEqual(counts, [["c.example", undefined], ["c.example", 4]]);
  deepEqual(await verifyAudit(path), { whole: true, records: 5, sequence: 5 });
});

Deno.test("AuditLog folds names without end, and keeps the sums of transfers", async () => {
  using here = new Temporary();
  const path = written(here, 5000);
  const records = await all(path);
  equal(records.length, 1002);
  equal(records.reduce((sum, { count = 1 }) => sum + count, 0), 5000);
  const transfers = `${here.path}/transfers.jsonl`;
  {
    using log = AuditLog.open(transfers);
    for (let each = 0; each < 100; each++) {
      log.append({
        ...denied("a.example"),
        kind: "request",
        verdict: "allow",
        uploadBytes: 1,
        downloadBytes: 10,
      });
    }
  }
  const last = (await all(transfers)).at(-1)!;
  deepEqual([last.sequence, last.count, last.uploadBytes, last.downloadBytes], [65, 36, 36, 360]);
});

Deno.test("AuditLog keeps what a program chose short and on its line, and no query", async () => {
  using here = new Temporary();
  const path = `${here.path}/box.jsonl`;
  {
    using log = AuditLog.open(path);
    log.append({
      ...denied("\n\0\x1b[2J\ud800".repeat(10_000)),
      path: "/a?secret=1",
      method: "\u0001".repeat(9999),
    });
    log.append(denied("b.example"));
  }
  const [record] = await all(path);
  equal(record!.path, "/a");
  ok(record!.name!.length < 300);
  deepEqual(await verifyAudit(path), { whole: true, records: 2, sequence: 2 });
});

Deno.test("AuditLog throws when its file is gone", async () => {
  using here = new Temporary();
  const path = `${here.path}/box.jsonl`;
  const log = AuditLog.open(path);
  Deno.removeSync(path);
  await new Promise((resolve) => setTimeout(resolve, 150));
  throws(() => log.append(denied("a.example")));
  throws(() => log.append(denied("a.example")));
  throws(() => log[Symbol.dispose]());
});

const HEAD = `import { AuditLog } from "${ROOT}/network/audit/log.ts";
import { verifyAudit } from "${ROOT}/network/audit/read.ts";
const log = AuditLog.open(Deno.args[0], { foldMs: 60_000 });
const entry = (name) => ({ sandbox: "box", kind: "dns", verdict: "deny", rule: "default", name });
`;

Deno.test("AuditLog is whole after its writer was killed at any time", async () => {
  using here = new Temporary();
  const path = `${here.path}/box.jsonl`;
  const program = here.file(
    "write.ts",
    `${HEAD}console.log("ready");
for (let each = 0;; each++) log.append(entry(each % 900 + "." + Math.floor(each / 900)));`,
  );
  let before = 0;
  for (const delayMs of [1, 30, 120]) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-check", "-A", program, path],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    await until(child.stdout, "ready");
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    child.kill("SIGKILL");
    await child.status;
    AuditLog.open(path)[Symbol.dispose]();
    const found = await verifyAudit(path);
    ok(found.whole, JSON.stringify(found));
    ok(found.sequence >= before);
    before = found.sequence;
  }
  ok(before > 0);
});

Deno.test("AuditLog throws while the disk is full, and goes on whole when it is not", async () => {
  if (Deno.uid() !== 0) return skip("only root mounts a small file system");
  using here = new Temporary();
  const program = here.file(
    "fill.ts",
    `${HEAD}
Deno.writeFileSync(Deno.args[0] + ".filler", new Uint8Array(40_000));
let written = 0, failed = 0;
for (let each = 0; each < 500; each++) {
  try { log.append(entry(each + ".example")); written++; } catch { failed++; }
}
for (let each = 0; each < 3; each++) {
  try { log.append(entry("same.example")); } catch { failed++; }
}
Deno.removeSync(Deno.args[0] + ".filler");
log.append(entry("late.example"));
log[Symbol.dispose]();
console.log(JSON.stringify({ written, failed, ...await verifyAudit(Deno.args[0]) }));`,
  );
  const mounted = `mount -t tmpfs -o size=64k policy-test ${here.path}/small && exec "$@"`;
  Deno.mkdirSync(`${here.path}/small`);
  const deno = [
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-check",
    "-A",
    program,
    `${here.path}/small/box.jsonl`,
  ];
  const child = new Deno.Command("unshare", {
    args: ["-m", "sh", "-c", mounted, "sh", ...deno],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const { stdout, stderr } = await child.output();
  const [said, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  equal(errors, "");
  const found = JSON.parse(said!);
  ok(found.written > 10 && found.failed > 100, said!);
  equal(found.written + found.failed, 503);
  equal(found.whole, true, said!);
});

Deno.test("followAudit() gives what is there and what comes, over full files", async () => {
  using here = new Temporary();
  const path = `${here.path}/box.jsonl`;
  const stop = new AbortController();
  const names: string[] = [];
  const following = (async () => {
    for await (const { name } of followAudit(path, { signal: stop.signal })) names.push(name!);
  })();
  using log = AuditLog.open(path, { maxBytes: 4000 });
  const expected = Array.from({ length: 40 }, (_, index) => `${index}.example`);
  for (const name of expected) {
    log.append(denied(name));
    if (name.startsWith("20.")) await new Promise((resolve) => setTimeout(resolve, 250));
  }
  stop.abort();
  await following;
  deepEqual(names, expected);
});
