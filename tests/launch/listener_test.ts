import { equal, match, rejects } from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import type { Seccomp } from "../../runtime/spec/config.ts";
import { launchTest } from "../helpers/launch_leaks.ts";

const AGENT = new URL("../testdata/seccomp_agent.py", import.meta.url).pathname;
const [SYS_mkdir, SYS_mkdirat] = Deno.build.arch === "x86_64" ? [83, 258] : [-1, 34];

function asking(listenerPath: string): Seccomp {
  return {
    defaultAction: "SCMP_ACT_ALLOW",
    listenerPath,
    listenerMetadata: "for the agent",
    syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }],
  };
}

launchTest(
  "Sandbox.run() hands the listener of a filter that notifies to the agent, who decides",
  async (bundle) => {
    const path = `${bundle.path}/socket`;
    const process = { noNewPrivileges: true };
    bundle.write("mkdir /tmp/new; echo $?", { process, linux: { seccomp: asking(path) } });
    const agent = new Deno.Command("python3", { args: [AGENT, path], stdout: "piped" }).spawn();
    const lines = agent.stdout.pipeThrough(new TextDecoderStream());
    const reader = lines.getReader();
    let heard = "";
    while (!heard.endsWith("\n")) heard += (await reader.read()).value;
    equal(heard, "listening\n");
    reader.releaseLock();
    await using sandbox = await Sandbox.run({ bundle: bundle.path, id: "asking", stderr: "null" });
    equal(await new Response(sandbox.stdout).text(), "1\n", "mkdir was refused");
    const [message = "", call] = (await Array.fromAsync(lines)).join("").split("\n");
    const said = JSON.parse(message);
    equal(said.metadata, "for the agent");
    equal(said.fds[0], "seccompFd");
    equal(said.state.id, "asking");
    equal(said.state.bundle, bundle.path);
    equal(said.pid, sandbox.pid);
    match(String(call), new RegExp(`^(${SYS_mkdir}|${SYS_mkdirat})$`));
    equal((await agent.status).code, 0);
  },
);

launchTest("Sandbox.run() fails when nobody takes the listener of a filter", async (bundle) => {
  bundle.write("echo begun", { linux: { seccomp: asking(`${bundle.path}/nobody`) } });
  await rejects(Sandbox.run({ bundle: bundle.path }), /Cannot connect to ".*nobody": ENOENT/);
});
