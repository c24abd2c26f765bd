import { deepEqual, equal } from "node:assert/strict";
import { RUNTIME, STRANGER } from "../helpers/cli.ts";
import { containerTest } from "../helpers/container_test.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { MOUNTS } from "../helpers/launch_bundle.ts";
import { OwnSystemd } from "../helpers/systemd.ts";
import { StrangersHome, strangersLinux } from "../helpers/strangers_home.ts";
import type { Spec } from "../../runtime/spec/config.ts";

containerTest("a user without rights has containers in scopes of the own instance of systemd", async () => {
  await using systemd = await OwnSystemd.start();
  const { wrapper, path } = await systemd.startUser(STRANGER);
  await using containers = new Containers();
  using own = new StrangersHome(containers.bundle.path);
  const linux = { ...strangersLinux(), cgroupsPath: `:box:${BOX}` };
  containers.write(["/bin/sleep", "300"], { linux, mounts: MOUNTS } as Partial<Spec>);
  const script = `exec "$@" </dev/null >${own.path}/out 2>${own.path}/err`;
  const run = async (...args: readonly string[]): Promise<string> => {
    const runtime = [...RUNTIME, "--systemd-cgroup", "--root", `${own.path}/containers`, ...args];
    const [program = "", ...rest] = [
      ...wrapper,
      `DENO_DIR=${own.cache}`,
      "sh",
      "-c",
      script,
      "sh",
      ...runtime,
    ];
    const { code } = await new Deno.Command(program, { args: rest, cwd: containers.bundle.path }).output();
    equal(code, 0, `${args.join(" ")}: ${Deno.readTextFileSync(`${own.path}/err`)}`);
    return Deno.readTextFileSync(`${own.path}/out`);
  };
  await run("run", "--detach", BOX);
  const scope = `${path}/user.slice/box-${BOX}.scope`;
  const limit = (): string => Deno.readTextFileSync(systemd.file(scope, "pids.max")).trim();
  deepEqual([JSON.parse(await run("ps", "--format", "json", BOX)).length, limit()], [1, "20"]);
  await run("update", "--pids-limit", "7", BOX);
  equal(limit(), "7");
  await run("delete", "--force", BOX);
});
