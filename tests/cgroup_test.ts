import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { SyscallError } from "../ffi/errno.ts";
import { CgroupGroup } from "../runtime/cgroup/group.ts";
import { LifecycleError, UnsupportedError } from "../runtime/errors.ts";
import type { Resources } from "../runtime/spec/linux.ts";
import { shareOfLimit } from "./helpers/cpu_share.ts";
import { skip } from "./helpers/skip.ts";
import {
  ended,
  groupTest,
  HOST,
  LAYOUTS,
  left,
  MARK,
  members,
  run,
  sleep,
  start,
  until,
} from "./unit/runtime/cgroup/groups.ts";

groupTest("half a CPU is half a CPU", ["cpu", "cpuacct"], async ({ path, mounted, test }) => {
  const cpu = { shares: 262_144, quota: 50_000, period: 100_000 };
  await using group = await CgroupGroup.create(path, { cpu }, mounted);
  const child = start(group, "while :; do :; done & while :; do :; done");
  await sleep(200);
  const share = await shareOfLimit(group, { cpus: 0.5, windowMs: 2_000, tolerance: 0.05 });
  await group.kill();
  await ended(child);
  await until("none is left that takes time", () => group.empty);
  if (share === undefined) return skip("needs half a CPU that nobody else uses", test);
  ok(share <= 1.05, `used ${share} of the limit`);
  const { cpuThrottledMs, cpuUserMs, cpuSystemMs, cpuUsageMs } = group.stats();
  ok(cpuThrottledMs! > 0 && cpuUserMs! > 500);
  const unexplained = cpuUsageMs! - cpuUserMs! - cpuSystemMs!;
  ok(Math.abs(unexplained) < 1, `${unexplained} ms are neither the programs' nor the kernel's`);
});

groupTest("64 MB of memory are no 200 MB", ["memory"], async ({ path, mounted }) => {
  const memory = { limit: 64 * 2 ** 20, swap: 64 * 2 ** 20 };
  await using group = await CgroupGroup.create(path, { memory }, mounted);
  equal((await run(group, "head -c 30000000 /dev/zero | tail -n 1")).code, 0);
  equal(group.stats().oomKills, 0);
  equal((await run(group, "head -c 200000000 /dev/zero | tail -n 1")).code, 137);
  const { oomKills, memoryPeakBytes } = group.stats();
  equal(oomKills, 1);
  ok(memoryPeakBytes! > 60e6 && memoryPeakBytes! <= memory.limit, `peak ${memoryPeakBytes}`);
});

groupTest("oomKills counts those of nested groups", ["memory"], async ({ path, mounted, test }) => {
  await using group = await CgroupGroup.create(path, { memory: { limit: 64 * 2 ** 20 } }, mounted);
  const nested = group.directories.find((each) => each.includes("/memory/"));
  if (nested === undefined) return skip("needs the memory controller of cgroup v1", test);
  const script =
    `mkdir ${nested}/n; echo 0 > ${nested}/n/cgroup.procs; head -c 200000000 /dev/zero | tail -n 1`;
  equal((await run(group, script)).code, 137);
  equal(group.stats().oomKills, 1);
});

groupTest("a limit of tasks lets forks fail", ["pids"], async ({ path, mounted }) => {
  await using group = await CgroupGroup.create(path, { pids: { limit: 10 } }, mounted);
  const child = start(group, "i=0; while [ $i -lt 30 ]; do sleep 60 & i=$((i+1)); done; wait");
  await until("a fork failed", () => group.stats().pidsLimitHits! >= 1);
  await group.kill();
  await ended(child);
  const { pidsLimitHits, pidsCurrent, pidsPeak } = group.stats();
  ok(pidsLimitHits! >= 1 && pidsCurrent! <= 10, JSON.stringify(group.stats()));
  ok(pidsPeak === undefined || pidsPeak === 10);
});

groupTest("freeze() stops what thaw() lets go on", ["cpuacct", "freezer"], async ({ path, mounted }) => {
  await using group = await CgroupGroup.create(path, {}, mounted);
  const child = start(group, "while :; do :; done");
  await until("the loop runs", () => group.stats().cpuUsageMs! > 20);
  await group.freeze();
  await group.freeze(); // twice is once
  let frozen: number | undefined;
  // The way into the freezer takes time too, and more on a busy machine.
  for (let tries = 0; tries < 100; tries++) {
    const before = frozen;
    frozen = group.stats().cpuUsageMs;
    if (frozen === before) break;
    await sleep(50);
  }
  await sleep(150);
  equal(group.stats().cpuUsageMs, frozen);
  group.thaw();
  await until("the loop goes on", () => group.stats().cpuUsageMs! > frozen! + 20);
  await group.freeze();
  await group.kill(); // the frozen too
  equal((await ended(child)).code, 137);
});

groupTest("kill() reaches 50 children in nested groups", ["freezer"], async ({ path, mounted }) => {
  await using group = await CgroupGroup.create(path, {}, mounted);
  const script = `
    i=0; while [ $i -lt 50 ]; do
      for d in ${group.directories.join(" ")}; do
        mkdir -p $d/a/$((i % 5)); echo 0 > $d/a/$((i % 5))/cgroup.procs
      done
      sleep 600 & i=$((i+1))
    done; wait`;
  const child = start(group, script);
  await until("51 processes run", () => group.directories.every((each) => members(each) === 51));
  await group.kill();
  equal((await ended(child)).code, 137);
  await until("none is left", () => group.empty);
});

groupTest("disposing ends a fork bomb", ["pids", "freezer"], async ({ path, mounted }) => {
  const group = await CgroupGroup.create(path, { pids: { limit: 150 } }, mounted);
  const child = start(group, `exec perl -e 'while (1) { fork }'`);
  await until("it is large", () => group.stats().pidsLimitHits! > 100);
  const from = performance.now();
  await group[Symbol.asyncDispose]();
  console.log(`killed and removed in ${(performance.now() - from).toFixed(0)} ms`);
  equal((await ended(child)).code, 137);
  deepEqual(left(), []);
  await group[Symbol.asyncDispose](); // twice is once
});

groupTest("devices are denied but for the usual ones", ["devices"], async ({ path, mounted }) => {
  const devices = [{ allow: false, access: "rwm" }];
  await using group = await CgroupGroup.create(path, { devices }, mounted);
  equal((await run(group, "echo x > /dev/null && head -c 1 /dev/urandom")).code, 0);
  const { code, text } = await run(group, "exec 3< /dev/kmsg");
  ok(code !== 0);
  match(text, /Operation not permitted/);
});

groupTest("create() applies a cpuset", ["cpuset"], async ({ path, mounted }) => {
  await using group = await CgroupGroup.create(path, { cpu: { cpus: "0" } }, mounted);
  equal((await run(group, '[ "$(grep Cpus_allowed_list /proc/self/status | tr -dc 0-9-)" = 0 ]')).code, 0);
});

groupTest("create() makes all or nothing", ["cpu", "pids"], async ({ path, mounted }) => {
  const wrong:
    readonly (readonly [Resources, typeof Error | typeof UnsupportedError | typeof SyscallError])[] = [
      [{ pids: { limit: 5 }, cpu: { period: 1 } }, SyscallError],
      [{ pids: { limit: 5 }, cpu: { cpus: "4000" } }, SyscallError],
      // No controller, or no such device.
      [{ pids: { limit: 5 }, rdma: { mlx5_1: { hcaHandles: 1 } } }, Error],
      [{ memory: { limit: 2 ** 26, swap: 2 ** 20 } }, UnsupportedError],
      [{ unified: { "cgroup.procs": "1" } }, UnsupportedError],
    ];
  for (const [resources, kind] of wrong) {
    await rejects(CgroupGroup.create(path, resources, mounted), (error: Error) => {
      ok(error instanceof kind, error.stack!);
      match(error.message, /\/linux\/resources\/(cpu\/(period|cpus)|rdma|memory\/swap|unified)/);
      return true;
    });
    deepEqual(left(), []);
  }
});

groupTest("create() leaves a group alone that is there", ["pids"], async ({ path, mounted }) => {
  await using group = await CgroupGroup.create(path, { pids: { limit: 7 } }, mounted);
  const child = start(group, "exec sleep 60");
  await until("it runs", () => group.stats().pidsCurrent === 1);
  await rejects(CgroupGroup.create(path, {}, mounted), LifecycleError);
  await using beside = await CgroupGroup.create(`${path}b`, {}, mounted);
  await beside[Symbol.asyncDispose]();
  equal(group.stats().pidsCurrent, 1);
  // Somebody else may remove it, and whoever made it does not mind.
  await CgroupGroup.open(path, mounted)[Symbol.asyncDispose]();
  equal((await ended(child)).code, 137);
});

groupTest("groups below one parent come and go together", ["pids"], async ({ path, mounted }) => {
  await using _first = await CgroupGroup.create(path, {}, mounted); // the parent goes with whoever made it
  await Promise.all(Array.from({ length: 20 }, async (_, index) => {
    await using group = await CgroupGroup.create(`${path}-${index}`, { pids: { limit: 5 } }, mounted);
    equal((await run(group, "true")).code, 0);
  }));
});

groupTest("unified writes files of v2", ["hugetlb"], async ({ path, mounted }) => {
  const unified = { "hugetlb.2MB.max": "2097152", "cgroup.max.depth": "3" };
  const hugepageLimits = [{ pageSize: "2MB", limit: 4_194_304 }];
  await using group = await CgroupGroup.create(path, { unified, hugepageLimits }, mounted);
  const read = (file: string): string =>
    group.directories.flatMap((each) => {
      try {
        return [Deno.readTextFileSync(`${each}/${file}`).trim()];
      } catch {
        return [];
      }
    }).join();
  deepEqual(["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "cgroup.max.depth"].map(read), [
    "2097152",
    "4194304",
    "3",
  ]);
});

groupTest("v2 does not pass controllers on from a group with processes", ["hugetlb"], async (at) => {
  const { path, mounted } = at;
  const hugepageLimits = [{ pageSize: "2MB", limit: 0 }];
  await using group = await CgroupGroup.create(path, {}, mounted);
  const child = start(group, "exec sleep 60");
  await until("it runs", () => group.directories.every((each) => members(each) === 1));
  await rejects(CgroupGroup.create(`${path}/n`, { hugepageLimits }, mounted), {
    name: "UnsupportedError",
    message: /hugetlb.*has processes of its own/,
  });
  ok(group.directories.every((each) => [...Deno.readDirSync(each)].every((one) => !one.isDirectory)));
  await group.kill();
  await ended(child);
});

Deno.test("create() hands a group of v2 to its owner, and none of v1", async () => {
  if (Deno.uid() !== 0) return skip("needs root");
  if (!HOST.some(({ version }) => version === 2)) return skip("needs cgroup v2");
  const path = `/${MARK}/owner`;
  for (const { mounted } of LAYOUTS) {
    await using group = await CgroupGroup.create(path, {}, mounted, { owner: 12_345 });
    const owner = mounted.every(({ version }) => version === 2) ? 12_345 : 0;
    for (const each of group.directories) {
      equal(Deno.statSync(each).uid, owner);
      equal(Deno.statSync(`${each}/cgroup.procs`).uid, owner);
    }
  }
  deepEqual(left(), []);
});
