import { deepEqual, equal, match } from "node:assert/strict";
import { BOX, Containers } from "../helpers/containers.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { containerTest } from "../helpers/container_test.ts";

/** How long commands are let race. */
const RACE_MS = 6_000;
const SEED = 7;

containerTest("commands that race on one id end by themselves, and nothing of it is left", async () => {
  await using containers = new Containers();
  const random = numbers(SEED);
  const commands = [
    ["create", BOX],
    ["create", BOX],
    ["start", BOX],
    ["delete", "--force", BOX],
    ["pause", BOX],
    ["kill", BOX, "KILL"],
    ["run", "--detach", BOX],
    ["state", BOX],
  ];
  const race = async (): Promise<void> => {
    for (const end = Date.now() + RACE_MS; Date.now() < end;) {
      const command = commands[random() % commands.length]!;
      const { code, stderr } = await containers.run(...command);
      match(String(code), /^[01]$/, `${command.join(" ")}: ${stderr}`);
      // What a command says of a container that another one has just taken away is no accident in it.
      equal(/TypeError|ReferenceError|at file:/.test(stderr), false, stderr);
    }
  };
  await Promise.all([race(), race(), race()]);
  await containers.output("delete", "--force", BOX);
  deepEqual(await containers.run("list", "--quiet"), { code: 0, stdout: "", stderr: "" });
});

containerTest("process groups that are killed at any moment under load leave nothing behind", async () => {
  await using containers = new Containers(["setsid", ...RUNTIME]);
  const random = numbers(SEED);
  const before = await took(containers);
  for (const end = Date.now() + RACE_MS; Date.now() < end;) {
    const command = random() % 3 === 0 ? ["delete", "--force", BOX] : ["run", "--detach", BOX];
    const { child, answer } = containers.begin(...command);
    await new Promise((resolve) => setTimeout(resolve, random() % before));
    killGroup(child.pid);
    await answer;
    if (random() % 2 === 0) await containers.output("delete", "--force", BOX);
  }
  await containers.output("delete", "--force", BOX);
});

/** The group of a process, or itself while it leads none yet; it may have ended. */
function killGroup(pid: number): void {
  for (const each of [-pid, pid]) {
    try {
      return Deno.kill(each, "SIGKILL");
    } catch {
      // There is none.
    }
  }
}

async function took(containers: Containers): Promise<number> {
  const began = performance.now();
  await containers.output("run", "--detach", BOX);
  const ms = Math.ceil(performance.now() - began);
  await containers.output("delete", "--force", BOX);
  return ms;
}

/** Numbers that look like chance and are the same each time (xorshift32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
