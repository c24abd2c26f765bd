import { deepEqual, equal, ok } from "node:assert/strict";
import { inodeOfProcess } from "../../ffi/process.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Linux, Process } from "../../runtime/spec/config.ts";
import { cli } from "../helpers/cli.ts";
import { BOX } from "../helpers/containers.ts";
import { type Execs, execsTest } from "../helpers/execs.ts";
import { skip } from "../helpers/skip.ts";
import { bootNumber, tamper } from "../helpers/tamper.ts";

/** What a program says that a wrapper of the command runs, and whether that took Deno. */
async function wrapped(
  execs: Execs,
  wrapper: readonly string[],
  script: string,
): Promise<readonly [light: boolean, stdout: string]> {
  const { root, program } = execs.containers;
  const before = Deno.statSync(execs.file).ino;
  const args = ["--root", root, "exec", BOX, "sh", "-c", script];
  const { stdout } = await cli(args, { program, wrapper });
  return [Deno.statSync(execs.file).ino === before, stdout];
}

async function pidOf({ containers }: Execs): Promise<number> {
  return JSON.parse(await containers.output("state", BOX)).pid;
}

execsTest("what a caller has that others have not takes Deno", async (execs) => {
  const namespaces = starterSpec().linux!.namespaces!.filter(({ type }) => type !== "network");
  await execs.begin({ linux: { ...starterSpec().linux, namespaces } as Linux });
  await execs.first();
  const [net, limit] = ["readlink /proc/self/ns/net", "ulimit -Hn; ulimit -Sn"];
  const host = `${Deno.readLinkSync("/proc/self/ns/net")}\n`;
  deepEqual(await wrapped(execs, [], net), [true, host]);
  deepEqual(await wrapped(execs, ["unshare", "-n"], net), [false, host]);
  deepEqual(await wrapped(execs, [], net), [false, host]);
  for (const [files, said] of [["777:777", "777\n777\n"], ["555:777", "777\n555\n"]] as const) {
    deepEqual(await wrapped(execs, ["prlimit", `--nofile=${files}`], limit), [false, said]);
    deepEqual(await wrapped(execs, ["prlimit", `--nofile=${files}`], limit), [true, said]);
  }
  const { stdout: own } = await cli([], { program: ["sh", "-c", limit] });
  deepEqual(await wrapped(execs, [], limit), [false, own]);
  const group = ["setpriv", "--regid=7", "--keep-groups"];
  deepEqual(await wrapped(execs, group, "echo"), [false, "\n"]);
});

execsTest("a program is where the first process has gone", async (execs) => {
  const { containers } = execs;
  const all = ["CAP_SYS_ADMIN"];
  const script = "while [ ! -e /go ]; do sleep 0.02; done; exec unshare -u sleep 300";
  const process = {
    ...starterSpec().process!,
    terminal: false,
    args: ["sh", "-c", script],
    capabilities: { bounding: all, permitted: all, effective: all },
  } as Process;
  await execs.begin({ process, root: { path: "rootfs" } });
  await execs.first();
  const uts = async (): Promise<readonly [boolean, string]> => {
    const { light, stdout } = await execs.run("readlink", "/proc/self/ns/uts");
    return [light, stdout];
  };
  const pid = await pidOf(execs);
  const its = (): string => `${Deno.readLinkSync(`/proc/${pid}/ns/uts`)}\n`;
  const before = its();
  deepEqual(await uts(), [true, before]);
  containers.bundle.file("go", "");
  for (let tries = 0; its() === before && tries < 1500; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  ok(its() !== before, "it has not gone anywhere");
  deepEqual(await uts(), [false, its()]);
  deepEqual(await uts(), [true, its()]);
});

execsTest("another process of the same number, boot or cgroup takes Deno", async (execs) => {
  await execs.begin();
  await execs.first();
  const pid = await pidOf(execs);
  const group = /^\d+:pids:(.*)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/cgroup`))?.[1];
  const numbers = {
    "the first process": inodeOfProcess(pid)!,
    "the boot": bootNumber(),
    ...(group !== undefined && {
      "a cgroup": BigInt(Deno.statSync(`/sys/fs/cgroup/pids${group}`).ino!),
    }),
  };
  for (const [what, number] of Object.entries(numbers)) {
    equal((await execs.run("true")).light, true, what);
    tamper(execs.file, number);
    const { code, light } = await execs.run("true");
    deepEqual([code, light], [0, false], what);
  }
});

execsTest("controllers that are handed on to groups below take Deno", async (execs) => {
  await execs.begin();
  await execs.first();
  const pid = await pidOf(execs);
  const path = /^0::(.*)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/cgroup`))?.[1];
  const mount = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(Deno.readTextFileSync("/proc/self/mountinfo"))
    ?.[1];
  if (!path || !mount) return skip("needs a hierarchy of version 2");
  const group = `${mount}${path}`;
  const [controller] = Deno.readTextFileSync(`${group}/cgroup.controllers`).trim().split(" ");
  if (!controller) return skip("needs a controller of version 2");
  Deno.mkdirSync(`${group}/below`);
  Deno.writeTextFileSync(`${group}/below/cgroup.procs`, String(pid));
  equal((await execs.run("true")).light, true);
  Deno.writeTextFileSync(`${group}/cgroup.subtree_control`, `+${controller}`);
  const { code, stdout } = await execs.run("grep", "^0:", "/proc/self/cgroup");
  deepEqual([code, stdout], [0, "0::/below\n"]);
});
