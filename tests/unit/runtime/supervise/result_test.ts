import { deepEqual, equal } from "node:assert/strict";
import { type Circumstances, result } from "../../../../runtime/supervise/result.ts";

const FACTS: Circumstances = {
  id: "box",
  startedMs: 100,
  endedMs: 350,
  startedAt: new Date(0),
  timedOut: false,
  oomKilled: false,
};
const USED = { userMs: 10, systemMs: 5, peakMemoryBytes: 4096 };

for (
  const [what, ending, facts, exit, exitCode] of [
    ["a code", { code: 7 }, {}, { kind: "code", code: 7 }, 7],
    ["a signal", { signal: 15 }, {}, { kind: "signal", signal: "SIGTERM" }, 143],
    ["the timeout", { signal: 9 }, { timedOut: true }, { kind: "limit", limit: "time" }, 124],
    ["want of memory", { signal: 9 }, { oomKilled: true }, { kind: "limit", limit: "memory" }, 137],
    ["RLIMIT_CPU", { signal: 24 }, {}, { kind: "limit", limit: "cpu" }, 152],
    ["RLIMIT_FSIZE", { signal: 25 }, {}, { kind: "limit", limit: "fileSize" }, 153],
    ["a signal that pid 1 would not hear", { signal: 9 }, { deliveredSignal: 2 }, {
      kind: "signal",
      signal: "SIGINT",
    }, 130],
  ] as const
) {
  Deno.test(`result() names ${what}`, () => {
    const record = result({ ...USED, ...ending }, { ...FACTS, ...facts });
    deepEqual([record.exit, record.exitCode, record.wallMs], [exit, exitCode, 250]);
  });
}

Deno.test("result() takes the figures of the cgroup before those of the process", () => {
  const usage = { cpuUserMs: 20, cpuSystemMs: undefined, memoryPeakBytes: 8192 };
  const { cpuUserMs, cpuSystemMs, peakMemoryBytes } = result({ ...USED, code: 0 }, { ...FACTS, usage });
  deepEqual([cpuUserMs, cpuSystemMs, peakMemoryBytes], [20, 5, 8192]);
  equal(result({ ...USED, code: 0 }, FACTS).peakMemoryBytes, 4096);
});

Deno.test("result() tells what happened at the limits, as far as it was counted", () => {
  const usage = { oomKills: 2, cpuThrottledMs: 1.23456, pidsLimitHits: undefined };
  deepEqual(result({ ...USED, code: 0 }, { ...FACTS, usage }).events, { oomKills: 2, cpuThrottledMs: 1.235 });
  equal(result({ ...USED, code: 0 }, FACTS).events, undefined);
});
