import { deepEqual, equal } from "node:assert/strict";
import { withRuntime } from "../helpers/built.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";

const KEPT = "/run/ai-sandbox/execs";

function kept(): Set<string> {
  try {
    return new Set([...Deno.readDirSync(KEPT)].map(({ name }) => name));
  } catch {
    return new Set();
  }
}

containerTest(
  "a built command keeps the images of exec, and makes new ones where anything differs",
  () =>
    withRuntime(async (program) => {
      await using containers = new Containers(program);
      const passwd = (home: string): string =>
        containers.bundle.file("etc/passwd", `root:x:0:0::${home}:/bin/sh\n`);
      passwd("/first");
      await containers.output("run", "--detach", BOX);
      const before = kept();
      const script = ["sh", "-c", "echo $HOME; id -u; exit 3"];
      const exec = async (...flags: string[]): Promise<unknown[]> => {
        const { code, stdout, stderr } = await containers.run("exec", ...flags, BOX, ...script);
        return [code, stdout, stderr];
      };
      const added = (): number => [...kept()].filter((name) => !before.has(name)).length;
      deepEqual(await exec(), [3, "/first\n0\n", ""]);
      equal(added(), 1);
      deepEqual(await exec(), [3, "/first\n0\n", ""]);
      equal(added(), 1);
      passwd("/second");
      deepEqual(await exec(), [3, "/second\n0\n", ""]);
      deepEqual(await exec("--user", "7"), [3, "/\n7\n", ""]);
      equal(added(), 3);
      // What fails says so from the kept image too.
      const tool = containers.bundle.file("bin/tool", "#!/bin/sh\necho tool\n", 0o755);
      equal((await containers.run("exec", BOX, "/bin/tool")).stdout, "tool\n");
      Deno.removeSync(tool);
      deepEqual(await containers.run("exec", BOX, "/bin/tool"), {
        code: 255,
        stdout: "",
        stderr:
          'runtime: exec failed: unable to start container process: exec: "/bin/tool": stat /bin/tool: no such file or directory\n',
      });
      for (const name of kept()) if (!before.has(name)) Deno.removeSync(`${KEPT}/${name}`);
      await containers.output("delete", "--force", BOX);
    }),
);
