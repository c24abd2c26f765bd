import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { AS_STRANGER, cli, finish, until } from "../helpers/cli.ts";
import { FALLBACK, fallbackTest, python, sh } from "../helpers/fallback.ts";
import { FORBIDDEN, withoutCalls } from "../helpers/no_namespaces.ts";

// What is said, and what is refused

fallbackTest(
  "without --fallback the error names the cause, the remedy and the flag with its price",
  async (host) => {
    const { code, stdout, stderr } = await host.cli(["run", "--", "true"]);
    deepEqual([code, stdout], [1, ""]);
    match(stderr, /^runtime: Cannot apply the user namespace .*: user\.max_user_namespaces is 0; /);
    match(stderr, /; run it as root, or: .*sysctl -w user\.max_user_namespaces=\d+; /);
    match(stderr, /; or use --fallback landlock, which keeps less apart: .*pids.*network.*\n$/);
  },
);

fallbackTest(
  "with --fallback landlock the program runs, and a line says what is not kept apart",
  async (host) => {
    const { code, stdout, stderr } = await host.cli([...FALLBACK, "--", ...sh("echo hello; exit 3")]);
    deepEqual([code, stdout], [3, "hello\n"]);
    match(stderr, /^runtime: without namespaces, under Landlock: .*pids.*network.*\n$/);
  },
);

Deno.test("where namespaces can be made --fallback landlock changes nothing", async () => {
  const { code, stdout, stderr } = await cli([...FALLBACK, "--", ...sh("echo $$")]);
  deepEqual([code, stdout, stderr], [0, "1\n", ""]);
  await using sandbox = await Sandbox.run({ command: ["true"], fallback: "landlock" });
  equal(sandbox.isolation, "namespaces");
  await sandbox.wait();
});

fallbackTest(
  "--fallback landlock refuses by name what takes a namespace, a mount or a cgroup",
  async (host) => {
    Deno.mkdirSync(`${host.work}/in`, { recursive: true });
    for (
      const [flags, says] of [
        [["--mount", "./in:/elsewhere"], /"[^"]*\/work\/in" at "\/elsewhere" .*a path stays what it is/],
        [["--mount", "type=tmpfs,target=/t"], /tmpfs mount at "\/t" .*mount namespace/],
        [["--memory", "64MB"], /linux\/resources: .*cgroup/],
        [["--cpu", "1"], /linux\/resources: .*cgroup/],
        [["--pids", "9"], /linux\/resources: .*cgroup/],
        [["--policy", "strict"], /a policy with --fallback landlock/],
        [["--attest"], /attestation with --fallback landlock/],
        [["--terminal"], /--terminal .*mount namespace/],
        [["--fallback", "chroot"], /"chroot" for --fallback: there is none but landlock/],
      ] as const
    ) {
      const { code, stdout, stderr } = await host.cli([...FALLBACK, ...flags, "--", "echo", "ran"]);
      deepEqual([code, stdout], [1, ""], flags.join(" "));
      match(stderr, says);
    }
  },
);

fallbackTest("--fallback landlock works where a container's filter hides clone3", async (host) => {
  const wrapper = [...AS_STRANGER, ...withoutCalls({ clone3: "ENOSYS" })];
  const command = ["--", ...sh("echo $(readlink /proc/self/ns/user) ran; (sleep 60 &)")];
  const plain = await host.cli(["run", ...command], { wrapper });
  match(
    plain.stderr,
    /a filter around this process, refuses .*clone3.*; run it as root; in a container, allow clone3/,
  );
  const { code, stdout, stderr } = await host.cli([...FALLBACK, ...command], { wrapper });
  deepEqual([code, stdout], [0, `${Deno.readLinkSync("/proc/self/ns/user")} ran\n`], stderr);
});

fallbackTest(
  "without Landlock --fallback landlock is refused, and both ways to mend it are named",
  async (host) => {
    const wrapper = [...FORBIDDEN, ...withoutCalls({ landlock_create_ruleset: "EOPNOTSUPP" })];
    const { code, stdout, stderr } = await host.cli([...FALLBACK, "--", "echo", "ran"], { wrapper });
    deepEqual([code, stdout], [1, ""]);
    match(
      stderr,
      /Cannot apply Landlock to read: .* this kernel has none; add landlock to .*lsm=.*; or mend this: /,
    );
    match(stderr, /; or mend this: user\.max_user_namespaces is 0; /);
  },
);

fallbackTest(
  "where signals are not kept inside that is found out before anything is ended by them",
  async (host) => {
    // A filter in the way makes Landlock say yes and do nothing.
    const wrapper = [...FORBIDDEN, ...withoutCalls({ landlock_restrict_self: "OK" })];
    const { code, stdout, stderr } = await host.cli([...FALLBACK, "--", "echo", "ran"], { wrapper });
    deepEqual([code, stdout], [1, ""]);
    match(stderr, /Cannot make sure that signals stay inside/);
  },
);

fallbackTest(
  "--landlock is refused where the kernel has none; who does not insist goes without",
  async (host) => {
    const wrapper = [...AS_STRANGER, ...withoutCalls({ landlock_create_ruleset: "ENOSYS" })];
    const said = await host.cli(["run", "--landlock", "--", "echo", "ran"], { wrapper });
    deepEqual([said.code, said.stdout], [1, ""]);
    match(said.stderr, /Cannot apply Landlock: this kernel does not have it, .*lsm=/);
    equal((await host.cli(["run", "--", "echo", "ran"], { wrapper })).stdout, "ran\n");
  },
);

fallbackTest("--fallback landlock is for programs: a bundle's error names the cause alone", async (host) => {
  Deno.mkdirSync(`${host.work}/box/rootfs`, { recursive: true });
  await cli(["spec", "--rootless", "--bundle", `${host.work}/box`]);
  const { code, stderr } = await host.cli([...FALLBACK, "box"]);
  equal(code, 1);
  match(stderr, /user\.max_user_namespaces is 0/);
  ok(!stderr.includes("--fallback"), stderr);
});

Deno.test("plan --fallback landlock shows a plan without namespaces and mounts", async () => {
  const { code, stdout } = await cli(["plan", "--fallback", "landlock", "--", "true"]);
  equal(code, 0);
  for (const call of ["clone3", "unshare", "mount_setattr", "move_mount", "pivot_root", "setresuid"]) {
    ok(!stdout.includes(` ${call}(`), call);
  }
  for (const call of ["landlock_restrict_self", "seccomp", "capset", "close_range"]) {
    ok(stdout.includes(` ${call}(`), call);
  }
});

// What is as usual

fallbackTest(
  "under the fall-back environment, descriptors and privileges are cut down as usual",
  async (host) => {
    const script = `
import os
print(sorted(os.environ))
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print([status[key].strip() for key in ("NoNewPrivs", "Seccomp", "CapEff", "CapPrm")])
print(os.getsid(0) == os.getpid(), os.environ["HOME"] == os.environ["TMPDIR"])`;
    const command = [...FALLBACK, "--env", "MINE=1", "--", ...python(script)];
    const { stdout } = await host.cli(command, { env: { SECRET: "x" } });
    const names = /^\[.*\]/.exec(stdout)?.[0] ?? "";
    ok(names.includes("'MINE'") && names.includes("'TMPDIR'") && !names.includes("SECRET"), stdout);
    equal(
      stdout.slice(names.length),
      "\n[0, 1, 2]\n['1', '2', '0000000000000000', '0000000000000000']\nTrue True\n",
    );
  },
);

fallbackTest(
  "under the fall-back exit codes, signals, the timeout and the record are as usual",
  async (host) => {
    const code = async (...args: string[]): Promise<number> => (await host.cli([...FALLBACK, ...args])).code;
    equal(await code("--", "./nosuch"), 127);
    host.file(`${host.work}/plain`, "");
    equal(await code("--", "./plain"), 126);
    equal(await code("--", ...sh("kill -KILL $$")), 137);
    equal(await code("--", ...sh("kill -SEGV $$")), 139);
    const result = `${host.work}/result`;
    equal(await code("--timeout", "300ms", "--result", result, "--", ...sh("sleep 60 & sleep 60")), 124);
    const record = JSON.parse(Deno.readTextFileSync(result));
    deepEqual([record.exit, record.timedOut], [{ kind: "limit", limit: "time" }, true]);
    equal(record.isolation, "landlock");
  },
);

for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
  fallbackTest(`under the fall-back ${signal} to the command reaches the program`, async (host) => {
    const child = await host.start([...FALLBACK, "--", ...sh("echo ready; exec sleep 60")]);
    await until(child.stdout, "ready\n");
    child.kill(signal);
    equal((await finish(child)).code, code);
  });
}

fallbackTest(
  "under the fall-back programs write to a directory of their own, which is removed",
  async (host) => {
    const script = "cd && pwd && mkdir -p a/b && echo x > a/b/f && mv a/b/f g && ln g h && cat h";
    const { stdout } = await host.cli([...FALLBACK, "--", ...sh(script)]);
    match(stdout, new RegExp(`^${host.tmp}/ai-sandbox-own-[^\n]*\nx\n$`));
  },
);

fallbackTest(
  "under the fall-back --mount with rw is writable at its own path, others are not",
  async (host) => {
    const [open, shut] = [`${host.work}/open`, `${host.work}/shut`];
    for (const path of [open, shut]) {
      Deno.mkdirSync(path, { recursive: true });
      Deno.chownSync(path, 54_321, 54_321);
    }
    const script = `echo x > ${open}/f && cat ${open}/f; echo x > ${shut}/f || echo refused`;
    const args = ["--mount", `${open}:${open}:rw`, "--mount", `${shut}:${shut}`, "--", ...sh(script)];
    const { stdout } = await host.cli([...FALLBACK, ...args]);
    equal(stdout, "x\nrefused\n");
  },
);

fallbackTest(
  "under the fall-back a program in a directory that is mounted noexec does not run",
  async (host) => {
    const directory = `${host.work}/tools`;
    Deno.mkdirSync(directory, { recursive: true });
    Deno.copyFileSync("/usr/bin/echo", `${directory}/echo`);
    Deno.chmodSync(`${directory}/echo`, 0o755);
    const run = async (option: string): Promise<string> => {
      const mount = `type=bind,source=${directory},target=${directory}${option}`;
      const script = `cmp -s ${directory}/echo /usr/bin/echo && ${directory}/echo ran`;
      // The working directory would give the right back.
      const said = await host.cli([...FALLBACK, "--mount", mount, "--", ...sh(script)], { cwd: "/" });
      return said.stdout;
    };
    deepEqual([await run(""), await run(",noexec")], ["ran\n", ""]);
  },
);

for (
  const [name, command, says] of [
    [
      "git",
      sh(
        "cd && git init -q r && cd r && git config user.email a@b && git config user.name n && echo x > x && " +
          "git add x && git commit -qm first && git gc -q && git log --format=%s",
      ),
      "first\n",
    ],
    [
      "a C compiler",
      sh("cd && echo 'int main(){return 7;}' > t.c && cc -c t.c && test -s t.o && echo made"),
      "made\n",
    ],
    [
      "Python with threads and children",
      python(
        "import subprocess, threading; t = threading.Thread(target=print, args=('thread',)); t.start(); t.join(); " +
          "print(subprocess.run(['echo', 'child'], capture_output=True).stdout)",
      ),
      "thread\nb'child\\n'\n",
    ],
    [
      "Node.js with workers and children",
      [
        "node",
        "-e",
        `const {execSync} = require("child_process"); process.stdout.write(execSync("echo child"));
        new (require("worker_threads").Worker)("console.log('worker')", { eval: true })`,
      ],
      "child\nworker\n",
    ],
    ["bash", ["bash", "-c", "diff <(echo a) <(echo a) && sleep 9 & kill $! && wait $!; echo $?"], "143\n"],
  ] as const
) {
  fallbackTest(`under the fall-back goes on: ${name}`, async (host) => {
    const { code, stdout, stderr } = await host.cli([...FALLBACK, "--", ...command]);
    deepEqual([code, stdout], [0, says], stderr);
  });
}
