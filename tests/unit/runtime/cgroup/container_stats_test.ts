import { deepEqual, equal } from "node:assert/strict";
import { readContainerStats } from "../../../../runtime/cgroup/container_stats.ts";
import { exactJson } from "../../../../runtime/spec/exact_json.ts";

/** A directory with files of a group. */
class Files implements Disposable {
  readonly path = Deno.makeTempDirSync();
  constructor(files: Record<string, string>) {
    for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(`${this.path}/${name}`, text);
  }
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

Deno.test("readContainerStats() tells what version 2 counts in the form of version 1", () => {
  using files = new Files({
    "cpu.stat":
      "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 4\nnr_throttled 1\nthrottled_usec 25\n",
    "cpu.pressure":
      "some avg10=1.50 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
    "memory.current": "4096\n",
    "memory.peak": "8192\n",
    "memory.max": "max\n",
    "memory.stat": "file 12\nanon 5\n",
    "memory.swap.current": "100\n",
    "memory.swap.max": "1000\n",
    "pids.current": "3\n",
    "pids.max": "20\n",
    "io.stat": "254:0 rbytes=4096 wbytes=100 rios=1 wios=0 dbytes=0 dios=0\n",
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.events": "max 2\n",
  });
  const { cpu, memory, pids, blkio, hugetlb, cpuset } = readContainerStats([
    { directory: files.path, version: 2, controllers: "" },
  ]);
  deepEqual(cpu, {
    usage: { total: 1_500_000, kernel: 500_000, user: 1_000_000 },
    throttling: { periods: 4, throttledPeriods: 1, throttledTime: 25_000 },
    psi: {
      some: { avg10: 1.5, avg60: 0, avg300: 0, total: 12 },
      full: { avg10: 0, avg60: 0, avg300: 0, total: 3 },
    },
  });
  deepEqual(memory, {
    cache: 12,
    usage: { limit: 2n ** 64n - 1n, usage: 4096, max: 8192, failcnt: 0 },
    swap: { limit: 2n ** 64n - 1n, usage: 4196, failcnt: 0 },
    kernel: { limit: 0, failcnt: 0 },
    kernelTCP: { limit: 0, failcnt: 0 },
    raw: { anon: 5, file: 12 },
  });
  deepEqual(pids, { current: 3, limit: 20 });
  deepEqual(blkio, {
    ioServiceBytesRecursive: [
      { major: 254, op: "Read", value: 4096 },
      { major: 254, op: "Write", value: 100 },
    ],
    ioServicedRecursive: [{ major: 254, op: "Read", value: 1 }, { major: 254, op: "Write" }],
  });
  deepEqual(hugetlb, { "2MB": { usage: 2_097_152, failcnt: 2 } });
  equal(cpuset.sched_load_balance, 0);
});

Deno.test("readContainerStats() finds block I/O of version 1 where the schedulers tell it", () => {
  const lines = "8:0 Read 5\n8:0 Write 6\nTotal 11\n";
  using files = new Files({
    "blkio.throttle.io_serviced": lines,
    "blkio.throttle.io_service_bytes_recursive": lines,
  });
  const groups = [{ directory: files.path, version: 1 as const, controllers: "blkio" }];
  const counts = [{ major: 8, op: "Read", value: 5 }, { major: 8, op: "Write", value: 6 }];
  deepEqual(readContainerStats(groups).blkio, {
    ioServiceBytesRecursive: counts,
    ioServicedRecursive: counts,
  });
  Deno.writeTextFileSync(`${files.path}/blkio.bfq.io_serviced_recursive`, "8:16 Read 7\n");
  Deno.writeTextFileSync(`${files.path}/blkio.bfq.sectors_recursive`, "8:16 9\n");
  deepEqual(readContainerStats(groups).blkio, {
    ioServicedRecursive: [{ major: 8, minor: 16, op: "Read", value: 7 }],
    sectorsRecursive: [{ major: 8, minor: 16, value: 9 }],
  });
});

Deno.test("figures that no number holds keep all their digits", () => {
  using files = new Files({ "memory.limit_in_bytes": "9223372036854771712\n" });
  const { memory } = readContainerStats([{ directory: files.path, version: 1, controllers: "memory" }]);
  equal(exactJson(memory.usage), '{"limit":9223372036854771712,"failcnt":0}');
});
