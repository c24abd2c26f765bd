import { deepEqual, equal, match, ok } from "node:assert/strict";
import { hasCompiler } from "../helpers/c_program.ts";
import { cli, Temporary } from "../helpers/cli.ts";
import { FIRST, recreateTest } from "../helpers/recreates.ts";
import { skip } from "../helpers/skip.ts";
import { buildInjector, type Call, injected, type Point, readLog } from "./injector.ts";

const LIMIT_S = 90;
const GROUPS = "/sys/fs/cgroup";

/** The directories of cgroups that are called as the container. */
function groupsLeft(): string[] {
  return Array.from(Deno.readDirSync(GROUPS), ({ name }) => `${GROUPS}/${name}/${FIRST}`).filter((path) => {
    try {
      return Deno.statSync(path).isDirectory;
    } catch {
      return false;
    }
  });
}

recreateTest(
  "what cannot be taken away when a create without Deno is undone is by Deno: its first process, its cgroups",
  async (containers) => {
    if (!hasCompiler) return skip("needs gcc");
    using directory = new Temporary();
    const injector = buildInjector(directory.path);
    const log = `${directory.path}/log`;
    const { bundle, program, root } = containers;
    const line = ["--root", root, "create", "--pid-file", `${directory.path}/missing/pid`, FIRST];
    /** Both ways fail to write the pid. */
    const run = async (point?: Point): Promise<ReturnType<typeof readLog>> => {
      const wrapper = injected(injector, { from: root, log, limitS: LIMIT_S, point });
      const said = await cli(line, { program, wrapper, cwd: bundle.path });
      equal(said.code, 1);
      match(said.stderr, /Cannot write the pid/);
      return readLog(log);
    };
    const calls = (await run()).calls.filter(({ process }) => process === 0);
    const kill = calls.findIndex(({ name }) => name === "kill");
    ok(kill >= 0, "it is undone by a signal");
    const isRemoval = ({ name, detail }: Call): boolean => name === "unlinkat" && detail === FIRST;
    const removals = calls.slice(kill + 1).filter(isRemoval);
    const last = calls.slice(kill + 1).findIndex(({ name, detail }) =>
      name === "unlinkat" && detail !== FIRST
    );
    const groups = removals.filter((call) => calls.indexOf(call) < kill + 1 + last);
    ok(groups.length > 0, "it removes its cgroups one by one");
    for (const call of [calls[kill]!, groups[0]!, groups.at(-1)!]) {
      const { hit } = await run({ process: 0, number: call.number, fault: "EPERM" });
      equal(hit?.name, call.name);
      deepEqual([...Deno.readDirSync(root)], []);
      deepEqual(groupsLeft(), []);
    }
  },
);
