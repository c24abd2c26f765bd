import { deepEqual, equal, match, ok } from "node:assert/strict";
import { probeHost } from "../../runtime/host/probe.ts";
import { AS_STRANGER, bundled, cli, start, Temporary } from "../helpers/cli.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { skip } from "../helpers/skip.ts";

/** The directories of our groups, in every hierarchy. */
function groups(name: string): string[] {
  return probeHost().cgroups.flatMap(({ mountPoint, own }) => {
    const parent = `${mountPoint}${own === "/" ? "" : own}`;
    return [...Deno.readDirSync(parent)].filter((each) => each.name === name).map(() => `${parent}/${name}`);
  });
}

function has(controller: string): boolean {
  const found = probeHost().cgroups.some(({ version, controllers, mountPoint }) => {
    const all = version === 1 ? controllers : Deno.readTextFileSync(`${mountPoint}/cgroup.controllers`);
    return all.trim().split(/[ ,]/).includes(controller);
  });
  if (!found) skip(`no cgroup hierarchy here has the controller ${controller}`);
  return found;
}

async function record(
  args: readonly string[],
): Promise<Record<string, unknown> & { exit: unknown; stdout: string; stderr: string }> {
  const file = Deno.makeTempFileSync();
  try {
    const { stdout, stderr } = await cli(["run", "--result", file, ...args]);
    return { ...JSON.parse(Deno.readTextFileSync(file)), stdout, stderr };
  } finally {
    Deno.removeSync(file);
  }
}

launchTest("run --memory ends a program that takes more, and the record says so", async () => {
  if (!has("memory")) return;
  const id = `memory-${Deno.pid}`;
  const said = await record([
    "--id",
    id,
    "--memory",
    "64MB",
    "--",
    "python3",
    "-c",
    "x = bytearray(200 << 20); print('no')",
  ]);
  deepEqual(said.exit, { kind: "limit", limit: "memory" });
  equal(said.oomKilled, true);
  equal(said.exitCode, 137);
  equal(said.stdout, "");
  equal(said.stderr, "runtime: the sandbox was killed: its memory was used up; allow more with --memory\n");
  // What the group counted: the process's own figure is higher, for pages that it shares count there too.
  const peak = Number(said.peakMemoryBytes);
  ok(peak > 50 << 20 && peak <= 64 << 20, String(peak));
  deepEqual(groups(`ai-sandbox-${id}`), []);
});

launchTest("run --cpu keeps all processes of a sandbox together at the quota", async () => {
  if (!has("cpu")) return;
  // Two processes that take half a second of CPU time each: on a busy machine that lasts longer, never less.
  const loop =
    "import time, os\nchild = os.fork()\nwhile time.process_time() < 0.5: pass\nchild and os.wait()";
  const { cpuUserMs, cpuSystemMs, wallMs } = await record(["--cpu", "0.5", "--", "python3", "-c", loop]);
  const used = Number(cpuUserMs) + Number(cpuSystemMs);
  ok(used >= 900, `they took ${used} ms of CPU time`);
  const share = used / Number(wallMs);
  ok(share < 0.6, `${share} of a CPU`);
});

launchTest("run --pids refuses more processes", async () => {
  if (!has("pids")) return;
  const { stderr } = await cli([
    "run",
    "--pids",
    "8",
    "--",
    "sh",
    "-c",
    "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait",
  ]);
  match(stderr, /fork/);
});

launchTest(
  "run applies the resources of a bundle, and shows it its own cgroup as the root",
  async (bundle) => {
    if (!has("pids") || !has("memory")) return;
    const path = `/ai-sandbox-bundle-${Deno.pid}`;
    bundle.write("cat /proc/self/cgroup; i=0; while [ $i -lt 9 ]; do sleep 60 & i=$((i+1)); done; wait", {
      linux: {
        cgroupsPath: path,
        namespaces: ["pid", "mount", "cgroup"].map((type) => ({ type: type as "pid" })),
        resources: { pids: { limit: 5 }, memory: { limit: 64 << 20 } },
      },
    });
    const { stdout, stderr } = await cli(["run", bundle.path]);
    match(stderr, /fork/);
    match(stdout, /:pids:\/$/m);
    deepEqual(groups(path.slice(1)), []);
  },
);

launchTest("a sandbox with limits leaves no cgroup behind when its command is killed", async () => {
  if (!has("pids")) return;
  const id = `killed-${Deno.pid}`;
  const child = start(["run", "--id", id, "--pids", "20", "--", "sh", "-c", "echo up; sleep 60"]);
  const reader = child.stdout.getReader();
  equal(new TextDecoder().decode((await reader.read()).value), "up\n");
  ok(groups(`ai-sandbox-${id}`).length > 0);
  child.kill("SIGKILL");
  await child.status;
  for (
    const end = performance.now() + 30_000;
    performance.now() < end && groups(`ai-sandbox-${id}`).length > 0;
  ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  deepEqual(groups(`ai-sandbox-${id}`), []);
  await Promise.all([reader.cancel(), child.stderr.cancel(), child.stdin.abort()]);
});

launchTest("limits that cannot be had are refused by name, and nothing is left", async (bundle) => {
  const id = `refused-${Deno.pid}`;
  const run = (resources: unknown): ReturnType<typeof cli> => {
    bundle.write("echo begun", { linux: { resources: resources as never } });
    return cli(["run", "--id", id, bundle.path]);
  };
  const cpuset = await run({ cpu: { cpus: "4000-4001" } });
  equal(cpuset.code, 1);
  match(cpuset.stderr, /^runtime: [^\n]*cpus[^\n]*\n$/);
  deepEqual(groups(`ai-sandbox-${id}`), []);
  for (
    const [flag, value] of [["--cpu", "0"], ["--cpu", "x"], ["--memory", "0MB"], ["--pids", "1.5"]] as const
  ) {
    const { code, stderr } = await cli(["run", flag, value, "--", "true"]);
    equal(code, 1);
    match(stderr, new RegExp(`Cannot use "${value}" for ${flag}|Cannot use "${flag}"`));
  }
});

launchTest(
  "limits are refused for compiled bundles and for users who may not make cgroups",
  async (bundle) => {
    if (!has("pids")) return;
    bundle.write("echo begun", { linux: { resources: { pids: { limit: 5 } } } });
    const compiled = await cli(["compile", "-o", `${bundle.path}/box`, bundle.path]);
    equal(compiled.code, 1);
    match(compiled.stderr, /^runtime: Cannot apply \/linux\/resources: [^\n]*\n$/);
    using here = new Temporary();
    const other = await cli(["run", "--pids", "5", "--", "true"], {
      cwd: here.path,
      wrapper: AS_STRANGER,
      program: await bundled(here),
    });
    equal(other.code, 1);
    match(other.stderr, /Cannot apply \/linux\/resources: [^\n]*cgroup v1[^\n]*--cgroup-manager disabled/);
  },
);

launchTest("run says that there is too little memory to begin with, and leaves nothing", async () => {
  if (!has("memory")) return;
  const id = `starved-${Deno.pid}`;
  const { code, stdout, stderr } = await cli(["run", "--id", id, "--memory", "8k", "--", "echo", "begun"]);
  deepEqual([code, stdout], [1, ""]);
  match(
    stderr,
    /^runtime: Cannot apply \/linux\/resources\/memory: [^\n]*want of memory[^\n]*; allow more memory\n$/,
  );
  deepEqual(groups(`ai-sandbox-${id}`), []);
});

launchTest("run says so when a child was killed for want of memory and the program went on", async () => {
  if (!has("memory")) return;
  const script = "python3 -c 'x = bytearray(200 << 20)'; echo went on";
  const said = await cli(["run", "--memory", "64MB", "--", "sh", "-c", script]);
  equal(said.stdout, "went on\n");
  match(
    said.stderr,
    /runtime: the kernel killed one of its processes for want of memory: allow more with --memory\n$/,
  );
});
