import { deepEqual, equal, match, ok } from "node:assert/strict";
import { AS_STRANGER, bundled, cli, helloBundle, Temporary } from "../helpers/cli.ts";
import { NEW } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { all, ask, bind, outsideOf } from "../helpers/untrusted_bundle.ts";

const USR = ["--allow-bind", "/usr"];

launchTest("run --untrusted runs the ready bundles", async () => {
  for (
    const [name, says] of [["hello", /process 1/], ["python", /a child says/], [
      "node",
      /a thread says/,
    ]] as const
  ) {
    const { code, stdout, stderr } = await cli([
      "run",
      "--untrusted",
      "--strict-request",
      ...USR,
      `bundles/${name}`,
    ]);
    equal(stderr, "");
    match(stdout, says);
    equal(code, 0);
  }
});

launchTest("run --untrusted runs a bundle for a user without rights", async () => {
  using directory = new Temporary();
  const path = await helloBundle(directory);
  const program = await bundled(directory);
  const { code, stdout, stderr } = await cli(["run", "--untrusted", ...USR, path], {
    wrapper: AS_STRANGER,
    program,
    cwd: "/",
  });
  equal(stderr, "");
  match(stdout, /process 1 on host hello/);
  equal(code, 0);
});

launchTest("run --untrusted says on stderr and in the record what it cut", async (bundle) => {
  bundle.write("echo ran", { ...all(bind("/etc", "ro")), process: { capabilities: {} } });
  using directory = new Temporary();
  const file = `${directory.path}/result.json`;
  const { stdout, stderr } = await cli(["run", "--untrusted", "--result", file, bundle.path]);
  const line = "/mounts/5/source: asked for /etc, given nothing: it lies in no directory that is allowed";
  equal(stderr, `runtime: cut ${line}\n`);
  equal(stdout, "ran\n");
  const { cuts, exitCode } = JSON.parse(Deno.readTextFileSync(file));
  deepEqual(cuts, [{
    pointer: "/mounts/5/source",
    asked: "/etc",
    reason: "it lies in no directory that is allowed",
  }]);
  equal(exitCode, 0);
});

launchTest(
  "run --untrusted says what it cut where the program cannot be run for want of it",
  async (bundle) => {
    Deno.removeSync(`${bundle.rootfs}/bin`, { recursive: true });
    bundle.directory("bin");
    bundle.write("echo ran", all({ ...bind("/bin", "ro"), destination: "/bin" }));
    using directory = new Temporary();
    const file = `${directory.path}/result.json`;
    const { code, stderr } = await cli(["run", "--untrusted", "--result", file, bundle.path]);
    equal(code, 127);
    match(stderr, /cut \/mounts\/5\/source: asked for \/bin[^]*Cannot run "\/bin\/sh"/);
    const { cuts, error } = JSON.parse(Deno.readTextFileSync(file));
    ok(cuts.some(({ asked }: { asked: string }) => asked === "/bin"));
    match(error.message, /Cannot run/);
  },
);

launchTest("run --untrusted leaves the rootfs as it is in runc's form too", async (bundle) => {
  bundle.write("echo x > /file && cat /file");
  const trusted = await cli(["run", "--bundle", bundle.path, "trusted"]);
  deepEqual([trusted.stdout, Deno.readTextFileSync(`${bundle.rootfs}/file`)], ["x\n", "x\n"]);
  Deno.removeSync(`${bundle.rootfs}/file`);
  const { stdout } = await cli(["run", "--untrusted", "--bundle", bundle.path, "untrusted"]);
  equal(stdout, "x\n");
  ok(![...Deno.readDirSync(bundle.rootfs)].some(({ name }) => name === "file"));
});

launchTest("run --strict-request names no more than a person reads", async (bundle) => {
  const syscalls = Array(1000).fill({ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" });
  const seccomp = { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/x", syscalls } as const;
  bundle.write("true", { linux: { namespaces: NEW.map((type) => ({ type })), seccomp } });
  const { stderr } = await cli(["run", "--untrusted", "--strict-request", bundle.path]);
  match(stderr, /there are 9\d\d more of these/);
  ok(stderr.length < 10_000);
});

launchTest("run --strict-request refuses and names everything that would be cut", async (bundle) => {
  using directory = new Temporary();
  const outside = outsideOf(directory);
  ask(bundle, `echo ran`, {
    ...all(bind("/etc", "ro")),
    process: { oomScoreAdj: -1 },
    hooks: { poststart: [{ path: "/bin/touch", args: ["touch", `${outside}/hooked`] }] },
  });
  const { code, stdout, stderr } = await cli(["run", "--untrusted", "--strict-request", bundle.path]);
  equal(code, 1);
  equal(stdout, "");
  for (
    const pointer of ["/hooks/poststart", "/mounts/5/source", "/process/oomScoreAdj", "/process/capabilities"]
  ) {
    match(stderr, new RegExp(`${pointer}\\S*: Cannot have`));
  }
});

launchTest("plan --untrusted shows the plan of what is left, and what was cut", async (bundle) => {
  bundle.write("true", all(bind("/etc", "ro")));
  const text = await cli(["plan", "--untrusted", bundle.path]);
  match(text.stderr, /cut \/mounts\/5\/source: asked for \/etc/);
  ok(!text.stdout.includes('"/etc"'));
  match(text.stdout, /RESOLVE_BENEATH/);
  const json = await cli(["plan", "--untrusted", "--format", "json", bundle.path]);
  ok(JSON.parse(json.stdout).cuts.some(({ asked }: { asked: string }) => asked === "/etc"));
});

for (
  const [name, args, why] of [
    ["a program", ["--untrusted", "--", "true"], /only a bundle has one/],
    ["--strict-request on its own", ["--strict-request", "bundles/hello"], /--strict-request on its own/],
    ["--allow-bind on its own", ["--allow-bind", "/usr", "bundles/hello"], /--allow-bind on its own/],
    [
      "a policy without users of its own",
      ["--untrusted", "--policy", "permissive", "bundles/hello"],
      /root of the host/,
    ],
    [
      "an allowed directory that is not there",
      ["--untrusted", "--allow-bind", "/gone", "bundles/hello"],
      /there is no such directory/,
    ],
    [
      "an allowed file",
      ["--untrusted", "--allow-bind", "/etc/passwd", "bundles/hello"],
      /it is no directory/,
    ],
  ] as const
) {
  Deno.test(`run --untrusted refuses ${name}`, async () => {
    const { code, stdout, stderr } = await cli(["run", ...args]);
    match(stderr, why);
    deepEqual([code, stdout], [1, ""]);
  });
}

launchTest(
  "run --untrusted gives no network that annotations ask for, and lists each as a cut",
  async (bundle) => {
    bundle.write("wc -l </proc/net/dev");
    const file = `${bundle.path}/config.json`;
    const [first, ...others] = ["", ".policy", ".allow", ".publish"].map((end) =>
      `dev.ai-sandbox.network${end}`
    );
    const annotations = {
      [first!]: "host",
      ...Object.fromEntries(others.map((key) => [key, "10.0.0.0/8"])),
    };
    const config = JSON.parse(Deno.readTextFileSync(file));
    Deno.writeTextFileSync(file, JSON.stringify({ ...config, annotations }));
    const { stdout, stderr } = await cli(["run", "--untrusted", bundle.path]);
    equal(stdout, "3\n"); // two lines of a head, and the loopback device
    const strict = await cli(["run", "--untrusted", "--strict-request", bundle.path]);
    deepEqual([strict.code, strict.stdout], [1, ""]);
    for (const key of Object.keys(annotations)) {
      ok(
        stderr.includes(`runtime: cut /annotations/${key}: asked for ${annotations[key]}, given nothing`),
        stderr,
      );
      ok(strict.stderr.includes(`/annotations/${key}: Cannot have ${annotations[key]}`), strict.stderr);
    }
  },
);

launchTest("run --untrusted prints nothing that steers the terminal", async (bundle) => {
  const [key, value] = ["dev.ai-sandbox.\x1b[2J\u202e", "\x1b]0;owned\x07"];
  bundle.write("true", { linux: { cgroupsPath: value, namespaces: NEW.map((type) => ({ type })) } });
  const file = `${bundle.path}/config.json`;
  const config = JSON.parse(Deno.readTextFileSync(file));
  const steers = /(?!\n)[\p{Cc}\p{Cf}]/u;
  for (
    const [part, says] of [
      [{ annotations: { [key]: value } }, /cut \/annotations\/dev\.ai-sandbox\.\\u\{1b\}\[2J\\u\{202e\}/],
      [{ annotations: { [key]: 5 } }, /annotations\/dev\.ai-sandbox\.\\u\{1b\}/],
    ] as const
  ) {
    Deno.writeTextFileSync(file, JSON.stringify({ ...config, ...part }));
    const { stderr } = await cli(["run", "--untrusted", bundle.path]);
    match(stderr, says);
    ok(!steers.test(stderr), JSON.stringify(stderr));
  }
});

launchTest("run --untrusted is not kept busy by endless requests", async (bundle) => {
  bundle.write("echo ran");
  const file = `${bundle.path}/config.json`;
  const config = JSON.parse(Deno.readTextFileSync(file));
  const mount = '{"destination":"/x","type":"bind","source":"/etc","options":["rbind"]}';
  const text = JSON.stringify({ ...config, mounts: ["MOUNTS"] });
  for (
    const [mounts, says, code] of [
      [Array(1_000_000).fill("0").join(), /holds more than 262144 values/, 1],
      ["[".repeat(100_000) + "]".repeat(100_000), /deeper than 64/, 1],
      [Array(4097).fill(mount).join(), /\/mounts: Cannot take 4097 items/, 1],
      [Array(4096).fill(mount).join(), /cut \/mounts\/256: asked for 4096 mounts.*cut \d+ more\n$/s, 0],
    ] as const
  ) {
    Deno.writeTextFileSync(file, text.replace('"MOUNTS"', () => mounts));
    const said = await cli(["run", "--untrusted", bundle.path]);
    match(said.stderr, says);
    ok(said.stderr.split("\n").length < 60);
    equal(said.code, code);
    ok(said.ms < 20_000, `${said.ms} ms`);
  }
});
