import { deepEqual, equal } from "node:assert/strict";
import { EXEC, EXEC_FLAGGED, type ExecsRequest, planExecs } from "../../../../runtime/plan/execs.ts";
import { formatPlan } from "../../../../runtime/plan/format.ts";
import { fitsGiven } from "../../../../runtime/plan/given.ts";
import { MOVES } from "../../../../runtime/plan/moves.ts";
import { RERUN } from "../../../../runtime/plan/rerun.ts";
import type { Stamp } from "../../../../runtime/plan/unaided.ts";
import { golden } from "../../../helpers/golden.ts";

const STAMP: Stamp = { inode: 42n, sizeBytes: 1000n, changed: [1_700_000_000n, 5n], device: 0x200000001n };
const PLACE = { inode: 41n, device: 4n };
const REQUEST: ExecsRequest = {
  arch: "x86_64",
  init: { pid: 4711, inode: 40n, bootId: "6a2c7de2-32d1-4aba-8d2a-1f4362350000" },
  frozen: ["/sys/fs/cgroup/box/cgroup.freeze"],
  files: { "record.json": STAMP, "config.json": { ...STAMP, inode: 43n } },
  executable: { ...STAMP, inode: 44n },
  caller: { gid: 0, openFiles: { soft: 1024, hard: 4096 } },
  namespaces: { mnt: { own: PLACE, its: { ...PLACE, inode: 45n } } },
  groups: { "/sys/fs/cgroup/box": PLACE },
  leaves: ["/sys/fs/cgroup/box"],
  passwd: { ...STAMP, inode: 46n },
  elf: new Uint8Array(5000),
  givenAt: 0xf0000,
  directories: ["/usr/bin/", "./"],
  signals: [1, 2, 15],
};

Deno.test("planExecs() looks, gives the words, launches, listens and waits", () => {
  golden("execs.txt", formatPlan(planExecs(REQUEST)));
});

/** As an engine begins it. */
const FLAGGED = {
  line: ["--process", { path: "process" }, "--detach", "--pid-file", { path: "pidFile" }],
  id: "box",
  document: new TextEncoder().encode('{"args":["true"]}'),
  detached: true,
} as const;

Deno.test("planExecs() compares flags and a whole process, tells the pid and leaves the program to itself", () => {
  golden("execs_flagged.txt", formatPlan(planExecs({ ...REQUEST, flagged: FLAGGED })));
});

Deno.test("planExecs() finds a container without /etc/passwd as it was, too", () => {
  const [{ ops } = { ops: [] }] = planExecs({ ...REQUEST, passwd: "nothing" }).sections;
  const look = ops.find(({ call }) => call === "openat2");
  deepEqual([look?.ignore, look?.zero, look?.positive], [["ENOENT"], "fail", "fail"]);
  const none = planExecs({ ...REQUEST, passwd: undefined }).sections[0]!.ops;
  equal(none.some(({ call }) => call === "openat2"), false);
});

Deno.test("planExecs() leaves nothing to Deno once the program may have begun", () => {
  for (const flagged of [undefined, FLAGGED, { ...FLAGGED, detached: false }]) leavesNothing(flagged);
});

function leavesNothing(flagged: ExecsRequest["flagged"]): void {
  const [{ ops } = { ops: [] }] = planExecs({ ...REQUEST, flagged }).sections;
  const begun = ops.findIndex(({ label }) => label === "unheard") + 1;
  const over = ops.findIndex(({ label }) => label === "stopped");
  const leaving = ops.slice(begun, over).filter(({ call, failed, zero, positive }) => {
    const canFail = call !== "let" && call !== "load" && call !== "exit_group";
    return [zero, positive].includes("fail") || (canFail && (failed === undefined || failed === "fail"));
  });
  deepEqual(leaving, []);
}

Deno.test("planExecs() opens the gate only for a program that it holds", () => {
  const [{ ops } = { ops: [] }] = planExecs(REQUEST).sections;
  const gate = ops.findIndex(({ does }) => does === "open the start gate");
  equal(ops[gate - 2]?.call, "pidfd_open");
  equal(ops.filter(({ does }) => does === "open the start gate").length, 1);
});

Deno.test("the number of an exec is none of a move, or of a rerun", () => {
  const others: number[] = [...Object.values(MOVES), RERUN];
  equal(others.includes(EXEC) || others.includes(EXEC_FLAGGED) || EXEC as number === EXEC_FLAGGED, false);
});

Deno.test("fitsGiven() knows how much room there is", () => {
  equal(fitsGiven(["/usr/bin/", "./"]), true);
  equal(fitsGiven([`/${"x".repeat(300)}/`]), false);
  equal(fitsGiven(Array(25).fill("/bin/")), false);
});
