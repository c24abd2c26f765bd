import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { groupValue } from "../helpers/container_groups.ts";
import { containerTest } from "../helpers/container_test.ts";
import { eventually, waitUntil } from "../helpers/eventually.ts";
import { processOf, running } from "../helpers/exec_box.ts";
import { USER_NAMESPACE } from "../helpers/launch_bundle.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Linux, Spec } from "../../runtime/spec/config.ts";

const STATUS = "grep -E 'Cap(Prm|Bnd)|NoNewPrivs|Seccomp:|Groups' /proc/self/status";

containerTest(
  "exec runs a program where the first one is, with its rights, and ends as it does",
  async () => {
    await using containers = await running();
    const pid = JSON.parse(await containers.output("state", BOX)).pid;
    const script = "for ns in pid mnt net; do readlink /proc/self/ns/$ns; done; pwd; echo err >&2; exit 7";
    const { code, stdout, stderr } = await containers.run("exec", BOX, "sh", "-c", script);
    const links = ["pid", "mnt", "net"].map((name) => Deno.readLinkSync(`/proc/${pid}/ns/${name}`));
    deepEqual([code, stdout, stderr], [7, [...links, "/", ""].join("\n"), "err\n"]);
    const own = await containers.output("exec", BOX, "sh", "-c", `${STATUS} | sort`);
    const first = Deno.readTextFileSync(`/proc/${pid}/status`).split("\n");
    for (const line of own.trim().split("\n")) equal(first.includes(line), true, line);
    equal((await containers.run("exec", BOX, "sh", "-c", "kill -9 $$")).code, 137);
    // Nothing of ours is open in it: its directory of descriptors holds these and its own.
    equal(
      await containers.output("exec", BOX, "sh", "-c", "echo /proc/self/fd/*"),
      [0, 1, 2, 3].map((fd) => `/proc/self/fd/${fd}`).join(" ") + "\n",
    );
  },
);

containerTest("exec gives what flags and a process document ask for", async () => {
  await using containers = await running();
  const exec = (...args: string[]): Promise<string> => containers.output("exec", ...args);
  equal(
    await exec(
      "--user",
      "1000:1001",
      "-g",
      "5",
      "-g",
      "6",
      "-e",
      "A=b=c",
      "--cwd",
      "/bin",
      BOX,
      "sh",
      "-c",
      "id -u; id -G; echo $A $HOME; pwd",
    ),
    "1000\n1001 5 6\nb=c /home/u\n/bin\n",
  );
  equal(await exec("--additional-gids", "5", "--additional-gids", "6", BOX, "id", "-G"), "0 5 6\n");
  match(await exec("--user", "77", BOX, "sh", "-c", "echo $HOME; id -g"), /^\/\n0\n$/);
  match(await exec("-e", "HOME=/elsewhere", BOX, "sh", "-c", "echo $HOME"), /^\/elsewhere\n$/);
  // The capability is one that the bundle does not have.
  match(
    await exec("--cap", "CAP_NET_ADMIN", BOX, "sh", "-c", STATUS),
    /CapPrm:\t0000000020001420\nCapBnd:\t0000000020001420/,
  );
  const file = `${containers.bundle.path}/process.json`;
  Deno.writeTextFileSync(
    file,
    JSON.stringify({
      cwd: "/tmp",
      args: ["sh", "-c", `pwd; id -u; ulimit -n; umask; ${STATUS}`],
      env: ["PATH=/bin"],
      user: { uid: 5, gid: 6, umask: 0o77 },
      capabilities: { bounding: ["CAP_KILL"] },
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 77, hard: 77 }],
      noNewPrivileges: true,
    }),
  );
  const said = await exec("--process", file, BOX);
  match(said, /^\/tmp\n5\n77\n0077\n/);
  match(said, /CapBnd:\t0000000000000020\nNoNewPrivs:\t1/);
  // Flags of ours behind the id, and what only looks like them behind the program.
  equal(
    await exec(BOX, "--cwd", "/bin", "--", "sh", "-c", "pwd; echo $0 $1", "--cwd", "--"),
    "/bin\n--cwd --\n",
  );
});

containerTest("exec --no-new-privs holds for the program alone", async () => {
  await using containers = await running({
    process: processOf({ args: ["/bin/sleep", "300"], noNewPrivileges: false }),
  });
  const show = ["grep", "NoNewPrivs", "/proc/self/status"];
  equal(await containers.output("exec", "--no-new-privs", BOX, ...show), "NoNewPrivs:\t1\n");
  equal(await containers.output("exec", BOX, ...show), "NoNewPrivs:\t0\n");
});

containerTest("exec enters a user namespace, and all others with it", async () => {
  const namespaces = [...USER_NAMESPACE.namespaces, { type: "cgroup" }, { type: "time" }] as const;
  const linux: Linux = { ...starterSpec().linux, ...USER_NAMESPACE, namespaces };
  await using containers = await running({ linux: { ...linux, timeOffsets: { boottime: { secs: 86400 } } } });
  Deno.chownSync(`${containers.bundle.rootfs}/tmp`, 100_000, 100_000);
  const script = "id -u; touch /tmp/made; cat /proc/self/uid_map; head -n 1 /proc/uptime | cut -d. -f1";
  const [uid, map, uptime] = (await containers.output("exec", BOX, "sh", "-c", script)).split("\n");
  deepEqual([uid, map!.trim().split(/\s+/)], ["0", ["0", "100000", "65536"]]);
  equal(Number(uptime) > 86400, true);
  equal(Deno.statSync(`${containers.bundle.rootfs}/tmp/made`).uid, 100_000);
});

containerTest("exec has the root of a container that shares the host's mounts", async () => {
  const linux = { namespaces: (["pid", "ipc"] as const).map((type) => ({ type })) };
  await using containers = await running({ linux, mounts: [], hostname: undefined } as unknown as Spec);
  match(await containers.output("exec", BOX, "ls", "/"), /^bin\n.*etc/s);
});

containerTest("exec applies the filter of the container, and its limits", async () => {
  const seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 7 }],
  };
  const process = processOf({
    args: ["/bin/sleep", "300"],
    rlimits: [{ type: "RLIMIT_FSIZE", soft: 4096, hard: 4096 }],
  });
  const linux = { ...starterSpec().linux, seccomp } as Linux;
  for (const noNewPrivileges of [true, false]) {
    await using containers = await running({ process: { ...process, noNewPrivileges }, linux });
    const { stderr, stdout } = await containers.run(
      "exec",
      BOX,
      "sh",
      "-c",
      "mkdir /tmp/x; grep Seccomp: /proc/self/status; ulimit -f",
    );
    match(stderr, /Argument list too long/);
    match(stdout, /Seccomp:\t2\n/);
    await containers.output("delete", "--force", BOX);
  }
});

containerTest(
  "a container and exec have the CPUs that are asked for, and not those of who calls",
  async () => {
    const [own] = /Cpus_allowed:.*/.exec(Deno.readTextFileSync("/proc/1/status"))!;
    await using containers = new Containers(["taskset", "-c", "0", ...RUNTIME]);
    await containers.output("run", "--detach", BOX);
    const shown = ["grep", "Cpus_allowed:", "/proc/self/status"];
    const first = JSON.parse(await containers.output("state", BOX)).pid;
    equal(/Cpus_allowed:.*/.exec(Deno.readTextFileSync(`/proc/${first}/status`))![0], own);
    equal(await containers.output("exec", BOX, ...shown), `${own}\n`);
    const file = `${containers.bundle.path}/process.json`;
    const process = {
      cwd: "/",
      args: shown,
      env: ["PATH=/bin"],
      execCPUAffinity: { initial: "0", final: "0" },
    };
    Deno.writeTextFileSync(file, JSON.stringify(process));
    match(await containers.output("exec", "--process", file, BOX), /Cpus_allowed:\t0*1\n/);
  },
);

containerTest("exec joins groups below the container's, and none elsewhere", async () => {
  await using containers = await running();
  const group = `/sys/fs/cgroup/pids/${BOX}`;
  if (!isThere(group)) return;
  Deno.mkdirSync(`${group}/below`);
  match(
    await containers.output("exec", "--cgroup", "pids:below", BOX, "cat", "/proc/self/cgroup"),
    /pids:\/below\n/,
  );
  match(
    (await containers.run("exec", "--cgroup", "pids:nosuch", BOX, "true")).stderr,
    /adding pid .*\/nosuch\/cgroup.procs: no such file/,
  );
  match(
    (await containers.run("exec", "--cgroup", "pids:../..", BOX, "true")).stderr,
    /: bad sub cgroup path: \.\.\/\.\. is not a sub cgroup path/, // two versions of runc say it in two ways
  );
  match(
    (await containers.run("exec", "--cgroup", "nosuch:/", BOX, "true")).stderr,
    /unknown controller nosuch/,
  );
});

containerTest("exec looks into a container that has all the processes that it may have", async () => {
  await using containers = new Containers();
  containers.write(["sh", "-c", "sleep 300 & sleep 300 & sleep 300 & sleep 300 & wait"], {
    linux: { ...starterSpec().linux!, resources: { pids: { limit: 5 } } },
  });
  await containers.output("run", "--detach", BOX);
  const { pid } = JSON.parse(await containers.output("state", BOX));
  await waitUntil(() => groupValue(pid, "pids.current") === "5", "it has them");
  for (let round = 0; round < 2; round++) { // the second one by what was kept of the first
    match(await containers.output("exec", BOX, "cat", "/proc/self/cgroup"), /:\/\n/);
  }
  notEqual((await containers.run("exec", BOX, "sh", "-c", "true & wait $!")).code, 0);
});

containerTest(
  "exec waits in a paused container that it may enter, and enters one that was not started",
  async () => {
    await using containers = new Containers();
    await containers.output("create", BOX);
    equal(await containers.output("exec", BOX, "echo", "created"), "created\n");
    await containers.output("start", BOX);
    await containers.output("pause", BOX);
    const refused = await containers.run("exec", BOX, "true");
    deepEqual([refused.code, refused.stderr], [
      255,
      "runtime: exec failed: cannot exec in a paused container (use --ignore-paused to override)\n",
    ]);
    const { answer } = containers.begin("exec", "--ignore-paused", BOX, "echo", "resumed");
    let isOver = false;
    void answer.then(() => isOver = true);
    const pids = async (): Promise<number[]> =>
      JSON.parse(await containers.output("ps", "--format", "json", BOX));
    equal((await eventually(pids, ({ length }) => length > 1)).length > 1, true, "it does not enter");
    equal(isOver, false);
    await containers.output("resume", BOX);
    deepEqual(await answer, { code: 0, stdout: "resumed\n", stderr: "" });
    await containers.output("kill", BOX, "KILL");
    await containers.until(BOX, "stopped");
    match(
      (await containers.run("exec", BOX, "true")).stderr,
      /exec failed: cannot exec in a stopped container\n/,
    );
  },
);

containerTest("a hostile passwd neither keeps exec waiting nor leads it outside", async () => {
  await using containers = await running();
  const home = (): Promise<string> => containers.output("exec", BOX, "sh", "-c", "echo $HOME");
  const passwd = `${containers.bundle.rootfs}/etc/passwd`;
  const outside = `${containers.bundle.path}/outside`;
  Deno.writeTextFileSync(outside, "root:x:0:0::/outside:/bin/sh\n");
  Deno.removeSync(passwd);
  equal(await home(), "/\n");
  Deno.symlinkSync(outside, passwd);
  equal(await home(), "/\n");
  Deno.removeSync(passwd);
  Deno.symlinkSync("../../outside", passwd);
  equal(await home(), "/\n");
  for (const make of [["mkfifo", passwd], ["mknod", passwd, "c", "1", "5"], ["mkdir", passwd]]) {
    Deno.removeSync(passwd);
    await new Deno.Command(make[0]!, { args: make.slice(1) }).output();
    equal(await home(), "/\n");
  }
  Deno.removeSync(passwd);
  Deno.writeTextFileSync(passwd, `${"x".repeat(3 << 20)}\nroot:x:0:0::/late:/bin/sh\n`);
  equal(await home(), "/\n");
});

containerTest("no directory of ours can be the working directory of exec (CVE-2024-21626)", async () => {
  await using containers = await running();
  Deno.symlinkSync("/proc/self/fd", `${containers.bundle.rootfs}/fds`);
  for (const directory of ["/proc/self/fd/5", "/proc/self/fd/6", "/fds/7", "/proc/self/fd/8/../../../.."]) {
    const { code, stdout, stderr } = await containers.run("exec", "--cwd", directory, BOX, "pwd");
    deepEqual([code, stdout], [255, ""], stderr);
    match(stderr, /chdir to cwd|outside of container/);
  }
});

containerTest(
  "a watcher inside gets neither the program nor the descriptors of who joins (CVE-2019-5736, CVE-2016-9962)",
  async () => {
    await using containers = new Containers();
    // Reopens whatever /proc shows beside itself, to write, as fast as it can.
    const watch = `
    while [ ! -e /stop ]; do
      for pid in /proc/[0-9]*; do
        [ "$pid" = "/proc/1" ] && continue
        exe=$(readlink $pid/exe 2>/dev/null)
        case "$exe" in /bin/busybox|"") ;; *) echo "exe $exe" >>/got; ( : >>$pid/exe ) 2>/dev/null && echo wrote >>/got ;; esac
        for fd in $pid/fd/*; do
          to=$(readlink $fd 2>/dev/null)
          case "$to" in ""|/dev/null|/got|/proc*|/|pipe:*|*said-*) ;; *) echo "fd $fd $to" >>/got ;; esac
        done
      done
    done`;
    const capabilities = ["CAP_DAC_OVERRIDE", "CAP_KILL"] as const;
    const sets = { bounding: capabilities, effective: capabilities, permitted: capabilities };
    containers.write([], {
      root: { path: "rootfs" },
      process: processOf({ args: ["/bin/sh", "-c", watch], capabilities: sets }),
    });
    await containers.output("run", "--detach", BOX);
    for (let turn = 0; turn < 6; turn++) await containers.output("exec", BOX, "true");
    const file = `${containers.bundle.rootfs}/got`;
    const got = (): string => isThere(file) ? Deno.readTextFileSync(file) : "";
    equal(got(), "");
    // What this names is the image, which then runs as the program: nobody can write to it.
    containers.bundle.file("script", "#!/proc/self/exe\n", 0o755);
    await containers.run("exec", BOX, "/script");
    containers.bundle.file("stop", "");
    match(got(), /^(exe \/memfd:ai-sandbox \(deleted\)\n)*$/);
  },
);
