import { deepEqual, match } from "node:assert/strict";
import { WITHOUT_CGROUPS } from "../helpers/cgroups.ts";
import { AS_STRANGER, bundled, cli, type Said, Temporary } from "../helpers/cli.ts";
import { namespaces } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";

const wrapper = [...WITHOUT_CGROUPS];

function ends({ code, stdout, stderr }: Said): [number, string, string] {
  return [code, stdout, stderr];
}

launchTest("run needs no cgroups for a program without limits", async () => {
  deepEqual(ends(await cli(["run", "--", "sh", "-c", "echo $$"], { wrapper })), [0, "1\n", ""]);
  using here = new Temporary();
  const stranger = { wrapper: [...wrapper, ...AS_STRANGER], program: await bundled(here), cwd: here.path };
  deepEqual(ends(await cli(["run", "--", "sh", "-c", "echo $$"], stranger)), [0, "1\n", ""]);
});

launchTest("run and compile need no cgroups for a bundle without limits", async (bundle) => {
  bundle.write("echo $$", { linux: { namespaces: namespaces(["cgroup"]) } });
  const ran = await cli(["run", bundle.path], { wrapper });
  deepEqual([ran.code, ran.stdout], [0, "1\n"], ran.stderr);
  const box = `${bundle.path}/box`;
  deepEqual(ends(await cli(["compile", bundle.path, "-o", box], { wrapper })).slice(0, 1), [0]);
  const boxed = await cli([], { wrapper, program: [box] });
  deepEqual([boxed.code, boxed.stdout], [0, "1\n"], boxed.stderr);
});

launchTest("run refuses what it needs cgroups for by name where there are none", async (bundle) => {
  for (
    const [flag, value, property] of [
      ["--memory", "64MB", "memory"],
      ["--cpu", "0.5", "cpu"],
      ["--pids", "5", "pids"],
    ] as const
  ) {
    const { code, stdout, stderr } = await cli(["run", flag, value, "--", "true"], { wrapper });
    deepEqual([code, stdout], [1, ""]);
    match(
      stderr,
      new RegExp(`^runtime: Cannot apply /linux/resources/${property}\\b[^\\n]*mount[^\\n]*\\n$`),
    );
  }
  bundle.write("true", { linux: { namespaces: namespaces([], ["pid"]) } });
  const { code, stderr } = await cli(["run", bundle.path], { wrapper });
  deepEqual(code, 1);
  match(stderr, /Cannot apply \/linux\/namespaces: .*no cgroup version 2 here; add \{"type": "pid"\}\n$/);
});
