/** What engines and conformance suites find as they find it with runc: whatever a spec leaves open. */

import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Spec } from "../../runtime/spec/config.ts";
import { builtRuntime } from "../helpers/built.ts";
import { containerTest } from "../helpers/container_test.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { MOUNTS } from "../helpers/launch_bundle.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";

/** What a container prints that runs `script` in the sandbox that `part` changes. */
async function printed(script: string, part: (boxes: Containers) => Partial<Spec>): Promise<string> {
  await using boxes = new Containers();
  Deno.writeTextFileSync(
    `${boxes.bundle.rootfs}/etc/passwd`,
    "root:x:0:0::/root:/bin/sh\nu:x:7:7::/home/u:/bin/sh\n",
  );
  const { process, ...rest } = part(boxes);
  const base = { ...starterSpec().process!, terminal: false, rlimits: [] };
  boxes.write([], {
    ...rest,
    process: { ...base, args: ["/bin/sh", "-c", script], ...process } as Spec["process"] & object,
  });
  const { code, stdout, stderr } = await boxes.run("run", "--bundle", boxes.bundle.path, BOX);
  deepEqual([code, stderr], [0, ""]);
  return stdout;
}

const process = (part: Partial<NonNullable<Spec["process"]>>): Partial<Spec> => ({
  process: part as NonNullable<Spec["process"]>,
});

for (
  const [env, home] of [
    [["PATH=/bin", "HOME="], "/root"],
    [["PATH=/bin", "HOME=/x", "HOME="], "/root"],
    [["PATH=/bin"], "/root"],
    [["PATH=/bin", "HOME=/x"], "/x"],
  ] as const
) {
  containerTest(`HOME is ${home} with ${env.join(" ")}`, async () => {
    equal(await printed("echo $HOME", () => process({ env })), `${home}\n`);
  });
}

containerTest(
  "a signal that was sent past the runtime ends a container that waits to be started",
  async () => {
    await using containers = new Containers();
    for (const signal of ["SIGTERM", "SIGHUP", "SIGUSR2"] as const) {
      await containers.output("create", BOX);
      Deno.kill(JSON.parse(await containers.output("state", BOX)).pid, signal);
      await containers.until(BOX, "stopped");
      await containers.output("delete", BOX);
    }
  },
);

containerTest("HOME is that of the user, and of who has none /", async () => {
  const as = (uid: number): Partial<Spec> => process({ env: ["PATH=/bin"], user: { uid, gid: 7 } });
  equal(await printed("echo $HOME", () => as(7)), "/home/u\n");
  equal(await printed("echo $HOME", () => as(8)), "/\n");
});

containerTest("each variable is there once, the last wins", async () => {
  equal(
    await printed("env | sort", () => process({ env: ["A=1", "PATH=/bin", "A=2", "HOME=/h"] })).then((text) =>
      text.split("\n").filter((line) => /^(A|HOME|PATH)=/.test(line)).join()
    ),
    "A=2,HOME=/h,PATH=/bin",
  );
});

containerTest("a working directory that is closed to the user is entered by root", async () => {
  equal(
    await printed("readlink /proc/self/cwd || echo closed", (boxes) => {
      Deno.mkdirSync(`${boxes.bundle.rootfs}/private`, { mode: 0o700 });
      return process({ cwd: "/private", user: { uid: 7, gid: 7 }, env: ["PATH=/bin"] });
    }),
    "/private\n",
  );
});

containerTest("a tmpfs without a mode has that of the directory below it", async () => {
  const mounts = (options: readonly string[]): NonNullable<Spec["mounts"]> => [
    ...starterSpec().mounts!,
    { destination: "/t", type: "tmpfs", source: "tmpfs", options },
  ];
  const below = (boxes: Containers): void => {
    Deno.mkdirSync(`${boxes.bundle.rootfs}/t`);
    Deno.chmodSync(`${boxes.bundle.rootfs}/t`, 0o710);
  };
  const of = (options: readonly string[]): Promise<string> =>
    printed("stat -c %a /t", (boxes) => (below(boxes), { mounts: mounts(options) }));
  equal(await of(["nosuid"]), "710\n");
  equal(await of(["mode=1500"]), "1500\n");
  equal(await printed("stat -c %a /t", () => ({ mounts: mounts([]) })), "1777\n");
});

containerTest("a bind may begin in the root and at what an earlier mount shows there", async () => {
  equal(
    await printed("cat /second/sub/word", (boxes) => {
      const { rootfs, path } = boxes.bundle;
      Deno.mkdirSync(`${path}/src/sub`, { recursive: true });
      Deno.writeTextFileSync(`${path}/src/sub/word`, "here\n");
      return {
        mounts: [
          ...starterSpec().mounts!,
          { destination: "/first", type: "bind", source: "src", options: ["rbind"] },
          { destination: `${rootfs}/second`, type: "bind", source: `${rootfs}/first`, options: ["rbind"] },
        ],
      };
    }),
    "here\n",
  );
});

containerTest("/dev can be read-only, and may name a device that is there anyhow", async () => {
  const mounts = starterSpec().mounts!.map((mount) =>
    mount.destination === "/dev" ? { ...mount, options: [...mount.options!, "ro"] } : mount
  );
  const linux = {
    ...starterSpec().linux,
    devices: [{ path: "/dev/ptmx", type: "c" as const, major: 5, minor: 2 }],
  };
  equal(
    await printed(
      "touch /dev/x 2>/dev/null || echo read-only; readlink /dev/ptmx",
      () => ({ mounts, linux }),
    ),
    "read-only\npts/ptmx\n",
  );
});

containerTest(
  "ids that are left out are 0, an empty path of a namespace and null offsets are none",
  async () => {
    const linux = {
      ...starterSpec().linux,
      namespaces: starterSpec().linux!.namespaces!.map(({ type }) => ({ type, path: "" })),
      timeOffsets: null,
    };
    const user = {} as { uid: number; gid: number };
    equal(
      await printed(
        "echo $$ $(id -u)",
        () => ({
          linux: linux as unknown as NonNullable<Spec["linux"]>,
          process: process({ user }).process!,
        }),
      ),
      "1 0\n",
    );
  },
);

containerTest("the error of a /proc that is a link has runc's words", async () => {
  await using boxes = new Containers();
  Deno.removeSync(`${boxes.bundle.rootfs}/proc`, { recursive: true });
  Deno.symlinkSync("/etc", `${boxes.bundle.rootfs}/proc`);
  match((await boxes.run("create", BOX)).stderr, /must be mounted on ordinary directory/);
});

containerTest("spec shows the container its cgroup, as runc's does", async () => {
  await using boxes = new Containers();
  Deno.removeSync(`${boxes.bundle.path}/config.json`);
  equal(await boxes.output("spec"), "");
  const { mounts, linux }: Spec = JSON.parse(Deno.readTextFileSync(`${boxes.bundle.path}/config.json`));
  equal(mounts?.at(-1)?.destination, "/sys/fs/cgroup");
  deepEqual(linux?.resources, { devices: [{ allow: false, access: "rwm" }] });
});

containerTest("--debug says what is done, in the log if there is one", async () => {
  await using boxes = new Containers();
  boxes.write(["/bin/true"]);
  const args = ["run", "--bundle", boxes.bundle.path, BOX];
  match((await boxes.run("--debug", ...args)).stderr, /level=debug msg="run: .*sealed memory file/);
  const log = `${boxes.bundle.path}/log`;
  equal(await boxes.output("--debug", "--log", log, "--log-format", "json", ...args), "");
  const [entry] = Deno.readTextFileSync(log).split("\n").map((line) => line && JSON.parse(line));
  deepEqual(Object.keys(entry), ["level", "msg", "time"]);
  equal(entry.level, "debug");
});

containerTest("--debug tells the steps of a start in runc's words", async () => {
  await using boxes = new Containers();
  const seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [] } as const;
  boxes.write(["/bin/true"], { linux: { ...starterSpec().linux, seccomp } });
  const { stderr } = await boxes.run("--debug", "run", "--bundle", boxes.bundle.path, BOX);
  const steps = [
    /msg="nsexec\[\d+\]: => nsexec container setup"/,
    /msg="child process in init\(\), \d+"/,
    /msg="seccomp filter flags: 4"/,
    /msg="init: closing the pipe to signal completion"/,
  ];
  const found = steps.map((each) => stderr.search(each));
  deepEqual(found, found.toSorted((a, b) => a - b), stderr);
  ok(!found.includes(-1), stderr);
});

containerTest(
  "--debug tells of exec when the program is about to begin, and on which CPUs its launcher is",
  async () => {
    await using boxes = new Containers();
    await boxes.output("run", "--detach", BOX);
    const process = { cwd: "/", args: ["/bin/true"], execCPUAffinity: { initial: "0" } };
    const file = `${boxes.bundle.path}/process.json`;
    Deno.writeTextFileSync(file, JSON.stringify(process));
    const { code, stderr } = await boxes.run("--debug", "exec", "--process", file, BOX);
    equal(code, 0);
    match(
      stderr,
      /nsexec container setup[^]*nsexec\[\d+\]: affinity: 0x1"[^]*child process in init\(\)[^]*setns_init: about to exec/,
    );
    const failing = await boxes.run("--debug", "exec", BOX, "/none");
    ok(!failing.stderr.includes("about to exec"), failing.stderr);
  },
);

containerTest(
  "exec --cap warns of a capability that Linux does not have, and grants the others",
  async () => {
    await using boxes = new Containers();
    boxes.write(["/bin/sleep", "100"], { process: { cwd: "/", args: ["/bin/sleep", "100"] } });
    await boxes.output("run", "--detach", BOX);
    const args = [
      "exec",
      "--cap",
      "CAP_FLY",
      "--cap",
      "CAP_KILL",
      "--cap",
      "kill",
      BOX,
      "/bin/grep",
      "CapEff",
      "/proc/self/status",
    ];
    deepEqual(await boxes.run(...args), {
      code: 0,
      stdout: "CapEff:\t0000000000000020\n",
      stderr: "runtime: ignoring unknown or unavailable capabilities: [CAP_FLY kill]\n",
    });
  },
);

containerTest("a program without its interpreter is one line in runc's words", async () => {
  await using boxes = new Containers();
  Deno.writeTextFileSync(`${boxes.bundle.rootfs}/run`, "#!/nowhere\n", { mode: 0o755 });
  boxes.write(["/run"]);
  deepEqual(await boxes.run("run", "--bundle", boxes.bundle.path, BOX), {
    code: 255,
    stdout: "",
    stderr: "exec /run: no such file or directory\n",
  });
});

containerTest("capabilities that cannot be granted are warned of, and left out", async () => {
  await using boxes = new Containers();
  const capabilities = {
    ...starterSpec().process!.capabilities,
    bounding: ["CAP_KILL", "CAP_FLY"],
    inheritable: ["CAP_KILL"],
    ambient: ["CAP_KILL", "CAP_CHOWN"],
  };
  const base = { ...starterSpec().process!, terminal: false, rlimits: [], capabilities };
  boxes.write([], { process: { ...base, args: ["/bin/grep", "-E", "Cap(Bnd|Amb)", "/proc/self/status"] } });
  const { code, stdout, stderr } = await boxes.run("run", "--bundle", boxes.bundle.path, BOX);
  deepEqual([code, stdout], [0, "CapBnd:\t0000000000000020\nCapAmb:\t0000000000000020\n"]);
  match(stderr, /ignoring unknown or unavailable capabilities: \[CAP_FLY\]/);
  match(stderr, /can't raise ambient capability CAP_CHOWN: /);
});

containerTest("a config.json of a later version 1 runs, with a warning", async () => {
  await using boxes = new Containers();
  boxes.write(["/bin/true"], { ociVersion: "1.9.0" });
  deepEqual(await boxes.run("run", "--bundle", boxes.bundle.path, BOX), {
    code: 0,
    stdout: "",
    stderr: "runtime: ignoring what version 1.9.0 of the specification has added to 1.3\n",
  });
});

containerTest("a limit of kernel memory is warned of, and left out", async () => {
  await using boxes = new Containers();
  const memory = { limit: 2 ** 26, kernel: 2 ** 24 };
  boxes.write(["/bin/echo", "ran"], { linux: { ...starterSpec().linux, resources: { memory } } });
  deepEqual(await boxes.run("run", "--bundle", boxes.bundle.path, BOX), {
    code: 0,
    stdout: "ran\n",
    stderr: "runtime: Kernel memory settings are ignored and will be removed\n",
  });
});

containerTest("kill -9 reaches every process of a container without a pid namespace", async () => {
  await using boxes = new Containers();
  const namespaces = starterSpec().linux!.namespaces!.filter(({ type }) => type !== "pid");
  boxes.write(["/bin/sh", "-c", "sleep 300 & sleep 301"], { linux: { ...starterSpec().linux, namespaces } });
  await boxes.output("run", "--detach", BOX);
  const pids = async (): Promise<number[]> =>
    JSON.parse(await boxes.output("ps", "--format", "json", BOX)) ?? [];
  while ((await pids()).length < 2);
  await boxes.output("kill", BOX, "KILL");
  await boxes.until(BOX, "stopped");
  for (const end = Date.now() + 30_000; (await pids()).length > 0;) {
    if (Date.now() > end) throw new Error("some are left");
  }
  await boxes.output("delete", BOX);
});

containerTest("what config.json says for Windows alone is passed over", async () => {
  await using boxes = new Containers();
  const base = { ...starterSpec().process!, terminal: false, rlimits: [], args: ["/bin/id", "-u"] };
  const user = { ...base.user, username: "ContainerAdministrator" };
  boxes.write([], { process: { ...base, commandLine: "cmd /c ver", user } as typeof base });
  equal(await boxes.output("run", BOX), "0\n");
});

containerTest("a program may have as many files open as the caller of the command", async () => {
  await using boxes = new Containers();
  const runtime = await builtRuntime();
  const limits = "ulimit -Sn; ulimit -Hn";
  for (const [files, said] of [["700:900", "700\n900\n"], ["900:900", "900\n900\n"]] as const) {
    boxes.program = ["prlimit", `--nofile=${files}`, runtime];
    for (let again = 0; again < 4; again++) { // from the third time on without Deno
      boxes.write(["/bin/sh", "-c", limits]);
      equal(await boxes.output("run", "--bundle", boxes.bundle.path, BOX), said);
    }
    boxes.write(["/bin/sleep", "300"]);
    await boxes.output("run", "--detach", BOX);
    equal(await boxes.output("exec", BOX, "sh", "-c", limits), said);
    boxes.program = ["prlimit", "--nofile=400:900", runtime];
    equal(await boxes.output("exec", BOX, "sh", "-c", limits), "400\n900\n");
    await boxes.output("delete", "--force", BOX);
  }
});

containerTest("a tmpfs copies up what has come to a directory that had nothing", async () => {
  await using boxes = new Containers([await builtRuntime()]);
  const mounts = [...MOUNTS, {
    destination: "/place",
    type: "tmpfs",
    source: "tmpfs",
    options: ["tmpcopyup"],
  }];
  const place = `${boxes.bundle.rootfs}/place`;
  Deno.mkdirSync(place);
  boxes.write(["/bin/sh", "-c", "ls /place | wc -l"], { mounts });
  const run = (): Promise<string> => boxes.output("run", "--bundle", boxes.bundle.path, BOX);
  for (let again = 0; again < 2; again++) {
    for (let runs = 0; runs < 4; runs++) equal(await run(), "0\n"); // from the third time on without Deno
    Deno.writeTextFileSync(`${place}/one`, "");
    for (let runs = 0; runs < 4; runs++) equal(await run(), "1\n");
    Deno.removeSync(`${place}/one`);
  }
});
