import { deepEqual, equal, throws } from "node:assert/strict";
import { LifecycleError } from "../../../../runtime/errors.ts";
import { STATUSES } from "../../../../runtime/spec/state.ts";
import { hold, isAlive, nameProcess } from "../../../../runtime/state/liveness.ts";
import { checkMove, type Move } from "../../../../runtime/state/moves.ts";
import { decodeRecord, encodeRecord } from "../../../../runtime/state/record.ts";

const RECORD = {
  id: "box",
  bundle: "/srv/box",
  rootfs: "/srv/box/rootfs",
  annotations: { a: "b" },
  created: "2026-01-02T03:04:05.678Z",
  owner: 0,
  phase: "created",
  init: { pid: 7, startTicks: 8, bootId: "9" },
  groups: [{ directory: "/sys/fs/cgroup/box", version: 2, controllers: "" }],
  parents: [],
} as const;

Deno.test("decodeRecord() reads what encodeRecord() writes", () => {
  const read = decodeRecord(encodeRecord(RECORD), "record.json", "box");
  deepEqual(JSON.parse(JSON.stringify(read)), { version: 1, ...RECORD });
});

for (
  const part of [
    { phase: "paused" },
    { id: 5 },
    { bundle: "relative" },
    { init: { pid: 0, startTicks: 8, bootId: "" } },
    { init: { pid: 7 } },
    { groups: [{ directory: "/a/../b", version: 1, controllers: "" }] },
    { groups: [{ directory: "/a", version: 3, controllers: "" }] },
    { parents: ["/a//b"] },
    { parents: ["/"] },
  ]
) {
  Deno.test(`decodeRecord() refuses ${JSON.stringify(part)}`, () => {
    const text = JSON.stringify({ version: 1, ...RECORD, ...part });
    throws(() => decodeRecord(text, "record.json", "box"), LifecycleError);
  });
}

const ALLOWED: Readonly<Record<Move, readonly string[]>> = {
  exec: ["created", "running"],
  start: ["created"],
  pause: ["created", "running"],
  update: ["created", "running", "paused"],
  resume: ["paused"],
  kill: ["created", "running", "paused"],
  delete: ["created", "stopped"],
};

for (const [move, from] of Object.entries(ALLOWED)) {
  Deno.test(`checkMove() allows ${move} from ${from.join(", ")}`, () => {
    const allowed = STATUSES.filter((status) => {
      try {
        checkMove(move as Move, status, "box");
        return true;
      } catch (error) {
        equal(error instanceof LifecycleError, true);
        return false;
      }
    });
    deepEqual(allowed, from);
  });
}

Deno.test("hold() takes a process for no other: by its start and its boot", () => {
  const self = nameProcess(Deno.pid);
  for (
    const [name, alive] of [
      [self, true],
      [{ ...self, startTicks: self.startTicks + 1 }, false],
      [{ ...self, bootId: "another" }, false],
      [{ ...self, pid: 2 ** 22 + 1 }, false],
    ] as const
  ) {
    using fd = hold(name);
    equal(fd !== undefined, alive);
    equal(isAlive(name), alive);
  }
});
