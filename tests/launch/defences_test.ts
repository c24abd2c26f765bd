import { equal, match, rejects } from "node:assert/strict";
import { LaunchError, Sandbox } from "../../mod.ts";
import { CgroupGroup } from "../../runtime/cgroup/group.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { cli } from "../helpers/cli.ts";
import { ALL_CAPABILITIES } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { skip } from "../helpers/skip.ts";

/** The capabilities of a program, without `less`. */
function capabilities(
  less?: string,
): { capabilities: Record<"bounding" | "permitted" | "effective", string[]> } {
  const all = ALL_CAPABILITIES.filter((name) => name !== less);
  return { capabilities: { bounding: all, permitted: all, effective: all } };
}

launchTest("a device file of the rootfs is shut for a program without CAP_MKNOD", async (bundle) => {
  const made = await new Deno.Command("mknod", { args: [`${bundle.rootfs}/planted`, "c", "1", "5"] })
    .output();
  equal(made.code, 0);
  const read = "head -c 3 /planted | wc -c";
  equal(await bundle.output(read, { process: capabilities() }), "3", "with the capability it opens");
  const shut = await bundle.run(read, { process: capabilities("CAP_MKNOD") });
  equal(shut.stdout, "0\n");
  match(shut.stderr, /Permission denied/);
});

launchTest("Sandbox.run() reports the launcher's failed step, not the gate that it left", async (bundle) => {
  const path = `${bundle.path}/nowhere`;
  bundle.write("true", {
    linux: { namespaces: [{ type: "mount" }, { type: "pid" }, { type: "network", path }] },
  });
  for (let turn = 0; turn < 5; turn++) {
    await rejects(Sandbox.run({ bundle: bundle.path }), (error: unknown) => {
      equal(error instanceof LaunchError, true, String(error));
      match(String(error), /network namespace ".*nowhere".*ENOENT/);
      return true;
    });
  }
});

launchTest("run tells a kill for want of memory from another, without limits of its own", async (bundle) => {
  const { cgroups } = probeHost();
  if (!cgroups.some(({ controllers }) => controllers.split(",").includes("memory"))) {
    return skip("no cgroup version 1 with the memory controller is mounted here");
  }
  const resources = { memory: { limit: 300 << 20, swap: 300 << 20 } };
  await using group = await CgroupGroup.create(`ai-sandbox-outer-${Deno.pid}`, resources, cgroups);
  const join = group.directories.map((each) => `echo 0 > ${each}/cgroup.procs`).join("; ");
  const result = `${bundle.path}/result`;
  const run = async (code: string, within: string[] = []): Promise<Record<string, unknown>> => {
    const wrapper = ["sh", "-c", `${join}; exec "$@"`, "sh", ...within];
    await cli(["run", "--result", result, "--", "python3", "-c", code], { wrapper });
    return JSON.parse(Deno.readTextFileSync(result));
  };
  const [greedy, modest] = ["x = bytearray(600 << 20)", "pass"];
  // The kernel's log names processes by their pids in the first pid namespace of the machine.
  const isFirst = Deno.readLinkSync("/proc/self/ns/pid") === "pid:[4026531836]";
  equal((await run(greedy)).oomKilled, isFirst ? true : null);
  equal((await run(greedy, ["unshare", "--pid", "--fork", "--mount-proc"])).oomKilled, null);
  equal((await run(modest)).oomKilled, false);
});
