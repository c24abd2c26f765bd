/** Attacks on the fall-back: each works without a sandbox. */

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { AS_STRANGER, finish, until } from "../helpers/cli.ts";
import { FALLBACK, fallbackTest, python, sh } from "../helpers/fallback.ts";
import { AbstractListener, Bystander, DatagramReceiver, TcpListener } from "../helpers/neighbours.ts";
import type { ForbiddenHost } from "../helpers/no_namespaces.ts";

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
