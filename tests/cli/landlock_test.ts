import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { probeLandlock } from "../../runtime/host/probe.ts";
import { leavesNothing } from "../helpers/census.ts";
import { AS_STRANGER, cli, finish, until } from "../helpers/cli.ts";
import { AbstractListener, Bystander, DatagramReceiver, TcpListener } from "../helpers/neighbours.ts";
import { FORBIDDEN, ForbiddenHost, withoutCalls } from "../helpers/no_namespaces.ts";

/** What the fall-back takes of Landlock's interface. */
const NEEDED_ABI = 6;
const missing = Deno.uid() !== 0
  ? "needs root to forbid user namespaces below one of its own"
  : (probeLandlock() ?? 0) < NEEDED_ABI
  ? `needs version ${NEEDED_ABI} of Landlock's interface`
  : undefined;
if (missing) console.log(`SKIP tests of run --fallback landlock: ${missing}`);

let shared: ForbiddenHost | undefined;
globalThis.addEventListener("unload", () => shared?.[Symbol.dispose]());

/** A test on a host that forbids user namespaces; nothing may be left of it. */
function fallbackTest(name: string, body: (host: ForbiddenHost) => Promise<void>): void {
  Deno.test({
    name,
    ignore: missing !== undefined,
    fn: async () => {
      const host = shared ??= new ForbiddenHost();
      await leavesNothing([], () => body(host));
      deepEqual([...Deno.readDirSync(host.tmp)], []);
    },
  });
}

const FALLBACK = ["run", "--fallback", "landlock"];

function sh(script: string): string[] {
  return ["sh", "-c", script];
}

function python(script: string): string[] {
  return ["/usr/bin/python3", "-c", script];
}

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

// Attacks: each works without a sandbox and not under the fall-back

fallbackTest("the fall-back keeps files outside from being read, listed, run or watched", async (host) => {
  const secret = host.file(`${host.outside}/secret`, "secret\n");
  const tool = host.file(`${host.outside}/tool`, "#!/bin/sh\necho ran\n", 0o700);
  const script = `cat ${secret}; ls ${host.outside} | grep secret; ${tool}; cd ${host.outside} && cat secret
    ln -s ${secret} "$TMPDIR/link" && cat "$TMPDIR/link"; rm -f "$TMPDIR/link"
    cat /proc/self/cwd/../outside/secret`;
  deepEqual(await host.bothWays(sh(script)), ["secret\nsecret\nran\nsecret\nsecret\nsecret\n", ""]);
  const watch = `
import ctypes
libc = ctypes.CDLL(None)
print(libc.inotify_add_watch(libc.inotify_init(), b"${host.outside}", 2) > 0)`;
  deepEqual(await host.bothWays(python(watch)), ["True\n", "False\n"]);
});

/** Ways to change `victim` in `directory`, with `own` a directory that may be written to. */
const CHANGES: Readonly<Record<string, string>> = {
  "be written": "echo changed > victim",
  "be appended to": "echo changed >> victim",
  "be truncated": "truncate -s 1 victim",
  "be removed": "rm -f victim",
  "be renamed": "mv victim other",
  "be moved away": 'mv victim "$TMPDIR/victim"; rm -f "$TMPDIR/victim"',
  "be replaced": 'echo new > "$TMPDIR/new"; mv -f "$TMPDIR/new" victim; rm -f "$TMPDIR/new"',
  "be written through a link": 'ln -s "$PWD/victim" "$TMPDIR/l"; echo x > "$TMPDIR/l"; rm -f "$TMPDIR/l"',
  "be written through a hard link": 'ln victim "$TMPDIR/h" && echo x > "$TMPDIR/h"; rm -f "$TMPDIR/h"',
  "be written through /proc/self/cwd": "echo x > /proc/self/cwd/victim",
  "get another mode": "chmod 777 victim",
  "get another mode by chmod(2)": `python3 -c 'import os; os.chmod("victim", 0o777)'`,
  "get another time": "python3 -c 'import os; os.utime(\"victim\", (1, 1))'",
  "get another mode by a descriptor": "python3 -c 'import os; os.fchmod(os.open(\"victim\", 0), 0o777)'",
  "get attributes": 'python3 -c \'import os; os.setxattr("victim", "user.a", b"b")\'',
  "get other flags": "chattr +d victim",
  "get a neighbour without a name first": `python3 -c 'import os
fd = os.open(".", os.O_TMPFILE | os.O_WRONLY); os.link("/proc/self/fd/%d" % fd, "named", src_dir_fd=0, follow_symlinks=True)'`,
  "get neighbours": "touch neighbour; mkdir below; ln -s x link; mkfifo fifo",
};

for (const [change, script] of Object.entries(CHANGES)) {
  fallbackTest(`the fall-back does not let a file outside ${change}`, async (host) => {
    for (const directory of [host.outside, host.work]) {
      const before = state(directory, host);
      const command = sh(`cd ${directory} && ${script}`);
      await host.cli([...FALLBACK, "--", ...command]);
      deepEqual(listing(directory), before, `in ${directory}`);
      await host.plain(command);
      ok(String(listing(directory)) !== String(before), "without a sandbox nothing happens either");
    }
  });
}

/** A fresh `victim` and nothing else, as a listing. */
function state(directory: string, host: ForbiddenHost): string[] {
  for (const { name } of Deno.readDirSync(directory)) {
    Deno.removeSync(`${directory}/${name}`, { recursive: true });
  }
  host.file(`${directory}/victim`, "unchanged\n");
  return listing(directory);
}

/** Names, types, modes, owners, sizes, links, times, attributes and flags. */
function listing(directory: string): string[] {
  const run = (command: string, ...args: string[]): string => {
    const { stdout } = new Deno.Command(command, { args, stderr: "null" }).outputSync();
    return new TextDecoder().decode(stdout);
  };
  const attributes = "import os, sys; print(os.path.exists(sys.argv[1]) and os.listxattr(sys.argv[1]))";
  return [
    ...run("find", directory, "-printf", "%P %y %m %U %G %s %n %T@ %l\n").trim().split("\n").sort(),
    run("python3", "-c", attributes, `${directory}/victim`),
    run("lsattr", directory),
  ];
}

fallbackTest("the fall-back keeps other processes from signals and changed limits", async (host) => {
  await using victim = await Bystander.start(AS_STRANGER);
  const probe =
    `kill -0 ${victim.pid} && echo reached; prlimit --pid ${victim.pid} --nofile=64:64 && echo limited
    renice -n 19 -p ${victim.pid} >/dev/null && echo reniced; taskset -pc 0 ${victim.pid} >/dev/null && echo pinned`;
  deepEqual(await host.bothWays(sh(probe)), ["reached\nlimited\nreniced\npinned\n", ""]);
  const { stdout } = await host.cli([...FALLBACK, "--", ...sh(`kill -9 ${victim.pid} -1; echo $?`)]);
  match(Deno.readTextFileSync(`/proc/${victim.pid}/status`), /^State:\s*S/m, stdout);
});

fallbackTest(
  "the fall-back does not let the program end its guard, and ends all that it starts",
  async (host) => {
    const daemon = `python3 -c 'import os, time
for _ in range(2):
    if os.fork(): os._exit(0)
    os.setsid()
time.sleep(60)'`;
    const script = `kill -9 $PPID; kill -9 -1; ${daemon}; ${daemon}; echo started`;
    const { code, stdout } = await host.cli([...FALLBACK, "--", ...sh(script)]);
    deepEqual([code, stdout], [0, "started\n"]); // and fallbackTest finds nothing left
  },
);

fallbackTest(
  "under the fall-back nothing outlives a command that is killed, and its directory goes next",
  async (host) => {
    const child = await host.start([
      ...FALLBACK,
      "--",
      ...sh("setsid sleep 60 & touch ~/f; echo ready; exec sleep 60"),
    ]);
    await until(child.stdout, "ready\n");
    child.kill("SIGKILL");
    await finish(child);
    equal([...Deno.readDirSync(host.tmp)].length, 1);
    await host.cli([...FALLBACK, "--", "true"]);
  },
);

const CONNECT = `
import socket, sys
def attempt(does):
    try: does(); print("reached")
    except OSError as error: print("refused")
def stream(family, address):
    with socket.socket(family) as own: own.settimeout(2); own.connect(address)
def datagram():
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    pair[0].sendto(b"x", sys.argv[3])
attempt(lambda: stream(socket.AF_INET, ("127.0.0.1", int(sys.argv[1]))))
attempt(lambda: stream(socket.AF_UNIX, "\\0" + sys.argv[2]))
attempt(datagram)
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)))
attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt(lambda: socket.socketpair())
`;

fallbackTest("the fall-back keeps TCP, UDP, abstract and named sockets out of reach", async (host) => {
  using tcp = new TcpListener();
  await using abstract = await AbstractListener.start();
  const named = `${host.outside}/socket`;
  await using _receiver = await DatagramReceiver.start(named);
  const command = [...python(CONNECT), String(tcp.port), abstract.name, named];
  const [plain, kept] = await host.bothWays(command);
  equal(plain, "reached\n".repeat(6));
  equal(kept, "refused\n".repeat(5) + "reached\n", "a pair without a name is for the program itself");
});

fallbackTest(
  "the fall-back closes what IPC namespaces would have, and calls that reach far",
  async (host) => {
    // Each with arguments that its own check refuses in another way, or that undo themselves.
    const script = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    ctypes.set_errno(0)
    result = libc.syscall(*args)
    return os.strerror(ctypes.get_errno()) if result < 0 else "done"
shm = libc.shmget(0, 4096, 0o1600)
print("shm", shm >= 0)
if shm >= 0: libc.shmctl(shm, 0, None)
for name, args in {
    "ptrace": (101, 16, 0x7fffffff, 0, 0), "process_vm_readv": (310, 0x7fffffff, 0, 0, 0, 0, 0),
    "keyctl": (250, 0, -3, 0), "bpf": (321, 99, 0, 0), "perf": (298, 0, 0, -1, -1, 0),
    "userfaultfd": (323, 0x7fffffff), "io_uring": (425, 0, 0), "unshare": (272, 0), "mount": (165, 0, 0, 0, 0, 0),
    "clone3": (435, 0, 0), "setns": (308, -1, 0), "open_by_handle_at": (304, -1, 0, 0),
    "TIOCSTI": (16, 0, 0x5412, b"x"), "TIOCSTI+": (16, 0, 0xffffffff00005412, b"x"), "personality": (135, 0x40000),
    "unknown": (9999,),
}.items(): print(name, call(*[ctypes.c_long(each) if isinstance(each, int) else each for each in args]))`;
    const [plain, kept] = await host.bothWays(python(script));
    const [before, after] = [plain, kept].map((text) => text.trim().split("\n"));
    deepEqual(after, [
      "shm False",
      ...[
        "ptrace",
        "process_vm_readv",
        "keyctl",
        "bpf",
        "perf",
        "userfaultfd",
        "io_uring",
        "unshare",
        "mount",
      ].map(
        (name) => `${name} Operation not permitted`,
      ),
      "clone3 Function not implemented",
      "setns Operation not permitted",
      "open_by_handle_at Operation not permitted",
      "TIOCSTI Permission denied",
      "TIOCSTI+ Permission denied",
      "personality Operation not permitted",
      "unknown Function not implemented",
    ]);
    const same = after!.filter((line) => before!.includes(line));
    // What this kernel refuses anyway is no proof of the filter; the rest is.
    ok(same.length <= 4, `the filter changes nothing about ${same.join("; ")}`);
  },
);
