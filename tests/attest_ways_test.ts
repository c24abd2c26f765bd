import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { AttestationError, Sandbox, type SandboxOptions, UnsupportedError } from "../mod.ts";
import { imageFor } from "../runtime/images.ts";
import { EDIT_PLAN } from "../runtime/options.ts";
import { withRuntime } from "./helpers/built.ts";
import { AS_STRANGER, bundled, cli, STRANGER, Temporary } from "./helpers/cli.ts";
import { cannotTrack } from "./helpers/cgroups.ts";
import { argument, drop, type Edit } from "./helpers/defects.ts";
import { MOUNTS, namespaces, NEW, type Part, USER_NAMESPACE } from "./helpers/launch_bundle.ts";
import { launchTest } from "./helpers/launch_leaks.ts";
import { skip } from "./helpers/skip.ts";

const AGENT = new URL("testdata/seccomp_agent.py", import.meta.url).pathname;

/** The exit code and the output of an attested sandbox. */
async function attested(options: SandboxOptions): Promise<string> {
  await using sandbox = await Sandbox.run({ ...options, attest: true });
  const text = sandbox.stdout ? await new Response(sandbox.stdout).text() : "";
  const errors = sandbox.stderr ? await new Response(sandbox.stderr).text() : "";
  const { exitCode } = await sandbox.wait();
  return `${exitCode} ${text}${errors}`;
}

async function failure(options: SandboxOptions, edit: Edit): Promise<string> {
  let said = "it began";
  await rejects(attested({ ...options, ...{ [EDIT_PLAN]: edit } }), (error: unknown) => {
    said = String(error);
    return error instanceof AttestationError;
  });
  return said;
}

const USUAL = namespaces();
const CGROUP = { destination: "/sys/fs/cgroup", type: "cgroup", options: ["ro", "nosuid"] };

for (
  const [what, part] of [
    ["the host's processes, and so in a cgroup of its own", {
      linux: { namespaces: namespaces([], ["pid"]) },
    }],
    ["no mounts of its own", { linux: { namespaces: namespaces([], ["mount"]) }, mounts: [] }],
    ["the groups of cgroups", { mounts: [...MOUNTS, CGROUP], linux: { namespaces: namespaces(["cgroup"]) } }],
    ["the host's cgroups", { mounts: [...MOUNTS, CGROUP] }],
    ["files that are copied up", {
      mounts: [...MOUNTS, { destination: "/etc", type: "tmpfs", options: ["tmpcopyup"] }],
    }],
    ["a mount behind a link", {
      mounts: [...MOUNTS, { destination: "/link/x", type: "tmpfs" }],
      linux: { maskedPaths: ["/link/secret"], readonlyPaths: ["/link/open"] },
    }],
    ["mounts over each other", {
      mounts: [...MOUNTS, { destination: "/tmp/a", type: "tmpfs" }, { destination: "/tmp", type: "tmpfs" }, {
        destination: "/tmp",
        type: "tmpfs",
        options: ["ro"],
      }],
    }],
    ["a mount that is changed later", {
      mounts: [...MOUNTS, { destination: "/dev", options: ["remount", "noexec"] }],
    }],
    ["a private root", { linux: { namespaces: USUAL, rootfsPropagation: "rprivate" } }],
    ["a shared root", { linux: { namespaces: USUAL, rootfsPropagation: "rshared" } }],
    ["more devices", {
      linux: {
        devices: [{ path: "/dev/fuse", type: "c", major: 10, minor: 229 }, { path: "/opt/pipe", type: "p" }],
      },
    }],
    ["devices of the host", { linux: USER_NAMESPACE }],
    ["devices of the host in the rootfs", { linux: USER_NAMESPACE, mounts: MOUNTS.slice(0, 1) }],
    ["another user, that keeps capabilities", {
      process: {
        user: { uid: 7, gid: 8, additionalGids: [9, 3] },
        capabilities: { bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], effective: ["CAP_KILL"] },
      },
    }],
    ["a filter without no_new_privs", {
      linux: {
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }],
        },
      },
    }],
    ["a hidden device, and one that is mounted over", {
      linux: { maskedPaths: ["/dev/full"] },
      mounts: [...MOUNTS, { destination: "/dev/tty", source: "/dev/zero", options: ["bind"] }],
    }],
  ] as readonly (readonly [string, Part])[]
) {
  launchTest(`an attested sandbox has ${what}`, async (bundle) => {
    const reason = what.startsWith("the host's processes") ? cannotTrack() : undefined;
    if (reason) return skip(reason, { name: what });
    for (const name of ["real", "real/secret", "real/open", "opt"]) bundle.directory(name);
    Deno.symlinkSync("real", `${bundle.rootfs}/link`);
    Deno.chmodSync(`${bundle.rootfs}/dev`, 0o777);
    bundle.write("echo begun", part);
    for (const overlay of [{ kind: "none" }, { kind: "tmpfs" }] as const) {
      equal(await attested({ bundle: bundle.path, overlay }), "0 begun\n");
    }
  });
}

launchTest("an attested sandbox has another's network, and must not have a third's", async (bundle) => {
  await using other = await Sandbox.create({ command: ["true"], policy: "permissive" });
  const [path, host] = [`/proc/${other.pid}/ns/net`, `/proc/${Deno.pid}/ns/net`];
  const shared = NEW.filter((type) => type !== "network").map((type) => ({ type }));
  bundle.write("echo begun", { linux: { namespaces: [...shared, { type: "network", path }] } });
  equal(await attested({ bundle: bundle.path }), "0 begun\n");
  const edit = argument({ does: /^open network namespace/, call: "openat" }, 1, host);
  match(
    await failure({ bundle: bundle.path }, edit),
    /namespace network: asked for net:\[\d+\], is net:\[\d+\]/,
  );
});

launchTest("an attested sandbox has a tree with what is mounted in it, and nothing else", async (bundle) => {
  const source = `${bundle.path}/tree`;
  Deno.mkdirSync(`${source}/nested`, { recursive: true });
  bundle.directory("tree");
  const run = (command: string, ...args: string[]): void => {
    equal(new Deno.Command(command, { args }).outputSync().code, 0, `${command} ${args.join(" ")}`);
  };
  run("mount", "--bind", source, source);
  run("mount", "--make-shared", source);
  run("mount", "-t", "tmpfs", "test", `${source}/nested`);
  try {
    const options = ["rbind", "rro", "rnosuid"];
    bundle.write("echo begun", { mounts: [...MOUNTS, { destination: "/tree", source, options }] });
    equal(await attested({ bundle: bundle.path }), "0 begun\n");
    const does = /^mount ".*\/tree" on/;
    const said = await failure({ bundle: bundle.path }, drop({ does, call: "mount_setattr" }));
    match(
      said,
      /mount "\/tree": asked for ".*" ro nosuid slave, is without ro and without nosuid and shared and/,
    );
    match(said, /without ro at "\/tree\/nested"/);
  } finally {
    run("umount", `${source}/nested`);
    run("umount", source);
  }
});

launchTest("an attested sandbox waits for the one who decides about calls", async (bundle) => {
  for (const noNewPrivileges of [true, false]) {
    const path = `${bundle.path}/socket-${noNewPrivileges}`;
    const seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      listenerPath: path,
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }],
    } as const;
    bundle.write("mkdir /tmp/new; echo $?", { process: { noNewPrivileges }, linux: { seccomp } });
    const agent = new Deno.Command("python3", { args: [AGENT, path], stdout: "piped" }).spawn();
    const reader = agent.stdout.getReader();
    await reader.read();
    match(await attested({ bundle: bundle.path }), /^0 1\n/);
    await reader.cancel();
    await agent.status;
  }
});

launchTest("what cannot wait at its gate cannot be attested, and is refused by name", async (bundle) => {
  const seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["read"], action: "SCMP_ACT_ERRNO" }],
  } as const;
  bundle.write(["/bin/true"], { process: { noNewPrivileges: true }, linux: { seccomp } });
  await rejects(attested({ bundle: bundle.path }), (error: unknown) => {
    match(String(error), /Cannot apply \/linux\/seccomp: the filter forbids read/);
    return error instanceof UnsupportedError;
  });
});

launchTest("attestation misses a policy's filter, and a range of ids that is another's", async (bundle) => {
  bundle.write("echo begun");
  for (const policy of ["default", "strict"] as const) {
    const options = { bundle: bundle.path, policy };
    match(await attested(options), /^0 begun/);
    const last = drop({ does: /^(install the seccomp filter|send the listener)/ });
    match(await failure(options, last), /seccomp filters: asked for 1, is 0/);
    const map = { bytes: new TextEncoder().encode("0 1000000000 65536\n"), shows: "another" };
    const other = argument({ does: /uid_map of the user namespace$/, call: "write" }, 1, map);
    match(await failure(options, other), /uid_map: asked for 0 [1-9]\d{8,9} 65536, is 0 1000000000 65536/);
  }
});

launchTest(
  "a supervisor without CAP_SYS_PTRACE sees into user namespaces of its own, and says so elsewhere",
  async (bundle) => {
    const wrapper = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"];
    bundle.write("echo begun", { process: { user: { uid: 7, gid: 7 }, capabilities: {} } });
    const seen = await cli(["run", "--attest", "--policy", "default", bundle.path], { wrapper });
    deepEqual([seen.stdout, seen.stderr], ["begun\n", ""]);
    const shut = await cli(["run", "--attest", bundle.path], { wrapper });
    match(
      shut.stderr,
      /namespace pid: asked for a new one, is not to be known \(.*EACCES\).*have CAP_SYS_PTRACE/,
    );
    equal(shut.stdout, "");
  },
);

launchTest(
  "sandboxes are attested under default and strict, unless told not to be",
  async (bundle) => {
    bundle.write("echo begun");
    for (const [policy, attested] of [["permissive", false], ["default", true], ["strict", true]] as const) {
      const options = { bundle: bundle.path, policy };
      equal((await imageFor(options)).expected !== undefined, attested, policy);
      equal((await imageFor({ ...options, attest: false })).expected, undefined);
      equal((await imageFor({ ...options, attest: true })).expected === undefined, false);
    }
    equal((await cli(["run", "--no-attest", bundle.path])).stdout, "begun\n");
  },
);

launchTest("an image that is kept knows what it is compared with", async (bundle) => {
  bundle.write("echo begun");
  const options = { bundle: bundle.path, attest: true };
  const [first, second] = [await imageFor(options), await imageFor(options)];
  equal(second.image, first.image);
  equal(first.expected!.facts.length > 30, true);
  deepEqual(second.expected, first.expected);
  equal((await imageFor({ bundle: bundle.path })).expected, undefined);
});

launchTest("run --attest compares also what a file has kept", async (bundle) => {
  await withRuntime(async (program) => {
    bundle.write("echo begun");
    const args = ["run", "--attest", bundle.path];
    equal((await cli(args, { program })).stdout, "begun\n");
    const directory = "/run/ai-sandbox/images";
    const decoder = new TextDecoder("latin1");
    const files = [...Deno.readDirSync(directory)].map(({ name }) => `${directory}/${name}`);
    const file = files.find((each) => decoder.decode(Deno.readFileSync(each)).includes(`${bundle.path}\\"`))!;
    try {
      equal((await cli(args, { program })).stdout, "begun\n");
      const bytes = Deno.readFileSync(file);
      const at = decoder.decode(bytes).indexOf('"value":"0022"');
      bytes.set(new TextEncoder().encode('"value":"0077"'), at);
      Deno.writeFileSync(file, bytes);
      const { stdout, stderr, code } = await cli(args, { program });
      match(stderr, /umask: asked for 0077, is 0022/);
      deepEqual([stdout, code], ["", 1]);
    } finally {
      Deno.removeSync(file);
    }
  });
});

const MISSED: Readonly<Record<string, RegExp>> = {
  nothing: /^began and ended with 0, ran$/,
  no_new_privs: /no_new_privs: asked for 1, is 0$/,
  ipc: /namespace ipc: asked for a new one, is the host's$/,
  mask: /mask "\/proc\/keys": asked for mask, is none$/,
  readonly: /mount "\/proc\/sys": asked for one ro, is none$/,
  device:
    /device \/dev\/null: asked for c 1:3, is no device; mount "\/dev\/null": asked for one slave, is none$/,
  capabilities: /capabilities bounding: asked for none, is CAP_SYS_ADMIN$/,
};

launchTest("a user without rights sees as much of a sandbox, and what is missing in it", async (bundle) => {
  using here = new Temporary();
  const marker = `${here.path}/marker`;
  Deno.mkdirSync(marker);
  Deno.chownSync(marker, STRANGER, STRANGER);
  bundle.directory("marker");
  const root = { uid: 0, gid: 0 };
  bundle.write("echo > /marker/ran", {
    mounts: [...MOUNTS, { destination: "/marker", source: marker, options: ["bind"] }],
    process: { user: root, capabilities: {}, noNewPrivileges: true },
    linux: { namespaces: USUAL, maskedPaths: ["/proc/keys"], readonlyPaths: ["/proc/sys"] },
  });
  const program = await bundled(here, "tests/testdata/attest_rootless.ts");
  const { stdout, stderr } = await cli([bundle.path, `${marker}/ran`], {
    program,
    wrapper: AS_STRANGER,
    cwd: "/",
  });
  equal(stderr, "");
  const said = JSON.parse(stdout);
  for (const [defect, says] of Object.entries(MISSED)) match(said[defect], says, defect);
});
