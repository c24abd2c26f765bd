import { deepEqual, equal } from "node:assert/strict";
import { assembleTable } from "../../../../runtime/launch/image.ts";
import { formatPlan } from "../../../../runtime/plan/format.ts";
import { MOVES } from "../../../../runtime/plan/moves.ts";
import { planRerun, RERUN, type RerunRequest } from "../../../../runtime/plan/rerun.ts";
import type { Stamp } from "../../../../runtime/plan/unaided.ts";
import { golden } from "../../../helpers/golden.ts";

const STAMP: Stamp = { inode: 42n, sizeBytes: 1000n, changed: [1_700_000_000n, 5n], device: 0x200000001n };
const REQUEST: RerunRequest = {
  arch: "x86_64",
  bundle: "/srv/box",
  directory: { inode: 41n, device: STAMP.device },
  config: STAMP,
  executable: { ...STAMP, inode: 43n },
  caller: {
    gid: 0,
    openFiles: { soft: 1024, hard: 4096 },
    namespaces: { user: { inode: 50n, device: 4n } },
    capabilities: 0xffffffff,
  },
  kinds: {
    "/srv/box/rootfs": "root",
    "/usr": "directory",
    "/etc/hosts": "file",
    "/srv/box/rootfs/etc/passwd": "nothing",
    "/srv/box/rootfs/etc/group": { ...STAMP, inode: 44n },
  },
  elf: new Uint8Array(5000),
  warnings: [],
  signals: [1, 2, 15],
};

Deno.test("planRerun() looks, launches, listens and waits", () => {
  golden("rerun.txt", formatPlan(planRerun(REQUEST)));
});

Deno.test("planRerun() leaves nothing to Deno once the program may have begun", () => {
  const [{ ops } = { ops: [] }] = planRerun(REQUEST).sections;
  const begun = ops.findIndex(({ label }) => label === "silent") + 1;
  const over = ops.findIndex(({ label }) => label === "fail");
  const leaving = ops.slice(begun, over).filter(({ call, failed, zero, positive }) => {
    const canFail = call !== "let" && call !== "load" && call !== "decimal" && call !== "exit_group";
    return [zero, positive].includes("fail") || (canFail && (failed === undefined || failed === "fail"));
  });
  deepEqual(leaving, []);
});

Deno.test("the number of a rerun is none of a move", () => {
  equal(Object.values<number>(MOVES).includes(RERUN), false);
});

Deno.test("a table says how long it is", () => {
  const table = assembleTable(planRerun(REQUEST));
  equal(new DataView(table.buffer).getBigUint64(0x10, true), BigInt(table.length));
});
