import { equal, match, ok } from "node:assert/strict";
import { builtRuntime } from "../helpers/built.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";

const SCRIPT = 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"';

/** The built command in a directory that is gone, as containerd's shim calls it when the pod of a container has been stopped. */
async function nowhere(containers: Containers): Promise<string[]> {
  return ["/bin/sh", "-c", SCRIPT, `${containers.bundle.path}/gone`, await builtRuntime()];
}

containerTest("every command on a container works where the working directory has been removed", async () => {
  await using containers = new Containers();
  containers.program = await nowhere(containers);
  const { path } = containers.bundle;
  containers.args = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"];
  containers.write(containers.args);
  await containers.output("create", "--bundle", path, "--pid-file", `${path}/pid`, BOX);
  await containers.output("start", BOX);
  const spec = JSON.parse(Deno.readTextFileSync(`${path}/config.json`));
  Deno.writeTextFileSync(`${path}/process`, JSON.stringify({ ...spec.process, args: ["/bin/echo", "one"] }));
  for (let again = 0; again < 3; again++) { // from the second time on without Deno, where that can be
    equal(await containers.output("exec", BOX, "echo", "two"), "two\n");
    equal(await containers.output("exec", "--process", `${path}/process`, BOX), "one\n");
  }
  match(await containers.output("list"), new RegExp(BOX));
  match(await containers.output("ps", BOX), /sleep/);
  ok(JSON.parse(await containers.output("events", "--stats", BOX)));
  await containers.output("update", "--pids-limit", "99", BOX);
  await containers.output("pause", BOX);
  await containers.output("resume", BOX);
  await containers.output("kill", "--all", BOX, "TERM");
  equal(JSON.parse(await containers.output("state", BOX)).status, "running");
  await containers.output("kill", "--all", BOX, "KILL");
  await containers.output("delete", "--force", BOX);
});

containerTest("what goes by the working directory says that it has been removed", async () => {
  await using containers = new Containers();
  containers.program = await nowhere(containers);
  const { path } = containers.bundle;
  const removed =
    /Cannot find the working directory: it has been removed; go to another, or name whole paths/;
  for (
    const [said, ...args] of [
      [removed, "create", BOX],
      [removed, "create", "--bundle", "bundle", BOX],
      [
        /Cannot write the pid "pid": No such file or directory/,
        "create",
        "-b",
        path,
        "--pid-file",
        "pid",
        BOX,
      ],
      [removed, "run", "bundle"],
      [/Cannot write "\.\/config\.json": No such file or directory/, "spec"],
    ] as const
  ) {
    const { code, stderr } = await containers.run(...args);
    match(stderr, said);
    equal(code, 1);
  }
  equal(await containers.output("list", "--quiet"), "");
});
