import { deepEqual, ok, rejects } from "node:assert/strict";
import { CgroupGroup } from "../../../../runtime/cgroup/group.ts";
import type { Hierarchy } from "../../../../runtime/cgroup/files.ts";

/** The files of a group as a kernel with cgroup v2 shows them. */
const FILES = {
  "cgroup.controllers": "cpu memory pids\n",
  "g/cgroup.procs": "",
  "g/cpu.stat": "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_throttled 1\nthrottled_usec 2500\n",
  "g/memory.current": "4096\n",
  "g/memory.peak": "8192\n",
  "g/memory.events": "low 0\nmax 4\noom 3\noom_kill 2\n",
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
