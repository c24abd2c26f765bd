import { deepEqual, equal, match, ok } from "node:assert/strict";
import { CgroupGroup } from "../../runtime/cgroup/group.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { cli, start, until } from "./cli.ts";
import { launchTest } from "./launch_leaks.ts";
import { skip } from "./skip.ts";

/** The first disk of this machine, with its numbers. */
export function disk(): { readonly path: string; readonly numbers: string } | undefined {
  for (const { name } of Deno.readDirSync("/sys/block")) {
    if (!/^(vd|sd|nvme|xvd)/.test(name)) continue;
    return { path: `/dev/${name}`, numbers: Deno.readTextFileSync(`/sys/block/${name}/dev`).trim() };
  }
  return undefined;
}

/** Tests that flags of `run` set limits, on the hierarchies of this machine. */
export function limitFlagTests(): void {
  launchTest("run sets what --cpuset, --memory-swap and --io-max ask for", async (bundle) => {
    const device = disk();
    if (!device) return skip("needs a disk");
    const id = `flags-${Deno.pid}`;
    const limits = [
      "--cpuset",
      "0",
      "--memory",
      "64MB",
      "--memory-swap",
      "96MB",
      "--cpu",
      "0.5",
      "--pids",
      "9",
    ];
    const io = [`${device.path}:rbps=1MB,wiops=100`, `${device.numbers}:wbps=2MB`].flatMap((
      each,
    ) => ["--io-max", each]);
    bundle.write("echo up; sleep 1000");
    const child = start(["run", "--id", id, ...limits, ...io, bundle.path]);
    await until(child.stdout, "up\n");
    const { directories } = CgroupGroup.open(`ai-sandbox-${id}`, probeHost().cgroups);
    const file = (...names: string[]): string | undefined => {
      for (const path of directories.flatMap((directory) => names.map((name) => `${directory}/${name}`))) {
        try {
          return Deno.readTextFileSync(path).trim();
        } catch {
          // of another hierarchy, or version
        }
      }
      return undefined;
    };
    equal(file("cpuset.cpus"), "0");
    equal(file("pids.max"), "9");
    equal(file("memory.max", "memory.limit_in_bytes"), String(64 << 20));
    const swap = file("memory.swap.max");
    equal(
      swap === undefined ? Number(file("memory.memsw.limit_in_bytes")) : Number(swap) + (64 << 20),
      96 << 20,
    );
    equal(file("cpu.max") ?? `${file("cpu.cfs_quota_us")} ${file("cpu.cfs_period_us")}`, "50000 100000");
    const rates = file("io.max") ?? ["read_bps", "write_bps", "write_iops"].map((kind) => {
      return file(`blkio.throttle.${kind}_device`);
    }).join(" ");
    for (const each of [device.numbers, "1048576", "2097152", "100"]) ok(rates.includes(each), rates);
    child.kill("SIGTERM");
    await child.status;
    deepEqual(directories.filter(exists), []);
    await Promise.all([child.stdout.cancel(), child.stderr.cancel(), child.stdin.abort()]);
  });

  launchTest("run --cgroup-manager disabled makes no cgroup for the limits of a bundle", async (bundle) => {
    const cgroupsPath = `/ai-sandbox-disabled-${Deno.pid}`;
    bundle.write("sleep 0.1; echo ran", {
      linux: { cgroupsPath, resources: { pids: { limit: 0 }, devices: [{ allow: false, access: "rwm" }] } },
      process: { capabilities: {} },
    });
    equal((await cli(["run", "--cgroup-manager", "disabled", bundle.path])).stdout, "ran\n");
    // The limit that was not applied: version 2 lets not even init be born, version 1 none besides.
    const { code, stderr } = await cli(["run", bundle.path]);
    ok(code !== 0);
    match(stderr, /pids\.max|fork/);
  });

  launchTest("run --cgroup-manager disabled refuses what nobody else can see to", async (bundle) => {
    bundle.write("echo ran", { linux: { resources: { devices: [{ allow: false, access: "rwm" }] } } });
    const { code, stderr, stdout } = await cli(["run", "--cgroup-manager", "disabled", bundle.path]);
    deepEqual([code, stdout], [1, ""]);
    match(stderr, /Cannot apply \/linux\/resources\/devices: only a cgroup can[^\n]*CAP_MKNOD/);
  });
}

/** Tests of what flags of `run` refuse. */
export function refusedFlagTests(): void {
  for (
    const [args, said] of [
      [["--cgroup-manager", "disabled", "--pids", "5"], /Cannot use --pids with --cgroup-manager disabled/],
      [["--cgroup-manager", "systemd"], /Cannot use "systemd" for --cgroup-manager/],
      [["--cpuset", "a"], /Cannot use "a" for --cpuset/],
      [["--io-max", "/dev/null:rbps=1"], /Cannot limit "\/dev\/null": it is no block device/],
      [["--io-max", "/dev/sda"], /Cannot use "\/dev\/sda" for --io-max/],
      [["--io-max", "/dev/sda:rbps=1,rbps=2"], /Cannot use "[^"]+" for --io-max/],
      [["--memory-swap", "1GB"], /Cannot apply \/linux\/resources\/memory\/swap: [^\n]*memory has no limit/],
      [["--memory", "2GB", "--memory-swap", "1GB"], /memory\/swap: [^\n]*below/],
    ] as const
  ) {
    launchTest(`run ${args.join(" ")} is refused`, async () => {
      const { code, stdout, stderr } = await cli(["run", ...args, "--", "echo", "ran"]);
      deepEqual([code, stdout], [1, ""]);
      match(stderr, said);
    });
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
