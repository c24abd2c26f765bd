import { deepEqual, equal, match } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { AS_STRANGER, bundled, cli, STRANGER, Temporary } from "../helpers/cli.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { MOUNTS } from "../helpers/launch_bundle.ts";
import { waitUntil } from "../helpers/eventually.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Spec } from "../../runtime/spec/config.ts";

const NAMESPACES = ["pid", "network", "ipc", "uts", "mount"] as const;

containerTest("create builds all but begins nothing; start begins, with the streams of create", async () => {
  await using containers = new Containers();
  containers.write(["/bin/sh", "-c", "echo out; echo err >&2; touch /begun; sleep 300"]);
  const { answer } = containers.begin("create", BOX);
  deepEqual(await answer, { code: 0, stdout: "", stderr: "" });
  const begun = `${containers.bundle.rootfs}/begun`;
  equal(isThere(begun), false);
  equal(await containers.status(BOX), "created");
  await containers.output("start", BOX);
  await waitUntil(() => isThere(begun));
  deepEqual(containers.said(0), { stdout: "out\n", stderr: "err\n" });
  await containers.output("delete", "--force", BOX);
});

containerTest(
  "a program that is missing is an error of create, also beside a filter without no_new_privs",
  async () => {
    await using containers = new Containers();
    const { process } = starterSpec();
    const allowed = {
      names: ["read", "write", "close", "execve", "exit_group", "capset", "prctl"],
      action: "SCMP_ACT_ALLOW",
    } as const;
    containers.write(["missing"], {
      process: { ...process!, args: ["missing"], terminal: false, noNewPrivileges: false, rlimits: [] },
      linux: {
        namespaces: NAMESPACES.map((type) => ({ type })),
        seccomp: { defaultAction: "SCMP_ACT_ERRNO", syscalls: [allowed] },
      },
    });
    const { code, stderr } = await containers.run("create", BOX);
    equal(code, 1);
    match(stderr, /exec: "missing": executable file not found in \$PATH/);
  },
);

containerTest("the pid file names the first process, which has the limits of the bundle", async () => {
  await using containers = new Containers();
  const linux = {
    namespaces: NAMESPACES.map((type) => ({ type })),
    resources: { pids: { limit: 7 } },
    cgroupsPath: `/ai-sandbox-test-${Deno.pid}/deeper/${BOX}`,
  };
  containers.write(["/bin/sleep", "300"], { linux });
  const pidFile = `${containers.bundle.path}/pid`;
  await containers.output("create", "--pid-file", pidFile, BOX);
  const pid = Number(Deno.readTextFileSync(pidFile));
  equal(JSON.parse(await containers.output("state", BOX)).pid, pid);
  const pids = `/sys/fs/cgroup/pids${linux.cgroupsPath}`;
  equal(Deno.readTextFileSync(`${pids}/pids.max`).trim(), "7");
  match(Deno.readTextFileSync(`/proc/${pid}/cgroup`), new RegExp(`pids:${linux.cgroupsPath}\n`));
  await containers.output("delete", BOX);
  equal(isThere(`/sys/fs/cgroup/pids/ai-sandbox-test-${Deno.pid}`), false);
});

containerTest("without a pid namespace delete ends what the program has started", async () => {
  await using containers = new Containers();
  const linux = { namespaces: NAMESPACES.filter((type) => type !== "pid").map((type) => ({ type })) };
  containers.write(["/bin/sh", "-c", "sleep 301 & sleep 302 & touch /begun; exit 0"], { linux });
  await containers.output("run", "--detach", BOX);
  await waitUntil(() => isThere(`${containers.bundle.rootfs}/begun`));
  await containers.until(BOX, "stopped");
  equal(JSON.parse(await containers.output("ps", "--format", "json", BOX)).length, 2);
  await containers.output("delete", BOX);
});

containerTest("a signal reaches the program, and with --all the others too", async () => {
  await using containers = new Containers();
  const child = "(trap 'touch /child; exit' USR1; touch /ready; while :; do sleep 0.1; done)";
  containers.write(["/bin/sh", "-c", `trap 'touch /init' USR1; ${child} & while :; do sleep 0.1; done`]);
  await containers.output("run", "--detach", BOX);
  const file = (name: string): string => `${containers.bundle.rootfs}/${name}`;
  await waitUntil(() => isThere(file("ready")));
  await containers.output("kill", BOX, "USR1");
  await waitUntil(() => isThere(file("init")));
  equal(isThere(file("child")), false);
  await containers.output("kill", "--all", BOX, "10");
  await waitUntil(() => isThere(file("child")));
  await containers.output("delete", "--force", BOX);
});

containerTest("a paused container stands still, and is deleted by force", async () => {
  await using containers = new Containers();
  containers.write(["/bin/sh", "-c", "while :; do echo x >>/count; sleep 0.01; done"]);
  await containers.output("run", "--detach", BOX);
  const size = (): number => isThere(count) ? Deno.statSync(count).size : 0;
  const count = `${containers.bundle.rootfs}/count`;
  await waitUntil(() => size() > 0);
  await containers.output("pause", BOX);
  const still = size();
  await new Promise((resolve) => setTimeout(resolve, 100));
  equal(size(), still);
  await containers.output("resume", BOX);
  await waitUntil(() => size() > still);
  await containers.output("pause", BOX);
  await containers.output("delete", "--force", BOX);
});

containerTest(
  "the annotation lays an overlay over the rootfs, which create leaves out otherwise",
  async () => {
    await using containers = new Containers();
    const annotations = { "dev.ai-sandbox.overlay": "tmpfs:size=1m" };
    containers.write(["/bin/sh", "-c", "touch /begun; echo done; sleep 300"], { annotations });
    await containers.output("run", "--detach", BOX);
    await waitUntil(() => containers.said(0).stdout !== "");
    equal(isThere(`${containers.bundle.rootfs}/begun`), false);
    await containers.output("delete", "--force", BOX);
  },
);

/** Takes a terminal from a socket, and prints what comes from it and what answers the line that it types when asked. */
const ENGINE = `
import os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
connection = server.accept()[0]
name, fds, *_ = socket.recv_fds(connection, 100, 1)
said = b""
while not said.endswith(b"\\n"):
    said += os.read(fds[0], 100)
os.write(fds[0], b"typed\\n")
while b"END" not in said:
    said += os.read(fds[0], 100)
print(said.decode())
`;

containerTest("a program with a terminal sends it to the console socket", async () => {
  await using containers = new Containers();
  const socket = `${containers.bundle.path}/console`;
  const spec = JSON.parse(Deno.readTextFileSync(`${containers.bundle.path}/config.json`));
  const args = ["/bin/sh", "-c", "tty; read line; echo got $line; echo END; sleep 300"];
  containers.write([], { process: { ...spec.process, terminal: true, args } });
  match((await containers.run("create", BOX)).stderr, /--console-socket/);
  const python = new Deno.Command("python3", { args: ["-c", ENGINE, socket], stdout: "piped" }).spawn();
  await waitUntil(() => isThere(socket));
  await containers.output("run", "--detach", "--console-socket", socket, BOX);
  const said = new TextDecoder().decode((await python.output()).stdout);
  match(said, /\/dev\/(pts\/0|console)\r\n(.*\r\n)*got typed\r\n/);
  await containers.output("delete", "--force", BOX);
});

containerTest(
  "start says why the first process could not become the program, and the container is stopped",
  async () => {
    await using containers = new Containers();
    const program = `${containers.bundle.rootfs}/junk`;
    Deno.writeTextFileSync(program, "\x7fELF no program");
    Deno.chmodSync(program, 0o755);
    for (const linux of [{}, { seccomp: { defaultAction: "SCMP_ACT_ALLOW" } }]) {
      const spec = JSON.parse(Deno.readTextFileSync(`${containers.bundle.path}/config.json`));
      containers.write(["/junk"], { linux: { ...spec.linux, ...linux } });
      await containers.output("create", BOX);
      const { code, stderr } = await containers.run("start", BOX);
      equal(code, 1);
      match(stderr, /could not become the program: ENOEXEC|cannot start a container that has stopped/);
      await containers.until(BOX, "stopped");
      await containers.output("delete", BOX);
    }
  },
);

containerTest(
  "what cannot be a program is an error of create and run in runc's words, and leaves nothing",
  async () => {
    await using containers = new Containers();
    const { bundle } = containers;
    bundle.file("bin/plain", "x", 0o644);
    for (
      const [program, words] of [
        ["/bin/nosuch", 'exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory'],
        ["nosuch", 'exec: "nosuch": executable file not found in $PATH'],
        ["/bin/plain", 'exec: "/bin/plain": permission denied'],
        ["/bin", 'exec: "/bin": is a directory'],
      ] as const
    ) {
      containers.write([program]);
      for (const args of [["create"], ["run", "--detach"], ["run", "--bundle", bundle.path]]) {
        deepEqual(await containers.run(...args, BOX), {
          code: 1,
          stdout: "",
          stderr: `runtime: unable to start container process: ${words}\n`,
        });
        equal(await containers.output("list", "--quiet"), "");
      }
    }
  },
);

for (
  const [flags, says] of [
    [["create", "--console-socket", "/nosuch", BOX], /no terminal/],
    [["run", "--detach", "--memory", "1g", BOX], /--memory with --detach/],
    [["state"], /requires exactly 1 argument/],
    [["start", BOX, "other"], /requires exactly 1 argument/],
  ] as const
) {
  containerTest(`${flags.join(" ").replace(BOX, "ID")} is refused`, async () => {
    await using containers = new Containers();
    const { code, stderr } = await containers.run(...flags);
    match(stderr, says);
    equal(code, 1);
    equal(await containers.output("list", "--quiet"), "");
  });
}

containerTest("errors go to the log as shims read it", async () => {
  await using containers = new Containers();
  const log = `${containers.bundle.path}/log`;
  const said = await cli([
    "--log",
    log,
    "--log-format=json",
    "--root",
    containers.root,
    "--debug",
    "state",
    BOX,
  ]);
  equal(said.code, 1);
  const { level, msg, time } = JSON.parse(Deno.readTextFileSync(log));
  deepEqual([level, msg], ["error", "container does not exist"]);
  match(time, /^\d{4}-/);
});

containerTest("a user without rights has containers too, below XDG_RUNTIME_DIR", async () => {
  await using containers = new Containers();
  using directory = new Temporary();
  const own = `${directory.path}/run`;
  Deno.mkdirSync(own);
  Deno.chownSync(own, STRANGER, STRANGER);
  const id = (first: number): unknown[] => [{ containerID: 0, hostID: first, size: 1 }];
  const linux = {
    namespaces: [...NAMESPACES, "user"].map((type) => ({ type })),
    uidMappings: id(STRANGER),
    gidMappings: id(STRANGER),
  };
  containers.write(["/bin/sleep", "300"], { linux, mounts: MOUNTS } as Partial<Spec>);
  const program = await bundled(directory);
  const script = `exec "$@" </dev/null >${own}/out 2>${own}/err`;
  const wrapper = [...AS_STRANGER, "env", `XDG_RUNTIME_DIR=${own}`, "sh", "-c", script, "sh"];
  const run = async (...args: readonly string[]): Promise<string> => {
    const { code } = await cli(args, { wrapper, program, cwd: containers.bundle.path });
    equal(code, 0, Deno.readTextFileSync(`${own}/err`));
    return Deno.readTextFileSync(`${own}/out`);
  };
  await run("create", BOX);
  equal(JSON.parse(await run("state", BOX)).status, "created");
  await run("start", BOX);
  equal(JSON.parse(await run("state", BOX)).status, "running");
  await run("kill", BOX, "KILL");
  await run("delete", "--force", BOX);
  deepEqual([...Deno.readDirSync(`${own}/ai-sandbox/containers`)], []);
});
