import { deepEqual, equal, match } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { BOX, endLeft } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { waitUntil } from "../helpers/eventually.ts";
import { running } from "../helpers/exec_box.ts";

containerTest("exec --detach leaves the program to whoever inherits it, and tells its pid", async () => {
  await using containers = await running();
  const pidFile = `${containers.bundle.path}/pid`;
  await containers.output("exec", "-d", "--pid-file", pidFile, BOX, "sh", "-c", "echo out; exec sleep 299");
  const pid = Deno.readTextFileSync(pidFile);
  await waitUntil(() => Deno.readTextFileSync(`/proc/${pid}/cmdline`) === "sleep\x00299\x00");
  const all: number[] = JSON.parse(await containers.output("ps", "--format", "json", BOX));
  equal(all.includes(Number(pid)) && all.length === 2, true);
  equal(new Set(all.map((each) => Deno.readTextFileSync(`/proc/${each}/cgroup`))).size, 1);
  equal(containers.said(1).stdout, "out\n");
  endLeft(Number(pid));
});

/** Inherits what ends meanwhile, as a monitor of engines does, and says with which status. */
const MONITOR = `
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
subprocess.run(sys.argv[2:], check=True, stdin=subprocess.DEVNULL)
pid = int(open(sys.argv[1]).read())
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

containerTest(
  "exec --detach leaves the exit status to who inherits it, however short the program is",
  async () => {
    await using containers = await running();
    const pidFile = `${containers.bundle.path}/pid`;
    const args = ["--root", containers.root, "exec", "-d", "--pid-file", pidFile, BOX, "sh", "-c", "exit 42"];
    const output = await new Deno.Command("python3", {
      args: ["-c", MONITOR, pidFile, ...RUNTIME, ...args],
      env: { NO_COLOR: "1" },
    }).output();
    equal(new TextDecoder().decode(output.stdout), "42\n", new TextDecoder().decode(output.stderr));
  },
);

/** Takes descriptors from a socket as engines do: types into a terminal that asks, and looks at a pidfd. */
const ENGINE = `
import os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
connection = server.accept()[0]
name, fds, *_ = socket.recv_fds(connection, 100, 1)
print(name.decode())
if sys.argv[2] == "terminal":
    said = b""
    while not said.endswith(b"\\n"):
        said += os.read(fds[0], 100)
    os.write(fds[0], b"typed\\n")
    while b"END" not in said:
        said += os.read(fds[0], 100)
    print(said.decode())
else:
    print([line for line in open("/proc/self/fdinfo/%d" % fds[0]) if line.startswith("Pid:")])
`;

containerTest("exec sends a terminal and a pidfd to the sockets that are named", async () => {
  await using containers = await running();
  const [terminal, pidfd, pidFile] = ["console", "pidfd", "pid"].map((name) =>
    `${containers.bundle.path}/${name}`
  );
  const engine = (socket: string, kind: string): Deno.ChildProcess =>
    new Deno.Command("python3", { args: ["-c", ENGINE, socket, kind], stdout: "piped" }).spawn();
  const engines = [engine(terminal!, "terminal"), engine(pidfd!, "pidfd")];
  await waitUntil(() => isThere(terminal!) && isThere(pidfd!));
  const script = "tty; read line; echo got $line; echo END";
  const flags = ["-d", "-t", "--console-socket", terminal!, "--pidfd-socket", pidfd!, "--pid-file", pidFile!];
  await containers.output("exec", ...flags, BOX, "sh", "-c", script);
  const [typed, held] = await Promise.all(
    engines.map(async (each) => new TextDecoder().decode((await each.output()).stdout)),
  );
  match(typed!, /^\/dev\/ptmx\n(.*\r\n)*\/dev\/pts\/0\r\n(.*\r\n)*got typed\r\n/);
  const pid = Deno.readTextFileSync(pidFile!);
  equal(held, `setns\n['Pid:\\t${pid}\\n']\n`);
  endLeft(Number(pid));
});

containerTest("exec --tty passes our terminal on: raw, as large, and with its new size", async () => {
  await using containers = await running();
  const command = [
    ...RUNTIME,
    "--root",
    containers.root,
    "exec",
    "-t",
    BOX,
    "sh",
    "-c",
    "stty size; trap 'stty size; exit 5' WINCH; echo READY; while :; do sleep 0.05; done",
  ];
  const script = `
import fcntl, os, pty, struct, sys, termios
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
said, resized = b"", False
while True:
    try:
        got = os.read(master, 1000)
    except OSError:
        break
    said += got
    if b"READY" in said and not resized:
        resized = True
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 88, 0, 0))
print(said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
  const { stdout } = await new Deno.Command("python3", {
    args: ["-c", script, ...command],
    env: { NO_COLOR: "1" },
  }).output();
  match(new TextDecoder().decode(stdout), /33 77\r\nREADY\r\n44 88\r\n 5\n$/);
});

containerTest("exec passes signals on, and the descriptors that --preserve-fds counts", async () => {
  await using containers = await running();
  const { child, answer } = containers.begin(
    "exec",
    BOX,
    "sh",
    "-c",
    "trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.05; done",
  );
  await waitUntil(() => containers.said(1).stdout === "ready\n");
  child.kill("SIGTERM");
  deepEqual(await answer, { code: 3, stdout: "ready\nterm\n", stderr: "" });
  const script = `echo three >three; echo four >four; exec 3<three 4<four; exec "$@"`;
  const exec = [
    "--root",
    containers.root,
    "exec",
    "--preserve-fds",
    "2",
    BOX,
    "sh",
    "-c",
    "cat <&3; cat <&4; echo /proc/self/fd/*",
  ];
  const { stdout } = await new Deno.Command("/bin/sh", {
    args: ["-c", script, "sh", ...RUNTIME, ...exec],
    cwd: containers.bundle.path,
    env: { NO_COLOR: "1" },
  }).output();
  match(new TextDecoder().decode(stdout), /^three\nfour\n(\S*\/[0-5] ?){6}\n$/);
  match(
    (await containers.run("exec", "--preserve-fds", "1", BOX, "true")).stderr,
    /unable to stat preserved-fd/,
  );
});
