import { deepEqual, equal, match, ok } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { hasCompiler } from "../helpers/c_program.ts";
import { cli, type Said, Temporary } from "../helpers/cli.ts";
import { FIRST, recreateTest } from "../helpers/recreates.ts";
import { skip } from "../helpers/skip.ts";
import { buildInjector, injected, type Point, readLog } from "./injector.ts";

const LIMIT_S = 90;

recreateTest(
  "a first process that cannot be killed when a create without Deno is undone is ended by Deno",
  async (containers) => {
    if (!hasCompiler) return skip("needs gcc");
    using directory = new Temporary();
    const injector = buildInjector(directory.path);
    const log = `${directory.path}/log`;
    const { bundle, program, root } = containers;
    const line = ["--root", root, "create", "--pid-file", `${directory.path}/missing/pid`, FIRST];
    const run = async (point?: Point): Promise<Said> => {
      const wrapper = injected(injector, { from: root, log, limitS: LIMIT_S, point });
      const said = await cli(line, { program, wrapper, cwd: bundle.path });
      equal(said.code, 1);
      match(said.stderr, /Cannot write the pid/);
      return said;
    };
    await run();
    const kill = readLog(log).calls.find(({ process, name }) => process === 0 && name === "kill");
    ok(kill, "it is undone by a signal");
    await run({ process: 0, number: kill.number, fault: "EPERM" });
    equal(readLog(log).hit?.name, "kill");
    deepEqual([...Deno.readDirSync(root)], []);
    ok(!isThere(`/sys/fs/cgroup/freezer/${FIRST}`), "its cgroup is gone");
  },
);
