import { deepEqual, ok, rejects } from "node:assert/strict";
import { CgroupGroup } from "../../../../runtime/cgroup/group.ts";
import type { Hierarchy } from "../../../../runtime/cgroup/files.ts";

/** The files of a group as a kernel with cgroup v2 shows them. */
const FILES = {
  "cgroup.controllers": "cpu io memory pids\n",
  "g/cgroup.procs": "",
  "g/cpu.stat": "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_throttled 1\nthrottled_usec 2500\n",
  "g/memory.current": "4096\n",
  "g/memory.peak": "8192\n",
  "g/memory.events": "low 0\nhigh 1\nmax 4\noom 3\noom_kill 2\n",
  "g/memory.swap.current": "512\n",
  "g/io.stat": "254:0 rbytes=4096 wbytes=100 rios=1 wios=1 dbytes=0 dios=0\n8:0 rbytes=1 wbytes=2\n",
  "g/cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500\nfull avg10=0.00 total=0\n",
  "g/memory.pressure": "some avg10=0.00 total=0\nfull avg10=0.00 total=2000\n",
  "g/io.pressure": "some avg10=0.00 total=7\nfull avg10=0.00 total=6\n",
  "g/pids.current": "3\n",
  "g/pids.events": "max 9\n",
};

Deno.test("stats() reads the files of v2", () => {
  const mountPoint = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${mountPoint}/g`);
    for (const [file, text] of Object.entries(FILES)) Deno.writeTextFileSync(`${mountPoint}/${file}`, text);
    const v2: Hierarchy = { version: 2, controllers: "", mountPoint, own: "/" };
    const group = CgroupGroup.open("/g", [v2]);
    deepEqual(group.stats(), {
      cpuUsageMs: 1.5,
      cpuUserMs: 1,
      cpuSystemMs: 0.5,
      cpuThrottledMs: 2.5,
      memoryCurrentBytes: 4096,
      memoryPeakBytes: 8192,
      oomKills: 2,
      pidsCurrent: 3,
      pidsPeak: undefined,
      pidsLimitHits: 9,
      memoryLimitHits: 4,
      memoryHighHits: 1,
      swapCurrentBytes: 512,
      ioReadBytes: 4097,
      ioWrittenBytes: 102,
      pressure: {
        cpu: { someMs: 1.5, fullMs: 0 },
        memory: { someMs: 0, fullMs: 2 },
        io: { someMs: 0.007, fullMs: 0.006 },
      },
    });
    ok(group.empty);
    deepEqual(CgroupGroup.open("g", [{ ...v2, own: "/h" }]).directories, []);
  } finally {
    Deno.removeSync(mountPoint, { recursive: true });
  }
});

for (const path of ["", "/", "//", "..", "/a/../../b", "a/./b", "a\nb"]) {
  Deno.test(`create() refuses the path ${JSON.stringify(path)}`, async () => {
    await rejects(CgroupGroup.create(path, {}, []), { name: "UsageError" });
  });
}

Deno.test("a group without hierarchies is empty and goes away", async () => {
  const group = await CgroupGroup.create("/g", {}, []);
  deepEqual([group.directories, group.empty, group.stats().oomKills], [[], true, undefined]);
  await rejects(group.freeze(), { name: "UnsupportedError" });
  await group.kill();
  await group[Symbol.asyncDispose]();
});
