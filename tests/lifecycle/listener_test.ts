import { deepEqual, equal, match } from "node:assert/strict";
import type { Seccomp, Spec } from "../../runtime/spec/config.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";

const AGENT = new URL("../testdata/seccomp_agent.py", import.meta.url).pathname;

function specWith(containers: Containers, seccomp: Partial<Seccomp>, script: string): Partial<Spec> {
  const { process, linux }: Spec = JSON.parse(Deno.readTextFileSync(`${containers.bundle.path}/config.json`));
  const whole: Seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    listenerPath: `${containers.bundle.path}/socket`,
    listenerMetadata: "for the agent",
    syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }],
    ...seccomp,
  };
  return { process: { ...process!, args: ["/bin/sh", "-c", script] }, linux: { ...linux, seccomp: whole } };
}

for (const noNewPrivileges of [true, false]) {
  containerTest(
    `create hands a filter's listener to the agent, noNewPrivileges ${noNewPrivileges}`,
    async () => {
      await using containers = new Containers();
      const { process, linux } = specWith(containers, {}, "mkdir /tmp/new; echo $?; exec sleep 300");
      containers.write([], { process: { ...process!, noNewPrivileges }, linux: linux! });
      const path = `${containers.bundle.path}/socket`;
      const agent = new Deno.Command("python3", { args: [AGENT, path], stdout: "piped" }).spawn();
      const lines = agent.stdout.pipeThrough(new TextDecoderStream());
      const reader = lines.getReader();
      let heard = "";
      while (!heard.endsWith("\n")) heard += (await reader.read()).value;
      equal(heard, "listening\n");
      await containers.output("create", BOX);
      heard = "";
      while (!heard.includes("\n")) heard += (await reader.read()).value;
      const said = JSON.parse(heard.split("\n")[0]!);
      const { pid } = JSON.parse(await containers.output("state", BOX));
      deepEqual([said.fds, said.metadata, said.pid], [["seccompFd"], "for the agent", pid]);
      deepEqual(said.state, {
        ociVersion: "1.2.0",
        id: BOX,
        status: "creating",
        pid,
        bundle: containers.bundle.path,
        annotations: { purpose: "test" },
      });
      await containers.output("start", BOX);
      equal((await agent.status).code, 0);
      await reader.cancel();
      while (!containers.said(0).stdout) await new Promise((resolve) => setTimeout(resolve, 20));
      equal(containers.said(0).stdout, "1\n", "mkdir was refused");
      await containers.output("delete", "--force", BOX);
    },
  );
}

containerTest("create fails, and leaves nothing, when nobody takes the listener", async () => {
  await using containers = new Containers();
  containers.write([], specWith(containers, {}, "exit 0"));
  const { code, stderr } = await containers.run("create", BOX);
  equal(code, 1);
  match(stderr, /Cannot connect to ".*socket": ENOENT/);
  equal(await containers.output("list", "--quiet"), "");
});

containerTest("create refuses a filter that denies what waiting for start takes", async () => {
  await using containers = new Containers();
  const syscalls: Seccomp["syscalls"] = [{ names: ["read"], action: "SCMP_ACT_ERRNO" }, {
    names: ["mkdir"],
    action: "SCMP_ACT_NOTIFY",
  }];
  containers.write([], specWith(containers, { syscalls }, "exit 0"));
  const { code, stderr } = await containers.run("create", BOX);
  equal(code, 1);
  match(stderr, /the filter does not allow read/);
});
