import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { Sandbox, type SandboxOptions } from "../mod.ts";
import { AS_STRANGER, bundled, cli, ROOT, start, Temporary, until } from "./helpers/cli.ts";
import { failure, sandboxTest } from "./helpers/sandboxes.ts";
import { skip } from "./helpers/skip.ts";

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

/** Runs a shell script under a policy. */
async function shell(script: string, options: SandboxOptions = {}): Promise<Ended> {
  await using sandbox = await Sandbox.run({ command: ["sh", "-c", script], ...options });
  const [out, errors] = await Promise.all(
    [sandbox.stdout, sandbox.stderr].map((each) => new Response(each).text()),
  );
  return { code: (await sandbox.wait()).exitCode, out: out!, errors: errors! };
}

function has(program: string): boolean {
  const found = (Deno.env.get("PATH") ?? "").split(":").concat("/usr/bin").some((directory) => {
    try {
      return directory.startsWith("/usr") && Deno.statSync(`${directory}/${program}`).isFile;
    } catch {
      return false;
    }
  });
  return found;
}

/** Programs that agents use, with what each must print. */
const PROGRAMS: readonly (readonly [string, string, string])[] = [
  [
    "python3",
    `python3 -c '
import subprocess, threading
print(subprocess.check_output(["echo", "child"]).decode().strip())
threads = [threading.Thread(target=print, args=("thread",)) for _ in range(3)]
[each.start() for each in threads]; [each.join() for each in threads]'`,
    "child\nthread\nthread\nthread\n",
  ],
  [
    "node",
    `node -e 'const { Worker } = require("worker_threads");
new Worker("require(\\"worker_threads\\").parentPort.postMessage(6 * 7)", { eval: true }).on("message", (m) => {
  console.log(m, require("child_process").execSync("echo child").toString().trim()) })'`,
    "42 child\n",
  ],
  [
    "bash",
    `bash -c 'set -o pipefail; cat <(echo one) | tee /dev/stdout | sort -u; f() { local -a a=(1 2); echo "\${#a[@]}"; }; f'`,
    "one\n2\n",
  ],
  [
    "git",
    `cd /tmp && git init -q r && cd r && echo x > f && git add f &&
git -c user.name=a -c user.email=a@b commit -qm first && git clone -q . ../s && git -C ../s log --format=%s`,
    "first\n",
  ],
  [
    "cc",
    `cd /tmp && printf '#include <stdio.h>\\nint main(void) { puts("built"); }' > a.c && cc -O2 a.c -o a && ./a`,
    "built\n",
  ],
];

for (const policy of ["default", "strict"] as const) {
  for (const [program, script, wanted] of PROGRAMS) {
    sandboxTest(`${program} works under ${policy}`, async () => {
      if (!has(program)) return skip(`${program} is not installed`);
      deepEqual(await shell(script, { policy }), { code: 0, out: wanted, errors: "" });
    });
  }
}

sandboxTest("a program is under default unless another policy is named, a bundle is not", async () => {
  const filters = "grep Seccomp_filters /proc/self/status";
  match((await shell(filters)).out, /\t1$/m);
  match((await shell(filters, { policy: "permissive" })).out, /\t1$/m);
  match((await shell("cat /proc/self/uid_map")).out, /^ *0 +\d+ +65536$/m);
  match((await shell("cat /proc/self/uid_map", { policy: "permissive" })).out, /^ *0 +0 +4294967295$/m);
  await using sandbox = await Sandbox.run({ bundle: `${ROOT}/bundles/hello`, policy: "strict" });
  equal((await sandbox.wait()).exitCode, 0);
});

sandboxTest("root inside is nobody on the host, and each live sandbox has ids of its own", async () => {
  const first = await Sandbox.run({ command: ["sleep", "60"] });
  const second = await Sandbox.run({ command: ["sleep", "60"] });
  try {
    const uids = [first, second].map(({ pid }) => {
      const status = Deno.readTextFileSync(`/proc/${pid}/status`);
      equal(/^Uid:\t(\d+)/m.exec(status)![1], /^Gid:\t(\d+)/m.exec(status)![1]);
      return Number(/^Uid:\t(\d+)/m.exec(status)![1]);
    });
    for (const uid of uids) ok(uid >= 0x24000000 && uid % 65536 === 0, String(uid));
    notEqual(uids[0], uids[1]);
  } finally {
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
  }
});

sandboxTest("files that are shared keep their owners, inside and outside", async () => {
  using here = new Temporary();
  Deno.writeTextFileSync(`${here.path}/secret`, "s", { mode: 0o600 });
  Deno.chownSync(`${here.path}/secret`, 1234, 1234);
  const mounts = [{ destination: "/m", source: here.path, type: "bind", options: ["rbind"] }];
  const { out } = await shell("stat -c '%u %a' /m/secret; cat /m/secret 2>&1; echo new > /m/mine", {
    mounts,
  });
  match(out, /^1234 600\n.*Permission denied\n$/);
  equal(Deno.statSync(`${here.path}/mine`).uid, 0);
});

sandboxTest("nobody makes set-user-id files in a shared directory", async () => {
  using here = new Temporary();
  const mounts = [{ destination: "/m", source: here.path, type: "bind", options: ["rbind"] }];
  const script = `cp /bin/true /m/x; chmod 4755 /m/x; chmod 2755 /m/x; python3 -c '
import os
for make in (lambda: os.open("/m/y", os.O_CREAT | os.O_WRONLY, 0o4755), lambda: os.mknod("/m/z", 0o104755)):
  try: make()
  except PermissionError: print("refused")'`;
  const { out } = await shell(script, { mounts });
  equal(out, "refused\nrefused\n");
  equal(Deno.statSync(`${here.path}/x`).mode! & 0o6000, 0);
  deepEqual([...Deno.readDirSync(here.path)].map(({ name }) => name), ["x"]);
});

sandboxTest("message queues can be made and used under default", async () => {
  const program = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
queue = libc.mq_open(b"/x", os.O_CREAT | os.O_RDWR, 0o600, None)
print(libc.mq_send(queue, b"text", 4, 0), ctypes.get_errno())`;
  await using sandbox = await Sandbox.run({ command: ["python3", "-c", program] });
  equal(await new Response(sandbox.stdout).text(), "0 0\n");
});

sandboxTest("no more namespaces, whatever the filter lets through", async () => {
  const { out } = await shell("cat /proc/sys/user/max_user_namespaces /proc/sys/user/max_net_namespaces");
  equal(out, "0\n0\n");
  equal(
    Number(Deno.readTextFileSync("/proc/sys/user/max_user_namespaces")) > 0,
    true,
    "the host's is its own",
  );
});

sandboxTest("a fork bomb ends at a number, without any cgroup", async () => {
  const script = `python3 -c '
import os, time
count = 0
try:
  while count < 2000:
    if os.fork() == 0: time.sleep(60)
    count += 1
except BlockingIOError: pass
print(count)'`;
  const { out } = await shell(script, { policy: "strict" });
  ok(Number(out) > 100 && Number(out) < 512, out);
});

sandboxTest("the kernel takes a sandbox before the host's programs when memory runs out", async () => {
  const adjusted = async (policy: "default" | "strict" | "permissive"): Promise<number> =>
    Number((await shell("cat /proc/self/oom_score_adj", { policy })).out);
  const ours = Number(Deno.readTextFileSync("/proc/self/oom_score_adj"));
  deepEqual([await adjusted("default"), await adjusted("strict"), await adjusted("permissive")], [
    500,
    500,
    ours,
  ]);
});

sandboxTest("strict kills the whole sandbox for a forbidden call, and the record names it", async () => {
  using here = new Temporary();
  const mounts = [{ destination: "/m", source: here.path, type: "bind", options: ["rbind"] }];
  // Not init itself: the rest must end too.
  const command = [
    "sh",
    "-c",
    "(until [ -s /m/begun ]; do sleep 0.05; done; unshare -U true; echo after > /m/after) & echo begun > /m/begun; sleep 60",
  ];
  await using sandbox = await Sandbox.run({ command, mounts, policy: "strict" });
  const { exit, exitCode, forbiddenCall, wallMs } = await sandbox.wait();
  deepEqual([exit, exitCode], [{ kind: "signal", signal: "SIGSYS" }, 159]);
  equal(forbiddenCall?.syscall, "unshare");
  equal(forbiddenCall?.arguments[0], "0x10000000");
  ok(wallMs < 30_000);
  deepEqual([...Deno.readDirSync(here.path)].map(({ name }) => name), ["begun"]);
});

sandboxTest("a run without a forbidden call has none in its record", async () => {
  await using sandbox = await Sandbox.run({ command: ["true"], policy: "strict" });
  equal("forbiddenCall" in await sandbox.wait(), false);
});

sandboxTest("a policy takes the users of the host from a bundle, and names what it refuses", async () => {
  const spec = JSON.parse(Deno.readTextFileSync(`${ROOT}/bundles/hello/config.json`));
  const run = async (linux: Record<string, unknown>): Promise<Error> => {
    const bundle = { path: `${ROOT}/bundles/hello`, spec: { ...spec, linux: { ...spec.linux, ...linux } } };
    return await failure(Sandbox.run({ bundle, policy: "default" }));
  };
  const [user, root] = [{ type: "user" }, [{ containerID: 0, hostID: 0, size: 1 }]];
  const namespaces = [...spec.linux.namespaces, user];
  match(
    (await run({ namespaces, uidMappings: root, gidMappings: root })).message,
    /\/linux\/uidMappings\/0: .*root of the host/,
  );
  const path = "/proc/self/ns/user";
  match(
    (await run({ namespaces: [...spec.linux.namespaces, { type: "user", path }] })).message,
    /namespaces\/\d+\/path/,
  );
});

Deno.test("the ids of a sandbox are free again however its supervisor ends", async () => {
  const locks = (): number => {
    const { ino } = Deno.statSync("/run/ai-sandbox/ids");
    return Deno.readTextFileSync("/proc/locks").split("\n").filter((line) => line.includes(`:${ino} `))
      .length;
  };
  // One to make the file.
  equal((await cli(["run", "--", "true"])).code, 0);
  const child = start(["run", "--", "sh", "-c", "echo up; sleep 60"]);
  await until(child.stdout, "up\n");
  const held = locks();
  child.kill("SIGKILL");
  await child.status;
  for (let tries = 0; tries < 1000 && locks() >= held; tries++) {
    await new Promise((done) => setTimeout(done, 20));
  }
  ok(locks() < held, `${locks()} of ${held} are still taken`);
  await child.stderr.cancel();
});

Deno.test("pipes of stdio can be opened again under default", async () => {
  const said = await cli([
    "run",
    "--",
    "sh",
    "-c",
    "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin",
  ], {
    stdin: "in",
  });
  deepEqual([said.code, said.stdout, said.stderr], [0, "out\nin", "err\n"]);
});

Deno.test("a user who is not root runs programs under default and strict too", async () => {
  using here = new Temporary();
  const program = await bundled(here);
  for (const policy of ["default", "strict"]) {
    const script =
      "grep -E 'Seccomp_filters|NoNewPrivs' /proc/self/status; cat /proc/sys/user/max_user_namespaces";
    const said = await cli(["run", "--policy", policy, "--", "sh", "-c", script], {
      wrapper: AS_STRANGER,
      program,
      cwd: here.path,
    });
    deepEqual([said.code, said.stdout], [0, "NoNewPrivs:\t1\nSeccomp_filters:\t1\n0\n"], said.stderr);
  }
});
