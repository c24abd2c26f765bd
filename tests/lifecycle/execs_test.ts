import { deepEqual, equal, match } from "node:assert/strict";
import { cli } from "../helpers/cli.ts";
import { BOX } from "../helpers/containers.ts";
import { type Execs, execsTest, settle } from "../helpers/execs.ts";
import { USER_NAMESPACE } from "../helpers/launch_bundle.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Process } from "../../runtime/spec/config.ts";

/** All that the kernel tells of a process but what no two have in common. */
const PORTRAIT = [
  "grep -vE '^(Pid|NSpid|Tgid|NStgid|PPid|Ngid|NSsid|NSpgid|Vm|Rss|voluntary|nonvoluntary|Sigq|SigQ)' /proc/self/status",
  "cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj /proc/self/loginuid",
  "for ns in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$ns; done",
  "ls /proc/self/fd",
  "for fd in 0 1 2; do readlink /proc/$$/fd/$fd | sed s/said-[0-9]*//; done",
  "tr '\\0' '\\n' </proc/self/environ",
  "umask; pwd; id; grep -c . /proc/keys",
  "cut -d' ' -f 7,8 /proc/self/stat",
  "set -- $(cut -d' ' -f 1,5,6 /proc/$$/stat); [ $1 = $2 ] && [ $1 = $3 ] && echo leads",
].join("; ");

function processOf(part: Partial<Process>): Process {
  return { ...starterSpec().process!, terminal: false, args: ["/bin/sleep", "300"], ...part } as Process;
}

const RICH: Partial<Process> = {
  user: { uid: 1000, gid: 100, additionalGids: [7, 8], umask: 0o27 },
  env: ["PATH=/nowhere:/bin", "COLOUR=blue"],
  cwd: "/tmp",
  rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }],
  oomScoreAdj: 300,
};

/** Compares what Deno runs with what is run without it. */
async function compare(execs: Execs, ...words: readonly string[]): Promise<void> {
  const { light, ...first } = await execs.run(...words);
  equal(light, false);
  const { light: isLight, ...second } = await execs.run(...words);
  const [had, has] = [first.stdout.split("\n"), second.stdout.split("\n")];
  deepEqual(has.filter((line, index) => line !== had[index]), []);
  deepEqual(second, first);
  equal(isLight, true, "it took Deno again");
}

execsTest("a program is the same without Deno: rights, limits, groups, files, environment", async (execs) => {
  const { containers } = execs;
  containers.bundle.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nu:x:1000:100::/home/u:/bin/sh\n");
  containers.bundle.file("tmp/x", "");
  const seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["sethostname"], action: "SCMP_ACT_ERRNO" }],
  } as const;
  const linux = { ...starterSpec().linux, seccomp };
  for (
    const part of [
      { process: processOf(RICH), linux },
      { process: processOf({ ...RICH, noNewPrivileges: false, user: { uid: 0, gid: 0 } }), linux },
      { linux: { ...starterSpec().linux, ...USER_NAMESPACE } },
    ]
  ) {
    await execs.begin(part);
    await compare(execs, "sh", "-c", PORTRAIT);
    await containers.output("delete", "--force", BOX);
  }
});

execsTest(
  "the words of a program are those of the command, and its end that of the command",
  async (execs) => {
    await execs.begin();
    await execs.first();
    const said = async (...words: string[]): Promise<unknown> => {
      const { light, code, stdout, stderr } = await execs.run(...words);
      return [light, code, stdout, stderr];
    };
    const echo = 'for each; do echo "<$each>"; done; echo "$0" >&2; exit 7';
    const many = Array.from({ length: 300 }, (_, index) => `word ${index}`);
    deepEqual(await said("sh", "-c", echo, "zero", "", "a b", "-x", "--"), [
      true,
      7,
      "<>\n<a b>\n<-x>\n<-->\n",
      "zero\n",
    ]);
    deepEqual(await said("/bin/sh", "-c", 'echo $# "${300}"', "zero", ...many), [
      true,
      0,
      "300 word 299\n",
      "",
    ]);
    deepEqual(await said("sh", "-c", "kill -USR1 $$"), [true, 138, "", ""]);
    deepEqual(await said("sh", "-c", "kill -KILL $$"), [true, 137, "", ""]);
    deepEqual(await said("../bin/true"), [true, 0, "", ""]);
    // What there is no room for takes Deno.
    const long = "x".repeat(40_000);
    deepEqual(await said("sh", "-c", "echo ${#1}", "zero", long), [false, 0, "40000\n", ""]);
    deepEqual(await said("true", ...Array(600).fill("x")), [false, 0, "", ""]);
    deepEqual(await said("--", "sh", "-c", "exit 5"), [false, 5, "", ""]);
    for (
      const [words, why] of [
        [["nosuch"], /exec: "nosuch": executable file not found in \$PATH/],
        [["/nosuch"], /exec: "\/nosuch": stat \/nosuch: no such file or directory/],
        [["/etc"], /exec: "\/etc": is a directory/],
        [["x".repeat(300)], /exec: "x+": /],
      ] as const
    ) {
      const { code, stderr } = await execs.run(...words);
      equal(code, 255, words[0]);
      match(stderr, why);
    }
  },
);

execsTest("signals reach a program without Deno", async (execs) => {
  const { containers } = execs;
  await execs.begin();
  await execs.first();
  const ready = async (
    script: string,
  ): Promise<{ child: Deno.ChildProcess; answer: Promise<{ code: number }> }> => {
    const number = containers.commands;
    const begun = containers.begin("exec", BOX, "sh", "-c", script);
    while (containers.said(number).stdout !== "ready\n") {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    equal(Deno.readTextFileSync(`/proc/${begun.child.pid}/maps`).includes("libc"), false, "it took Deno");
    return begun;
  };
  const loop = "echo ready; while :; do sleep 0.02; done";
  for (const [signal, number] of [["SIGTERM", 15], ["SIGINT", 2], ["SIGHUP", 1], ["SIGUSR2", 12]] as const) {
    const caught = await ready(`trap 'exit ${number}' ${number}; ${loop}`);
    caught.child.kill(signal);
    equal((await caught.answer).code, number);
    const dies = await ready(loop);
    dies.child.kill(signal);
    equal((await dies.answer).code, 128 + number);
  }
});

execsTest("what has changed takes Deno, which says what is wrong", async (execs) => {
  const { containers } = execs;
  containers.bundle.file("etc/passwd", "root:x:0:0::/first:/bin/sh\n");
  await execs.begin();
  await execs.first();
  const home = async (): Promise<unknown> => {
    const { light, stdout, stderr } = await execs.run("sh", "-c", "echo $HOME");
    return [light, stdout, stderr];
  };
  deepEqual(await home(), [true, "/first\n", ""]);
  containers.bundle.file("etc/passwd", "root:x:0:0::/other:/bin/sh\n");
  await settle();
  deepEqual(await home(), [false, "/other\n", ""]);
  deepEqual(await home(), [true, "/other\n", ""]);
  Deno.removeSync(`${containers.bundle.rootfs}/etc/passwd`);
  deepEqual(await home(), [false, "/\n", ""]);
  deepEqual(await home(), [true, "/\n", ""]);
  containers.bundle.file("etc/passwd", "root:x:0:0::/third:/bin/sh\n");
  await settle();
  deepEqual(await home(), [false, "/third\n", ""]);

  const takes = async (wants: boolean, words: readonly string[] = ["true"]): Promise<void> => {
    const { code, stderr, light } = await execs.run(...words);
    deepEqual([code, stderr, light], [0, "", !wants]);
  };
  await takes(false);
  await containers.output("update", "--pids-limit", "50", BOX);
  await settle();
  await takes(true);
  await takes(false);
  const { root } = containers;
  for (const file of ["record.json", "config.json"]) {
    const path = `${root}/${BOX}/${file}`;
    Deno.writeTextFileSync(`${path}.other`, Deno.readTextFileSync(path));
    Deno.renameSync(`${path}.other`, path);
    await settle();
    await takes(true);
    await takes(false);
  }
  const [program] = containers.program as [string];
  Deno.copyFileSync(program, `${program}.copy`);
  Deno.renameSync(`${program}.copy`, program);
  Deno.chmodSync(program, 0o755);
  await takes(true);
  await takes(false);
  Deno.chmodSync(execs.file, 0o622);
  await takes(true);
  await takes(false);

  const script = "for fd in 0 2; do readlink /proc/$$/fd/$fd; done | grep null";
  for (const [which, said] of [["0<&-", "/dev/null\n"], ["2>&-", "/dev/null\n"], ["", ""]] as const) {
    const wrapper = ["sh", "-c", `exec "$@" ${which}`, "sh"];
    const args = ["--root", root, "exec", BOX, "sh", "-c", script];
    equal((await cli(args, { program: containers.program, wrapper })).stdout, said, which);
  }

  await containers.output("pause", BOX);
  match((await execs.run("true")).stderr, /cannot exec in a paused container/);
  await containers.output("resume", BOX);
  await takes(false);
  await containers.output("kill", BOX, "KILL");
  await containers.until(BOX, "stopped");
  match((await execs.run("true")).stderr, /cannot exec in a stopped container/);
  await containers.output("delete", BOX);
  match((await execs.run("true")).stderr, /container does not exist/);
});
