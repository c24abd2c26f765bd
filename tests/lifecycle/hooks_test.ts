import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { HookError, loadBundle, Sandbox } from "../../mod.ts";
import type { Hook, HookName, Hooks } from "../../runtime/spec/config.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { sandboxTest } from "../helpers/sandboxes.ts";

const KINDS = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;

/** A hook that runs a script of the host, or of the sandbox: both have a /bin/sh. */
function hook(script: string, more: Partial<Hook> = {}): Hook {
  return { path: "/bin/sh", args: ["sh", "-c", script], ...more };
}

/** Hooks of all kinds that add a line to a file: kind, state, namespace of mounts, and the rest of `script`. */
function noting(directory: string, script: string): Hooks {
  return Object.fromEntries(KINDS.map((kind) => {
    const file = kind === "startContainer" ? "/notes" : `${directory}/notes`;
    const line = `echo ${kind} "$(cat)" "$(readlink /proc/self/ns/mnt)" ${script} >>${file}`;
    return [kind, [hook(line, { env: ["PATH=/bin:/usr/bin", "OWN=1"] })]];
  }));
}

interface Note {
  readonly kind: string;
  readonly state: {
    readonly status: string;
    readonly pid: number;
    readonly id: string;
    readonly bundle: string;
  };
  readonly namespace: string;
  readonly rest: string;
}

function notes(file: string): Note[] {
  return Deno.readTextFileSync(file).trimEnd().split("\n").map((line) => {
    const [, kind, state, namespace, rest] = /^(\w+) (\{.*\}) (mnt:\[\d+\]) ?(.*)$/.exec(line)!;
    return { kind: kind!, state: JSON.parse(state!), namespace: namespace!, rest: rest! };
  });
}

containerTest("hooks of all kinds run in their order, with the state of their moment", async () => {
  await using containers = new Containers();
  const { path, rootfs } = containers.bundle;
  containers.write(["/bin/sleep", "300"], { hooks: noting(path, '"$PWD $(env | grep -c OWN=1)"') });
  await containers.output("create", BOX);
  const { pid } = JSON.parse(await containers.output("state", BOX));
  deepEqual(notes(`${path}/notes`).map(({ kind }) => kind), ["prestart", "createRuntime", "createContainer"]);
  equal(isThere(`${rootfs}/notes`), false);
  await containers.output("start", BOX);
  await containers.output("delete", "--force", BOX);
  const all = [...notes(`${path}/notes`), ...notes(`${rootfs}/notes`)];
  const of = (kind: string): Note => all.find((note) => note.kind === kind)!;
  deepEqual(KINDS.map((kind) => [kind, of(kind).state.status, of(kind).state.pid]), [
    ["prestart", "creating", pid],
    ["createRuntime", "creating", pid],
    ["createContainer", "creating", 1],
    ["startContainer", "created", 1],
    ["poststart", "running", pid],
    ["poststop", "stopped", 0],
  ]);
  for (const { state } of all) deepEqual([state.id, state.bundle], [BOX, path]);
  const own = Deno.readLinkSync("/proc/self/ns/mnt");
  for (const kind of KINDS) {
    const inside = kind === "createContainer" || kind === "startContainer";
    equal(of(kind).namespace !== own, inside, kind);
    // As with runc, those in the container begin in its root, which lies where the rootfs does for those of create.
    const directory = kind === "startContainer" ? "/" : kind === "createContainer" ? rootfs : path;
    equal(of(kind).rest, `${directory} 1`);
  }
  equal(of("createContainer").namespace, of("startContainer").namespace);
});

containerTest(
  "hooks of create find init's network and the mounted root before it changes to it",
  async () => {
    await using containers = new Containers();
    const { path, rootfs } = containers.bundle;
    const pid = `$(sed 's/.*"pid":[ ]*\\([0-9]*\\).*/\\1/')`;
    const hooks = {
      createRuntime: [hook(`readlink /proc/${pid}/ns/net >${path}/net`)],
      createContainer: [
        hook(`mkdir ${rootfs}/new; mount -t tmpfs hooked ${rootfs}/new; ls ${rootfs}/proc/self >&2`),
      ],
    };
    containers.write(["/bin/sh", "-c", "grep hooked /proc/mounts; readlink /proc/self/ns/net"], { hooks });
    const { code, stdout, stderr } = await containers.run("run", "--bundle", path, BOX);
    deepEqual([code, stderr], [0, ""]);
    match(stdout, /^hooked \/new tmpfs /);
    equal(stdout.split("\n")[1], Deno.readTextFileSync(`${path}/net`).trim());
    equal(Deno.readTextFileSync("/proc/mounts").includes("hooked"), false);
  },
);

containerTest("kernel parameters of the network are set when the hooks have made its devices", async () => {
  await using containers = new Containers();
  const { path } = containers.bundle;
  const spec = JSON.parse(Deno.readTextFileSync(`${path}/config.json`));
  const pid = `$(sed 's/.*"pid":[ ]*\\([0-9]*\\).*/\\1/')`;
  const link = "/usr/bin/busybox ip link add hooked0 type bridge";
  containers.write(["/bin/cat", "/proc/sys/net/ipv4/conf/hooked0/forwarding"], {
    hooks: { prestart: [hook(`PATH=/usr/sbin:/usr/bin:/bin; nsenter -t ${pid} -n ${link}`)] },
    linux: { ...spec.linux, sysctl: { "net.ipv4.conf.hooked0.forwarding": "1" } },
  });
  const { code, stdout, stderr } = await containers.run("run", "--bundle", path, BOX);
  deepEqual([code, stdout, stderr], [0, "1\n", ""]);
});

const FAILING: readonly [kind: HookName, command: string][] = [
  ["prestart", "create"],
  ["createRuntime", "create"],
  ["createContainer", "create"],
  ["startContainer", "start"],
  ["poststart", "start"],
];

for (const [kind, command] of FAILING) {
  containerTest(`a ${kind} hook that fails makes ${command} fail, and poststop hooks run`, async () => {
    await using containers = new Containers();
    const { path } = containers.bundle;
    containers.write(["/bin/sleep", "300"], {
      hooks: {
        [kind]: [
          hook("exit 0"),
          hook("echo out; echo err >&2; exit 3"),
          hook("touch /tmp/hook-never; exit 4"),
        ],
        poststop: [hook("exit 5"), hook(`touch ${path}/stopped`)],
      },
    });
    const said = `error running ${kind} hook #1: exit status 3, stdout: out , stderr: err`;
    if (command === "create") {
      const { code, stderr } = await containers.run("create", BOX);
      equal(code, 1);
      ok(stderr.includes(said), stderr);
      ok(stderr.includes("runtime: error running poststop hook #0: exit status 5"), stderr);
      equal(isThere(`${containers.root}/${BOX}`), false);
    } else {
      await containers.output("create", BOX);
      const { code, stderr } = await containers.run("start", BOX);
      equal(code, 1);
      ok(stderr.includes(said), stderr);
      equal(await containers.status(BOX), "stopped");
      equal(isThere(`${path}/stopped`), false);
      const { code: deleted, stderr: warning } = await containers.run("delete", BOX);
      equal(deleted, 0);
      match(warning, /runtime: error running poststop hook #0: exit status 5/);
    }
    equal(isThere(`${path}/stopped`), true);
    for (const form of [["run"], ["run", "--detach"]]) {
      const { code, stderr } = await containers.run(...form, "--bundle", path, BOX);
      equal(code, 1);
      ok(stderr.includes(said), stderr);
    }
    equal(isThere("/tmp/hook-never"), false);
  });
}

containerTest("a hook ends when its time is up, with what it has started outside", async () => {
  await using containers = new Containers();
  for (const kind of ["createRuntime", "createContainer", "startContainer"] as const) {
    containers.write(["/bin/true"], { hooks: { [kind]: [hook("sleep 300 & sleep 300", { timeout: 1 })] } });
    const { code, stderr } = await containers.run("run", "--detach", BOX);
    equal(code, 1);
    ok(stderr.includes(`error running ${kind} hook #0: hook ran past specified timeout of 1.0s`), stderr);
  }
});

containerTest("a hook that is not there is named, and one that a signal ends too", async () => {
  await using containers = new Containers();
  for (const kind of ["createRuntime", "createContainer", "startContainer"] as const) {
    containers.write(["/bin/true"], { hooks: { [kind]: [{ path: "/no/such" }] } });
    const missing = await containers.run("run", "--detach", BOX);
    ok(
      missing.stderr.includes(`${kind} hook #0: fork/exec /no/such: no such file or directory`),
      missing.stderr,
    );
    containers.write(["/bin/true"], { hooks: { [kind]: [hook("kill -KILL $$")] } });
    const killed = await containers.run("run", "--detach", BOX);
    ok(killed.stderr.includes(`${kind} hook #0: signal: killed`), killed.stderr);
  }
});

containerTest("a hook on the host has the command's environment unless it names one", async () => {
  await using containers = new Containers();
  const { path } = containers.bundle;
  const show = (name: string): string => `/bin/echo "$HOME" "$DENO_DIR" >${path}/${name}`;
  const createRuntime = [hook(show("first")), hook(show("second"), { env: ["HOME=/own"] })];
  containers.write(["/bin/true"], { hooks: { createRuntime, poststop: [hook(show("third"), { env: [] })] } });
  await containers.output("create", BOX);
  await containers.output("delete", "--force", BOX);
  const own = `${Deno.env.get("HOME")} ${Deno.env.get("DENO_DIR") ?? ""}\n`;
  deepEqual(
    ["first", "second", "third"].map((name) => Deno.readTextFileSync(`${path}/${name}`)),
    [own, "/own \n", " \n"],
  );
});

containerTest("a startContainer hook has the program's environment unless it names one", async () => {
  await using containers = new Containers();
  const { path, rootfs } = containers.bundle;
  const startContainer = [hook("echo $OWN >/first"), hook("echo -$OWN- >/second", { env: ["PATH=/bin"] })];
  const process = { ...starterSpec().process!, terminal: false, args: ["/bin/true"], rlimits: [] };
  containers.write([], { hooks: { startContainer }, process: { ...process, env: ["OWN=own"] } });
  await containers.output("run", "--bundle", path, BOX);
  deepEqual(["first", "second"].map((name) => Deno.readTextFileSync(`${rootfs}/${name}`)), ["own\n", "--\n"]);
});

containerTest("a poststart hook is run to its end although the program was shorter", async () => {
  await using containers = new Containers();
  const { path } = containers.bundle;
  containers.write(["/bin/true"], { hooks: { poststart: [hook(`sleep 0.3; touch ${path}/after`)] } });
  await containers.output("run", "--detach", "--bundle", path, BOX);
  equal(isThere(`${path}/after`), true);
});

containerTest("a startContainer hook is under the seccomp filter", async () => {
  await using containers = new Containers();
  const spec = JSON.parse(Deno.readTextFileSync(`${containers.bundle.path}/config.json`));
  const syscalls = [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_KILL" }];
  containers.write(["/bin/true"], {
    hooks: { startContainer: [{ path: "/bin/mkdir", args: ["mkdir", "/made"] }] },
    linux: { ...spec.linux, seccomp: { defaultAction: "SCMP_ACT_ALLOW", syscalls } },
  });
  for (const form of [["run"], ["run", "--detach"]]) {
    const { code, stderr } = await containers.run(...form, "--bundle", containers.bundle.path, BOX);
    equal(code, 1);
    match(stderr, /error running startContainer hook #0: signal: bad system call/);
  }
});

containerTest("a hook that prints without end keeps nobody, and only the end of it is told", async () => {
  await using containers = new Containers();
  for (const kind of ["createRuntime", "createContainer", "startContainer"] as const) {
    const script = "head -c 3000000 /dev/zero | tr '\\0' x; echo end; exit 1";
    containers.write(["/bin/true"], {
      hooks: { [kind]: [hook(script, { env: ["PATH=/bin:/usr/bin"] })] },
    });
    const { stderr } = await containers.run("run", "--detach", BOX);
    match(stderr, /exit status 1, stdout: …x{4000,4096}end , stderr: /);
  }
});

sandboxTest("the library runs hooks, and tells of those that fail", async () => {
  await using containers = new Containers();
  const { path } = containers.bundle;
  containers.write(["/bin/true"], {
    hooks: { ...noting(path, ""), poststop: [hook("exit 7"), hook(`touch ${path}/stopped`)] },
  });
  const warnings: string[] = [];
  const options = { bundle: loadBundle(path), onWarning: (warning: string) => void warnings.push(warning) };
  {
    await using sandbox = await Sandbox.run(options);
    equal((await sandbox.wait()).exitCode, 0);
  }
  equal(warnings.length, 1);
  match(warnings[0]!, /^error running poststop hook #0: exit status 7/);
  equal(isThere(`${path}/stopped`), true);
  deepEqual(notes(`${path}/notes`).map(({ kind }) => kind), [
    "prestart",
    "createRuntime",
    "createContainer",
    "poststart",
  ]);
  containers.write(["/bin/true"], { hooks: { createRuntime: [hook("exit 1")] } });
  await rejects(Sandbox.run({ bundle: path }), HookError);
});
