import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import {
  learn,
  type LearnOptions,
  type Lesson,
  outcomes,
  type Policy,
  prove,
  type RunToEnd,
  Sandbox,
} from "../mod.ts";
import { policyOf } from "../runtime/policy/load.ts";
import { hasCompiler, works } from "./helpers/c_program.ts";
import { Temporary } from "./helpers/cli.ts";
import { lacksLandlock } from "./helpers/landlock.ts";
import { failure, sandboxTest } from "./helpers/sandboxes.ts";
import { skip } from "./helpers/skip.ts";
import { ownCpuMs } from "./helpers/cpu_time.ts";

interface Learned extends Lesson {
  /** What the program printed while it was learned from. */
  readonly out: string;
}

/** Learns from a command, and keeps what it prints. */
async function learnFrom(command: readonly string[], options: LearnOptions = {}): Promise<Learned> {
  let out = "";
  const run: RunToEnd = async (options) => {
    await using sandbox = await Sandbox.run(options);
    const read = Promise.all([sandbox.stdout, sandbox.stderr].map((each) => new Response(each).text()));
    const result = await sandbox.wait();
    out = (await read).join("");
    return result;
  };
  return { ...await learn({ ...options, command }, run), out };
}

/** What a command prints under a policy, errors included, and its exit code. */
async function under(policy: Policy, command: readonly string[], options = {}): Promise<[number, string]> {
  await using sandbox = await Sandbox.run({ command, policy, ...options });
  const read = Promise.all([sandbox.stdout, sandbox.stderr].map((each) => new Response(each).text()));
  const { exitCode } = await sandbox.wait();
  return [exitCode, (await read).join("")];
}

function allowed({ policy }: Pick<Lesson, "policy">): string[] {
  return [...outcomes(policy).calls].filter(([, { action }]) => action === "allow").map(([call]) => call);
}

const sh = (script: string): string[] => ["sh", "-c", script];
const python = (script: string): string[] => ["python3", "-c", script];

for (
  const [what, program, command, wanted] of [
    ["cat", "cat", ["cat", "/etc/hosts"], "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n"],
    ["python3", "python3", python("print(1)"), "1\n"],
    [
      "a pipeline",
      "sort",
      sh("seq 20 | sort -rn | head -n 2 > /tmp/x; mkdir /tmp/d; mv /tmp/x /tmp/d; cat /tmp/d/x"),
      "20\n19\n",
    ],
    [
      "python3 with children and threads",
      "python3",
      python(
        "import subprocess, threading\nt = threading.Thread(target=print, args=('t',)); t.start(); t.join()\nprint(subprocess.check_output(['echo', 'c']))",
      ),
      "t\nb'c\\n'\n",
    ],
    ["node", "node", ["node", "-e", "console.log(require('fs').readFileSync('/etc/hosts').length)"], "50\n"],
    [
      "git",
      "git",
      sh(
        "cd /tmp && git init -q r && cd r && echo x > f && git add f && git -c user.name=a -c user.email=a@b commit -qm first && git log --format=%s",
      ),
      "first\n",
    ],
  ] as const
) {
  sandboxTest(`what is learned from ${what} is enough for it`, async () => {
    if (!Array.from(["/usr/bin", "/usr/local/bin"]).some((directory) => exists(`${directory}/${program}`))) {
      return skip(`${program} is not installed`);
    }
    const lesson = await learnFrom(command);
    equal(lesson.out, wanted);
    deepEqual(lesson.result.exit, { kind: "code", code: 0 });
    deepEqual(await under(lesson.policy, command), [0, wanted]);
    await prove(lesson, { command });
  });
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Acts that `print(1)` has no need of, each with what it prints where it works. */
const ACTS: readonly (readonly [string, string])[] = [
  ["make a socket", "import socket; socket.socket(); print('done')"],
  ["make a pair of sockets", "import socket; socket.socketpair(); print('done')"],
  ["make a directory", "import os; os.mkdir('/tmp/x'); print('done')"],
  ["write a file", "open('/tmp/x', 'w'); print('done')"],
  ["read a file", "open('/etc/passwd'); print('done')"],
  ["start a program", "import os; os.system('true') == 0 and print('done')"],
  ["start another program", "import os; os.execv('/usr/bin/printf', ['printf', 'done\\\\n'])"],
  ["wait", "import time; time.sleep(0.001); print('done')"],
];

sandboxTest("what is learned from a program is too little for others", async () => {
  if (lacksLandlock(2)) return;
  const { policy } = await learnFrom(python("print(1)"));
  for (const [act, script] of ACTS) {
    deepEqual(
      await under({ ...policy, ...await defaults() }, python(script)),
      [0, "done\n"],
      `${act}, by default`,
    );
    const [code, said] = await under(policy, python(script));
    equal(said.includes("done"), false, `it can ${act}`);
    ok(code !== 0 || said === "", `${act}: ${said}`);
  }
});

/** The parts of the policy `default` that decide over programs. */
async function defaults(): Promise<Pick<Policy, "seccomp" | "sockets" | "files">> {
  const { readPolicy } = await import("../mod.ts");
  const { seccomp, sockets } = await readPolicy("default");
  return {
    seccomp,
    sockets: sockets!,
    files: { read: ["/"], list: [], write: ["/"], execute: ["/"], reason: "-" },
  };
}

sandboxTest("learned TCP ports are the only ones", async () => {
  if (lacksLandlock(4)) return;
  const script = (bind: number, connect: number): string[] =>
    python(`
import socket
a, b = socket.socket(), socket.socket()
a.bind(("127.0.0.1", ${bind})); a.listen()
b.bind(("127.0.0.1", 0)); b.listen()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.connect(("127.0.0.1", 53))
socket.create_connection(("127.0.0.1", ${connect})); print("done")`);
  const { policy, out } = await learnFrom(script(5000, 5000));
  equal(out, "done\n");
  deepEqual([policy.ports?.bind, policy.ports?.connect], [[0, 5000], [5000]]);
  deepEqual(policy.sockets?.families, ["AF_INET"]);
  deepEqual(await under(policy, script(5000, 5000)), [0, "done\n"]);
  for (const [bind, connect] of [[5001, 5001], [5000, 5001]] as const) {
    match((await under(policy, script(bind, connect)))[1], /PermissionError/);
  }
});

sandboxTest("a second lesson adds to the first and says what is new", async () => {
  if (lacksLandlock(2)) return;
  const first = await learnFrom(["cat", "/etc/hosts"]);
  equal(first.added, undefined);
  const second = await learnFrom(sh("exec mkdir /tmp/new"), { from: [first.policy] });
  for (const each of ["call mkdir", "file to write /tmp/", "file to execute /usr/bin/mkdir"]) {
    ok(second.added?.includes(each), each);
  }
  equal(second.added?.some((each) => each.includes("cat")), false);
  deepEqual(await under(second.policy, ["cat", "/etc/hosts"]), [0, first.out]);
  match((await failure(under(first.policy, sh("exec mkdir /tmp/new")))).message, /run "sh" .*EACCES/);
  const third = await learnFrom(["cat", "/etc/hosts"], { from: [second.policy] });
  deepEqual(third.added, []);
  match(
    third.policy.description,
    /learned from "cat .*" on [\d-]+ and from "sh -c exec mkdir .*" on [\d-]+\.$/,
  );
  deepEqual(third.policy.files, { ...second.policy.files!, reason: third.policy.files!.reason });
});

/** Attacks by raw calls: x86-64 numbers and aarch64 ones. */
const ATTACKS = `
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
def call(name, x86, aarch64, *args):
  r = libc.syscall(aarch64 if arm else x86, *[ctypes.c_long(a) for a in args])
  print(name, "done" if r >= 0 else os.strerror(ctypes.get_errno()))
call("ptrace", 101, 117, 0, 0, 0, 0)
call("ptrace", 101, 117, 0, 0, 0, 0)
call("mount", 165, 40, 0, 0, 0, 0, 0)
call("unshare", 272, 97, 0x10000000)
call("clone", 56, 220, 0x10000000 | 17, 0, 0, 0, 0)
call("packet", 41, 198, 17, 3, 0)`;
const EPERM = "Operation not permitted";

sandboxTest("a hostile program cannot learn more than the base, and is reported", async () => {
  const lesson = await learnFrom(python(ATTACKS));
  equal(
    lesson.out,
    ["ptrace", "ptrace", "mount", "unshare", "clone", "packet"].map((name) => `${name} ${EPERM}\n`).join(""),
  );
  deepEqual(Object.fromEntries(lesson.refused), { ptrace: 2, mount: 1, unshare: 1, clone: 1, socket: 1 });
  deepEqual(allowed(lesson).filter((call) => lesson.refused.has(call)), []);
  match((await under(lesson.policy, python(ATTACKS)))[1], /^(\w+ Operation not permitted\n){6}$/);
});

sandboxTest("an earlier policy that is wider than the base does not widen what is learned", async () => {
  const groups = [{
    name: "all",
    action: "allow",
    reason: "-",
    calls: ["ptrace", "unshare", "socket", "clone", "kcmp"],
  }];
  const sockets = { families: ["AF_INET", "AF_PACKET"], netlink: ["NETLINK_XFRM"], reason: "-" };
  const wide = policyOf({ name: "wide", extends: "permissive", sockets, seccomp: { groups } }, "wide");
  const lesson = await learnFrom(["true"], { from: [wide] });
  deepEqual(["ptrace", "unshare", "kcmp"].filter((call) => allowed(lesson).includes(call)), []);
  deepEqual([lesson.policy.sockets?.families, lesson.policy.sockets?.netlink], [["AF_INET"], []]);
  const { alternatives } = outcomes(lesson.policy).calls.get("clone")!;
  deepEqual(alternatives, [[{ argument: 0, mask: 0x7e020000n, equals: [0n] }]]);
});

sandboxTest("clone is learned with its conditions", async () => {
  const lesson = await learnFrom(sh("(true); (true)"));
  const clone = lesson.policy.seccomp.groups.find(({ calls }) => calls.includes("clone"));
  deepEqual(clone?.when, [{ argument: 0, mask: 0x7e020000n, equals: [0n] }]);
});

sandboxTest("a base that kills ends the lesson by name", async () => {
  await rejects(
    learnFrom(python(ATTACKS), { base: "strict" }),
    {
      name: "LearnError",
      message: /strict killed it for ptrace; take another --base, or --allow-refused ptrace/,
    },
  );
});

sandboxTest("strict stays strict in what is learned", async () => {
  const harmless = python(ATTACKS.replaceAll(/^call.*$/gm, ""));
  const { policy } = await learnFrom(harmless, { base: "strict" });
  deepEqual(await under(policy, harmless), [0, ""]);
  await using killed = await Sandbox.run({ command: python(ATTACKS), policy });
  const { exit, forbiddenCall } = await killed.wait();
  deepEqual([exit, forbiddenCall?.syscall], [{ kind: "signal", signal: "SIGSYS" }, "ptrace"]);
});

sandboxTest("a call that the base refuses can be allowed by name", async () => {
  const command = python(`
import ctypes, platform
print(ctypes.CDLL(None).syscall(236 if platform.machine() == "aarch64" else 239, 0, 0, 0, 0, 0))`); // get_mempolicy
  const refused = await learnFrom(command);
  deepEqual([refused.out, refused.refused.get("get_mempolicy")], ["-1\n", 1]);
  const lesson = await learnFrom(command, { allowRefused: ["get_mempolicy"] });
  equal(lesson.out, "0\n");
  deepEqual(await under(lesson.policy, command), [0, "0\n"]);
  match((await failure(learnFrom(command, { allowRefused: ["mepolicy"] }))).message, /no such system call/);
});

sandboxTest("permissive is cut down to what was used", async () => {
  const command = sh("echo x > /tmp/x; cat /tmp/x");
  const lesson = await learnFrom(command, { base: "permissive" });
  deepEqual(await under(lesson.policy, command), [0, "x\n"]);
  equal(lesson.policy.seccomp.unlisted, "refuse");
  equal(allowed(lesson).includes("ptrace"), false);
});

sandboxTest("every call of every thread is seen", async () => {
  const numbers = Deno.build.arch === "aarch64"
    ? { getppid: 173, getpgid: 155, times: 153, sched_yield: 124, getrusage: 165, gettid: 178, getcpu: 168 }
    : { getppid: 110, getpgid: 121, times: 100, sched_yield: 24, getrusage: 98, gettid: 186, getcpu: 309 };
  const command = python(`
import ctypes, threading
libc = ctypes.CDLL(None)
def work(n): [libc.syscall(n, 0, 0, 0) for _ in range(50)]
threads = [threading.Thread(target=work, args=(n,)) for n in ${JSON.stringify(Object.values(numbers))}]
[t.start() for t in threads]; [t.join() for t in threads]`);
  const lesson = await learnFrom(command);
  deepEqual(Object.keys(numbers).filter((name) => !allowed(lesson).includes(name)), []);
});

sandboxTest("a program goes on through its signals", async () => {
  const command = python(`
import os, signal
count = 0
def tick(*_):
  global count; count += 1
signal.signal(signal.SIGALRM, tick); signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for _ in range(2000): os.stat("/usr"); os.listdir("/tmp")
signal.setitimer(signal.ITIMER_REAL, 0); print("done", count > 0)`);
  equal((await learnFrom(command)).out, "done True\n");
});

sandboxTest("files that a run makes are known by their directory, those of processes by /proc", async () => {
  if (lacksLandlock(2)) return;
  const command = sh('d=$(mktemp -d); echo x > "$d/y"; cat "$d/y" /proc/self/comm; rm -r "$d"');
  const { policy, out } = await learnFrom(command);
  match(out, /^x\ncat\n$/);
  deepEqual([policy.files?.write, policy.files?.read.filter((path) => /^\/(tmp|proc)/.test(path))], [
    ["/tmp/"],
    ["/proc/", "/tmp/"],
  ]);
  deepEqual(await under(policy, command), [0, out]);
});

sandboxTest("a script needs its interpreter and that its loader", async () => {
  if (lacksLandlock(2)) return;
  using here = new Temporary();
  here.file("script", "#!/bin/sh\necho ran\n", 0o755);
  const mounts = [{ destination: "/m", source: here.path, type: "bind", options: ["rbind", "ro"] }];
  const { policy, out } = await learnFrom(["/m/script"], { mounts });
  equal(out, "ran\n");
  const execute = policy.files?.execute ?? [];
  ok(execute.includes("/m/script") && execute.some((path) => path.endsWith("/dash")), execute.join());
  ok(execute.some((path) => /\/ld-linux[^/]*$/.test(path)), execute.join());
  deepEqual(await under(policy, ["/m/script"], { mounts }), [0, "ran\n"]);
});

sandboxTest(
  "a run that ends differently under what was learned is no proof, and says what it wants",
  async () => {
    if (lacksLandlock(2)) return;
    using here = new Temporary(0o777);
    const mounts = [{ destination: "/m", source: here.path, type: "bind", options: ["rbind"] }];
    const command = sh("if [ -e /m/flag ]; then echo x > /tmp/b || exit 3; else : > /m/flag; fi");
    const lesson = await learnFrom(command, { mounts });
    const error = await failure(prove(lesson, { command, mounts }));
    equal(error.name, "LearnError");
    match(error.message, /Cannot prove policy "learned": the program ended with 3 under it, with 0 before/);
    match(error.message, /; it wants what it did not use before: file to write \/tmp\/$/);
  },
);

sandboxTest("a program that executes itself by /proc needs no more than itself", async () => {
  if (lacksLandlock(2)) return;
  const command = python("import os; os.execv('/proc/self/exe', ['python3', '-c', 'print(2)'])");
  const { policy, out } = await learnFrom(command);
  equal(out, "2\n");
  deepEqual(policy.files?.execute.filter((path) => path.startsWith("/proc")), []);
  deepEqual(await under(policy, command), [0, "2\n"]);
});

sandboxTest("numbers that a program makes up, and files that are missing, are not kept", async () => {
  const command = python(`
import ctypes, os
libc = ctypes.CDLL(None)
for n in range(20000, 22000): libc.syscall(n)
for n in range(2000):
  try: os.open(f"/tmp/{n}", os.O_RDONLY)
  except OSError: pass`);
  const { refused, policy } = await learnFrom(command, { base: "permissive" });
  deepEqual(Object.fromEntries(refused), {});
  deepEqual(policy.files?.read.filter((path) => path.startsWith("/tmp")), []);
  deepEqual(allowed({ policy }).filter((call) => !/^[a-z_]\w*$/.test(call)), []);
});

sandboxTest("a program with too many paths teaches nothing", async () => {
  const command = python(`
import os
open("/tmp/x", "w").close()
for flag in (0, os.O_RDWR, os.O_NONBLOCK):
  for n in range(1, 4000): os.close(os.open("/tmp" + "/" * n + "x", flag))`);
  match((await failure(learnFrom(command))).message, /it uses too many files to name them/);
});

sandboxTest("calls by the gate of another architecture kill while learning as ever", async () => {
  if (Deno.build.arch !== "x86_64" || !hasCompiler) return skip("needs x86-64 and gcc");
  using here = new Temporary();
  const source = here.file(
    "gate.c",
    'int main(void) { int r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(20)); return r > 0 ? 0 : 9; }',
  );
  const gate = `${here.path}/gate`;
  ok(works("gcc", "-o", gate, source));
  if (!works(gate)) return skip("this kernel has no 32-bit calls");
  const mounts = [{ destination: "/m", source: here.path, type: "bind", options: ["rbind", "ro"] }];
  match((await failure(learnFrom(["/m/gate"], { mounts }))).message, /default killed it for getpid/);
});

sandboxTest("a lesson is quick", async () => {
  const runs = [];
  for (let run = 0; run < 3; run++) {
    const before = ownCpuMs();
    const { cpuUserMs, cpuSystemMs } = (await learnFrom(python("print(1)"))).result;
    runs.push(cpuUserMs + cpuSystemMs + ownCpuMs() - before);
  }
  ok(Math.min(...runs) < 1000, runs.join(" "));
});
