import { deepEqual, equal, match, ok } from "node:assert/strict";
import { hasCompiler } from "../helpers/c_program.ts";
import { eventually, waitUntil } from "../helpers/eventually.ts";
import { isThere } from "../../ffi/look.ts";
import { attachedTest, FIRST, recreateTest } from "../helpers/recreates.ts";
import { skip } from "../helpers/skip.ts";
import { Followed } from "./followed.ts";
import type { Call } from "./injector.ts";

/** How a command ends by SIGTERM. */
const TERMINATED = 128 + 15;
const LINE = ["run", "--detach", FIRST];
const FREEZER = `/sys/fs/cgroup/freezer/${FIRST}`;

/** The calls of a run without Deno that nothing is done to; its container is deleted. */
async function callsOf(followed: Followed, line: readonly string[]): Promise<readonly Call[]> {
  const said = await followed.run(line, { program: followed.alone() });
  deepEqual([said.code, said.stderr], [0, ""]);
  await followed.containers.run("delete", "--force", FIRST);
  return said.calls;
}

recreateTest(
  "a signal ends run --detach without Deno once its program may begin, and nothing else",
  async (containers) => {
    if (!hasCompiler) return skip("needs gcc");
    using followed = new Followed(containers);
    const call = (await callsOf(followed, LINE)).findLast(({ process, name }) =>
      process > 0 && name === "execve"
    );
    ok(call, "the program is begun by init");
    const does = { meanwhile: "kill -TERM $COMMAND" };
    const said = await followed.run(LINE, { program: followed.alone(), turn: { call, does } });
    equal(said.hit?.name, "execve");
    equal(said.code, TERMINATED);
    await containers.until(FIRST, "running");
    await containers.output("delete", "--force", FIRST);
  },
);

recreateTest("a signal that comes before it is heard who init is leaves nothing", async (containers) => {
  if (!hasCompiler) return skip("needs gcc");
  using followed = new Followed(containers);
  const call = (await callsOf(followed, ["create", FIRST])).find(({ process }) => process === 1);
  ok(call, "the launcher is the first child");
  const file = `${followed.path}/command`;
  // It stands still until all has been told that it is to hear.
  const does = { meanwhile: `echo $COMMAND >${file}.new; mv ${file}.new ${file}; kill -STOP $COMMAND` };
  const { done } = followed.begin(["create", FIRST], { turn: { call, does } });
  await waitUntil(() => isThere(file), "its first child");
  const command = Number(Deno.readTextFileSync(file));
  const children = (): string[] => {
    const pids = Deno.readTextFileSync(`/proc/${command}/task/${command}/children`).trim().split(" ");
    return pids.map((pid) => / ([A-Za-z]) /.exec(Deno.readTextFileSync(`/proc/${pid}/stat`))![1]!).sort();
  };
  deepEqual(await eventually(children, (states) => states.join() === "S,Z"), ["S", "Z"]);
  Deno.kill(command, "SIGTERM");
  Deno.kill(command, "SIGCONT");
  equal((await done).code, TERMINATED);
  deepEqual([...Deno.readDirSync(containers.root)], []);
  equal(isThere(FREEZER), false);
});

recreateTest("a signal that comes before there is an init ends the launcher", async (containers) => {
  if (!hasCompiler) return skip("needs gcc");
  using followed = new Followed(containers);
  const launcher = (await callsOf(followed, ["create", FIRST])).filter(({ process }) => process === 1);
  const call = launcher[launcher.findIndex(({ name }) => name === "execveat") + 1];
  ok(call, "it does something");
  const file = `${followed.path}/pids`;
  const child = "$(cat /proc/$COMMAND/task/$COMMAND/children)";
  const does = {
    meanwhile: `kill -STOP ${child}; echo $COMMAND ${child} >${file}.new; mv ${file}.new ${file}`,
  };
  const { done } = followed.begin(["create", FIRST], { turn: { call, does } });
  await waitUntil(() => isThere(file), "its first child");
  const [command, stopped] = Deno.readTextFileSync(file).trim().split(" ").map(Number);
  Deno.kill(command!, "SIGTERM");
  equal((await done).code, TERMINATED);
  equal(isThere(`/proc/${stopped}`), false);
  equal(isThere(FREEZER), false);
  await containers.output("delete", "--force", FIRST); // nobody has said that there is no init
});

recreateTest("run --detach without Deno takes away what could not become the program", async (containers) => {
  using followed = new Followed(containers);
  const tool = `${containers.bundle.rootfs}/bin/sh`;
  Deno.removeSync(tool);
  Deno.writeTextFileSync(tool, "\x7fno program", { mode: 0o755 });
  containers.program = followed.alone();
  const { code, stderr } = await containers.run(...LINE);
  containers.program = containers.program.slice(2);
  equal(code, 127);
  match(stderr, /libc\.so\.6/);
  deepEqual([...Deno.readDirSync(containers.root)], []);
  equal(isThere(FREEZER), false);
  Deno.removeSync(tool);
  Deno.symlinkSync("busybox", tool);
});

/** The call that opens the start gate. */
function gateCall(calls: readonly Call[]): Call {
  const call = calls.findLast(({ process, name, detail }) => {
    return process === 0 && name === "write" && detail.endsWith(".fifo");
  });
  ok(call, "it opens the gate");
  return call;
}

/** Runs a container that is frozen before its program may begin. */
async function late(followed: Followed, line: readonly string[]): Promise<void> {
  const call = gateCall(await callsOf(followed, line));
  const freeze = (): void => Deno.writeTextFileSync(`${FREEZER}/freezer.state`, "FROZEN");
  const { code, stderr } = await followed.during(call, freeze, [line]);
  equal(code, 1);
  match(stderr, /has not become the program in 10000 ms/);
  equal(isThere(`${followed.containers.root}/${FIRST}`), false);
  equal(isThere(FREEZER), false);
}

recreateTest(
  "run --detach without Deno waits ten seconds for its program, and takes it away",
  async (containers) => {
    if (!hasCompiler) return skip("needs gcc");
    using followed = new Followed(containers);
    await late(followed, LINE);
  },
);

attachedTest(
  "run --bundle without Deno waits ten seconds for its program, and takes it away",
  async (attached) => {
    if (!hasCompiler) return skip("needs gcc");
    using followed = new Followed(attached.containers);
    await late(followed, attached.line(FIRST));
  },
);
