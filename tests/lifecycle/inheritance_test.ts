import { deepEqual, equal, match, ok } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import type { Fd } from "../../ffi/fd.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { listenForDatagrams, receive, sendDatagram } from "../../ffi/socket.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { skip } from "../helpers/skip.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";

/** The runtime, called by a shell script that has something to pass on. */
function through(script: string): string[] {
  return ["/bin/sh", "-c", `${script}; exec "$@"`, "sh", ...RUNTIME];
}

/** Commands run in the directory of the bundle. */
const OPEN = "exec 3<fd.3 4<fd.4 5<fd.5";
const LIST =
  'for fd in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$fd ] && echo $fd; done; cat <&3; cat <&4; echo "$LISTEN_FDS:$LISTEN_PID"';

/** Containers whose runtime has three descriptors open beside the usual ones. */
function withDescriptors(before = ":"): Containers {
  const containers = new Containers(through(`${OPEN}; ${before}`));
  for (const number of [3, 4, 5]) {
    Deno.writeTextFileSync(`${containers.bundle.path}/fd.${number}`, `file ${number}\n`);
  }
  return containers;
}

containerTest("--preserve-fds passes on what it says and nothing more", async () => {
  for (const form of ["run", "run --detach", "create"]) {
    await using containers = withDescriptors();
    containers.write(["/bin/sh", "-c", LIST]);
    const answer = await containers.run(
      ...form.split(" "),
      "--bundle",
      containers.bundle.path,
      "--preserve-fds",
      "2",
      BOX,
    );
    deepEqual([answer.code, answer.stderr], [0, ""]);
    if (form === "create") await containers.output("start", BOX);
    if (form !== "run") await containers.until(BOX, "stopped");
    equal(containers.said(0).stdout, "3\n4\nfile 3\nfile 4\n:\n", form);
  }
});

containerTest("without --preserve-fds no descriptor is passed on", async () => {
  await using containers = withDescriptors();
  containers.write(["/bin/sh", "-c", "ls /proc/self/fd | grep -v '^[0-3]$'; exit 0"]);
  const { stdout } = await containers.run("run", "--bundle", containers.bundle.path, BOX);
  equal(stdout, "");
});

containerTest("--preserve-fds refuses descriptors that are not there", async () => {
  await using containers = withDescriptors();
  const { code, stderr } = await containers.run("create", "--preserve-fds", "40", BOX);
  equal(code, 1);
  match(stderr, /unable to stat preserved-fd 3 \(of 40\): no such file or directory/);
});

containerTest("a program that cannot run is told of, and not written into its descriptors", async () => {
  const file = Deno.makeTempFileSync({ prefix: "inheritance-" });
  await using containers = new Containers(through(`exec 3<>${file}`));
  containers.bundle.file("bin/odd", "\x7fELF is not all that it takes", 0o755);
  containers.write(["/bin/odd"]);
  const { code, stderr } = await containers.run(
    "run",
    "--bundle",
    containers.bundle.path,
    "--preserve-fds",
    "1",
    BOX,
  );
  equal(code, 255);
  match(stderr, /exec \/bin\/odd: exec format error/);
  equal(Deno.readTextFileSync(file), "");
  Deno.removeSync(file);
});

containerTest("sockets that systemd passes come first, and the program learns of them", async () => {
  await using containers = withDescriptors("export LISTEN_PID=$$ LISTEN_FDS=1");
  containers.write(["/bin/sh", "-c", LIST]);
  const path = containers.bundle.path;
  const { stdout, stderr } = await containers.run("run", "--bundle", path, "--preserve-fds", "1", BOX);
  deepEqual([stdout, stderr], ["3\n4\nfile 3\nfile 4\n1:1\n", ""]);
  await using others = withDescriptors("export LISTEN_PID=1 LISTEN_FDS=1"); // somebody else's
  others.write(["/bin/sh", "-c", "[ -e /proc/self/fd/3 ] || echo none $LISTEN_FDS"]);
  equal((await others.run("run", "--bundle", others.bundle.path, BOX)).stdout, "none\n");
});

containerTest("--no-pivot mounts the root over the host's", async () => {
  await using containers = new Containers();
  containers.bundle.file("inside", "");
  containers.write(["/bin/sh", "-c", "ls / | grep -c inside; ls /proc/1/root/ | grep -c inside; ls /.."]);
  const run = ["run", "--bundle", containers.bundle.path];
  const { code, stdout, stderr } = await containers.run(...run, "--no-pivot", BOX);
  deepEqual([code, stderr], [0, ""]);
  ok(stdout.startsWith("1\n1\n"), stdout);
  equal(stdout.includes("boot"), false);
  equal(stdout, (await containers.run(...run, BOX)).stdout);
});

containerTest("--no-pivot leaves no whole /proc that a program could mount in a user namespace", async () => {
  await using containers = new Containers();
  const { process, linux } = starterSpec();
  const script = "unshare -mrpf mount -t proc none /tmp 2>&1 || echo refused";
  const args = ["/bin/sh", "-c", script];
  const own = ["CAP_SETFCAP", ...process!.capabilities!.bounding!]; // the kernel wants it of who maps root
  const capabilities = { bounding: own, permitted: own, effective: own };
  const run = ["run", "--bundle", containers.bundle.path, "--no-pivot", BOX];
  containers.write(args, {
    process: { ...process!, terminal: false, args, capabilities, env: ["PATH=/bin"] },
  });
  await using _elsewhere = await mountProc(`${containers.bundle.path}/proc`); // on the host, as in a chroot
  const { stdout, ...said } = await containers.run(...run);
  match(stdout, /permission denied.*\nrefused\n$/is, said.stderr || "it could be mounted");

  const map = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  const namespaces = [...linux!.namespaces!, { type: "user" } as const];
  containers.write(args, { linux: { ...linux, namespaces, uidMappings: map, gidMappings: map } });
  const { code, stderr } = await containers.run(...run);
  equal(code, 1);
  match(stderr, /--no-pivot.*user namespace/);
});

async function mountProc(path: string): Promise<AsyncDisposable> {
  const call = async (...args: readonly string[]): Promise<void> => {
    const { success, stderr } = await new Deno.Command(args[0]!, { args: args.slice(1) }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  };
  Deno.mkdirSync(path);
  await call("mount", "-t", "proc", "proc", path);
  return { [Symbol.asyncDispose]: () => call("umount", path) };
}

/** Prints the message and the pid of a descriptor that comes to a socket. */
const ENGINE = `
import re, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
name, fds, *_ = socket.recv_fds(server.accept()[0], 100, 1)
print(name.decode(), re.search("Pid:\\t(\\d+)", open(f"/proc/self/fdinfo/{fds[0]}").read())[1])
`;

containerTest("--pidfd-socket gets a descriptor of the first process", async () => {
  for (const command of [["create"], ["run", "--detach"], ["run"]]) {
    await using containers = new Containers();
    const path = `${containers.bundle.path}/pidfd.sock`;
    const python = new Deno.Command("python3", { args: ["-c", ENGINE, path], stdout: "piped" }).spawn();
    while (!isThere(path)) await new Promise((resolve) => setTimeout(resolve, 20));
    const { answer } = containers.begin(...command, "--pidfd-socket", path, BOX);
    const said = await new Response(python.stdout).text();
    await python.status;
    await containers.until(BOX, command[0] === "create" ? "created" : "running");
    equal(said.trim(), `standard ${JSON.parse(await containers.output("state", BOX)).pid}`);
    await containers.output("delete", "--force", BOX);
    await answer;
  }
});

containerTest("start tells who waits that the program is ready, and with which pid", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "notify-" });
  using host = listenForDatagrams(`${directory}/host.sock`);
  for (
    const [before, command] of [[["create"], ["start"]], [[], ["run", "--detach"]], [[], ["run"]]] as const
  ) {
    await using containers = new Containers(through(`export NOTIFY_SOCKET=${directory}/host.sock`));
    const script = 'echo "$NOTIFY_SOCKET"; [ -S "$NOTIFY_SOCKET" ] && echo there; exec sleep 300';
    containers.write(["/bin/sh", "-c", script]);
    if (before.length > 0) await containers.output(...before, BOX);
    const { answer } = containers.begin(...command, BOX);
    while (!containers.said(0).stdout.includes("there")) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    equal(containers.said(0).stdout, "/run/notify/notify.sock\nthere\n");
    const { pid } = JSON.parse(await containers.output("state", BOX));
    const inside = `/proc/${pid}/root/run/notify/notify.sock`; // short enough for a socket
    for (const said of ["STATUS=half", "READY=1\nSTATUS=all"]) {
      sendDatagram(inside, new TextEncoder().encode(said));
    }
    let ready: string | undefined;
    while ((ready = heard(host)) === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    const stays = command.join() === "run";
    if (stays) await containers.output("kill", BOX, "KILL");
    const stdout = command[0] === "run" ? containers.said(0).stdout : "";
    deepEqual(await answer, { code: stays ? 137 : 0, stdout, stderr: "" });
    deepEqual([ready, heard(host), heard(host)], ["READY=1\n", `MAINPID=${pid}\n`, undefined]);
    await containers.output("delete", "--force", BOX);
    equal(isThere(`${containers.root}/${BOX}`), false);
  }
  Deno.removeSync(directory, { recursive: true });
});

containerTest("a program that ends before it is ready keeps start no longer", async () => {
  await using containers = new Containers(through("export NOTIFY_SOCKET=/nosuch"));
  containers.write(["/bin/true"]);
  await containers.output("run", "--detach", BOX);
  await containers.output("delete", BOX);
});

function heard(socket: Fd): string | undefined {
  const received = receive(socket, 64);
  return typeof received === "string" ? undefined : new TextDecoder().decode(received.bytes);
}

/** Prints the names of the keys that the program can see; the caller's keyring has one of its own. */
const KEY = `
import ctypes, os, sys
libc = ctypes.CDLL(None)
add_key, keyctl = (248, 250) if os.uname().machine == "x86_64" else (217, 219)
libc.syscall(keyctl, 1, None)
key = libc.syscall(add_key, b"user", b"of-the-caller", b"x", 1, -3)
# Seen only by who has it in a keyring.
if key < 0 or libc.syscall(keyctl, 5, key, 0x3f000000) < 0: sys.exit(99)
os.execvp(sys.argv[1], sys.argv[1:])
`;

containerTest(
  "--no-new-keyring leaves the program the caller's keys, which it has not otherwise",
  async () => {
    await using containers = new Containers(["python3", "-c", KEY, ...RUNTIME]);
    const { linux } = JSON.parse(Deno.readTextFileSync(`${containers.bundle.path}/config.json`));
    const args = ["/bin/sh", "-c", "grep -c of-the-caller /proc/keys; exit 0"];
    containers.write(args, { linux: { ...linux, maskedPaths: [] } });
    const run = ["run", "--bundle", containers.bundle.path];
    const plain = await containers.run(...run, BOX);
    if (plain.code === 99) return skip("this kernel has no keys for us");
    equal(plain.stdout, "0\n");
    equal((await containers.run(...run, "--no-new-keyring", BOX)).stdout, "1\n");
    // As with runc, exec does what create was told.
    containers.write(["/bin/sleep", "300"], { linux: { ...linux, maskedPaths: [] } });
    for (const [flags, keys] of [[[], "0\n"], [["--no-new-keyring"], "1\n"]] as const) {
      await containers.output("run", "--detach", ...flags, BOX);
      equal((await containers.run("exec", BOX, ...args)).stdout, keys);
      await containers.output("delete", "--force", BOX);
    }
  },
);

containerTest("run --keep ends as the program does, and the container stays for delete", async () => {
  await using containers = new Containers();
  for (const [script, code] of [["echo out; exit 7", 7], ["kill -KILL $$", 0], ["echo $$", 0]] as const) {
    containers.write(["/bin/sh", "-c", script]);
    const answer = await containers.run("run", "--keep", "--bundle", containers.bundle.path, BOX);
    deepEqual([answer.code, answer.stderr], [code, ""], script);
    equal(await containers.status(BOX), "stopped");
    await containers.output("delete", BOX);
  }
});

containerTest("run --keep passes signals on", async () => {
  await using containers = new Containers();
  containers.write(["/bin/sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"]);
  const { child, answer } = containers.begin("run", "--keep", BOX);
  while (!containers.said(0).stdout) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill("SIGTERM");
  equal((await answer).code, 9);
  await containers.output("delete", BOX);
});
