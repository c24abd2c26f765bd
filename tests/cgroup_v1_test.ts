import { equal, match, ok, rejects } from "node:assert/strict";
import { CgroupGroup } from "../runtime/cgroup/group.ts";
import { UnsupportedError } from "../runtime/errors.ts";
import { skip } from "./helpers/skip.ts";
import { ended, groupTest, HOST, MARK, run, sleep, start } from "./unit/runtime/cgroup/groups.ts";

/** What only the controllers of version 1 have. */

const CPUS = navigator.hardwareConcurrency;
const BUSY = "exec chrt --fifo 1 sh -c 'while :; do :; done'";

/** Sends to itself over TCP until no more fits, and prints how many bytes did. */
const FILL = `import socket, sys, time
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
other, _ = server.accept()
client.setblocking(False)
sent = 0
for _ in range(20):
    try:
        while True: sent += client.send(bytes(65536))
    except BlockingIOError: time.sleep(0.01)
print(sent, file=sys.stderr)`;

async function filled(group: CgroupGroup): Promise<number> {
  const { code, text } = await run(group, `exec python3 -c '${FILL}'`);
  equal(code, 0, text);
  return Number(text);
}

/** A file of the group in the hierarchy of version 1 that has it. */
function fileOf(group: CgroupGroup, file: string): string | undefined {
  return group.directories.map((each) => `${each}/${file}`).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

groupTest(
  "real-time programs get the time that they are given, and none without",
  ["cpu", "cpuacct"],
  async (at) => {
    const { mounted, path, test } = at;
    {
      await using group = await CgroupGroup.create(path, { cpu: { shares: 1024 } }, mounted);
      if (!fileOf(group, "cpu.rt_runtime_us")) {
        const wanted = CgroupGroup.create(`${path}b`, { cpu: { realtimeRuntime: 50_000 } }, mounted);
        await rejects(wanted, /\/linux\/resources\/cpu\/realtimeRuntime/);
        return skip("needs the cpu controller of v1 with CONFIG_RT_GROUP_SCHED", test);
      }
      const { code, text } = await run(group, BUSY);
      ok(code !== 0);
      match(text, /Operation not permitted|failed to set/);
    }
    const cpu = { realtimeRuntime: 50_000, realtimePeriod: 1_000_000 };
    // The groups above would have to have as much: it is in the uppermost.
    await using group = await CgroupGroup.create(`/${MARK}-rt`, { cpu }, mounted);
    equal(Deno.readTextFileSync(fileOf(group, "cpu.rt_runtime_us")!), "50000\n");
    const child = start(group, BUSY);
    await sleep(1_100);
    const [usedMs, fromMs] = [group.stats().cpuUsageMs!, performance.now()];
    await sleep(2_000);
    const share = (group.stats().cpuUsageMs! - usedMs) / (performance.now() - fromMs);
    await group.kill();
    await ended(child);
    // Each processor gives it 5 %, and it may move from one to the other.
    ok(share > 0.02 && share < 0.05 * CPUS * 1.3 + 0.03, `${share}`);
  },
);

groupTest("kernel memory for TCP is limited", ["memory"], async ({ path, mounted, test }) => {
  const memory = { kernelTCP: 262_144 };
  if (
    !mounted.some(({ version, controllers }) => version === 1 && controllers.split(",").includes("memory"))
  ) {
    await rejects(CgroupGroup.create(path, { memory }, mounted), /\/linux\/resources\/memory\/kernelTCP/);
    return skip("needs the memory controller of v1", test);
  }
  await using group = await CgroupGroup.create(path, { memory }, mounted);
  equal(Deno.readTextFileSync(fileOf(group, "memory.kmem.tcp.limit_in_bytes")!), "262144\n");
  await using free = await CgroupGroup.create(`${path}b`, { memory: { limit: 2 ** 30 } }, mounted);
  const [little, much] = [await filled(group), await filled(free)];
  ok(little > 0 && little < 2 * memory.kernelTCP && much > 2 * little, `${little} and ${much} bytes`);
});

const NETWORK = [
  ["net_cls", "classID", { classID: 0x10_0001 }, "net_cls.classid", /^1048577$/m],
  [
    "net_prio",
    "priorities/0",
    { priorities: [{ name: "lo", priority: 3 }] },
    "net_prio.ifpriomap",
    /^lo 3$/m,
  ],
] as const;

for (const [controller, pointer, network, file, holds] of NETWORK) {
  groupTest(`${controller} marks packets, or is missed by its name`, [], async ({ path, mounted }) => {
    const made = CgroupGroup.create(path, { network }, mounted);
    const has = HOST.some(({ version, controllers }) =>
      version === 1 && controllers.split(",").includes(controller)
    );
    if (has && mounted.some(({ version }) => version === 1)) {
      await using group = await made;
      match(Deno.readTextFileSync(fileOf(group, file)!), holds);
      return;
    }
    await rejects(made, (error: Error) => {
      ok(error instanceof UnsupportedError, error.stack!);
      match(error.message, new RegExp(`/linux/resources/network/${pointer}`));
      if (mounted.some(({ version }) => version === 1)) match(error.message, new RegExp(`"${controller}"`));
      return true;
    });
  });
}
