import { equal, match, ok, rejects } from "node:assert/strict";
import { LaunchError, Sandbox, type SandboxOptions, type SpecError } from "../../mod.ts";
import { Temporary } from "../helpers/cli.ts";
import { NEW, type Part, type TestBundle } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { all, ask, bind, outsideOf, SECRET } from "../helpers/untrusted_bundle.ts";
import { ATTACKS } from "./untrusted_attacks.ts";

launchTest("an untrusted bundle cannot write as a user of the host that it chooses", async (bundle) => {
  using directory = new Temporary();
  const outside = outsideOf(directory);
  const map = [{ containerID: 12_345, hostID: 0, size: 1 }];
  const source = { ...bind(outside), uidMappings: map, gidMappings: map };
  Deno.chmodSync(outside, 0o777);
  Deno.chownSync(outside, 12_345, 12_345);
  bundle.write("echo x > /x/$(cat /tmp/name)", all(source));
  const owner = async (name: string, options: SandboxOptions): Promise<number | null> => {
    bundle.file("tmp/name", name);
    await output({ ...options, bundle: bundle.path });
    return Deno.statSync(`${outside}/${name}`).uid;
  };
  equal(await owner("trusted", {}), 12_345);
  equal(await owner("untrusted", { untrusted: { binds: [{ path: outside, writable: true }] } }), 0);
});

launchTest("an untrusted bundle runs without what cannot be applied", async (bundle) => {
  const namespaces = NEW.map((type) => ({ type }));
  const linux = { namespaces, mountLabel: "x", intelRdt: { closID: "x" }, netDevices: { eth0: {} } };
  bundle.write("echo ran", { process: { apparmorProfile: "x", selinuxLabel: "x" }, linux });
  await rejects(Sandbox.run({ bundle: bundle.path }), /Cannot apply /);
  equal(await output({ bundle: bundle.path, untrusted: true }), "ran");
});

async function output(options: SandboxOptions): Promise<string> {
  await using sandbox = await Sandbox.run(options);
  const [out] = await Promise.all([sandbox.stdout, sandbox.stderr].map((each) => new Response(each).text()));
  await sandbox.wait();
  return out!.trim();
}

for (const { name, asks, script, trusted, untrusted, allows, after } of ATTACKS) {
  launchTest(`an untrusted bundle cannot ${name}`, async (bundle) => {
    using directory = new Temporary();
    const outside = outsideOf(directory);
    ask(bundle, script, asks(bundle, outside));
    const binds = allows?.binds?.map((each) => ({ ...each, path: each.path.replace("OUTSIDE", outside) }));
    const options = { ...allows, ...(binds && { binds }) };
    match(await output({ bundle: bundle.path, untrusted: options }), untrusted);
    after?.(bundle, outside);
    equal(Deno.readTextFileSync(`${outside}/secret`), SECRET);
    // The same bundle gets it where it is trusted: otherwise nothing would be shown.
    if (trusted) match(await output({ bundle: bundle.path, overlay: { kind: "none" } }), trusted);
  });
}

for (
  const [path, why] of [
    ["/", /its path is absolute/],
    ["..", /climbs/],
    ["link", /leads through a link/],
    ["link/etc", /leads through a link/],
    ["gone", /is not there/],
  ] as const
) {
  launchTest(`an untrusted bundle cannot have ${JSON.stringify(path)} as its root`, async (bundle) => {
    Deno.symlinkSync("/", `${bundle.path}/link`);
    bundle.write("true", { root: { path } });
    await rejects(Sandbox.run({ bundle: bundle.path, untrusted: true }), (error: SpecError) => {
      match(error.message, why);
      return error.issues[0]?.pointer === "/root/path";
    });
  });
}

/** What somebody exchanges between the look at an untrusted bundle and its use, and the step that notices. */
const RACES: readonly [string, Part, (bundle: TestBundle, outside: string) => void, RegExp][] = [
  [
    "the source of a mount for a link",
    all(bind("data/deep", "ro")),
    ({ path }, outside) => replace(`${path}/data/deep`, () => Deno.symlinkSync(outside, `${path}/data/deep`)),
    /open ".*deep" beneath/,
  ],
  [
    "a directory on the way to it for a link",
    all(bind("data/deep", "ro")),
    ({ path }, outside) => {
      Deno.mkdirSync(`${outside}/deep`);
      replace(`${path}/data`, () => Deno.symlinkSync(outside, `${path}/data`));
    },
    /open ".*deep" beneath/,
  ],
  [
    "a file for another",
    all(bind("data/file", "ro")),
    ({ path }, outside) => {
      Deno.renameSync(`${path}/data/file`, `${path}/data/kept`); // its inode must not be used again
      Deno.linkSync(`${outside}/secret`, `${path}/data/file`);
    },
    /use the very ".*file" that was checked/,
  ],
  [
    "a directory on the way to the root for a link",
    { root: { path: "data/deep" } },
    ({ path }, outside) => {
      Deno.mkdirSync(`${outside}/deep`);
      replace(`${path}/data`, () => Deno.symlinkSync(outside, `${path}/data`));
    },
    /open ".*deep" beneath/,
  ],
];

function replace(path: string, make: () => void): void {
  Deno.renameSync(path, `${path}.old`);
  make();
}

for (const [name, part, exchange, step] of RACES) {
  launchTest(`an untrusted bundle gains nothing by exchanging ${name}`, async (bundle) => {
    using directory = new Temporary();
    const outside = outsideOf(directory);
    Deno.mkdirSync(`${bundle.path}/data/deep`, { recursive: true });
    Deno.writeTextFileSync(`${bundle.path}/data/file`, "");
    bundle.write("cat /x /x/secret", part);
    const onCuts = (): void => exchange(bundle, outside);
    await rejects(Sandbox.run({ bundle: bundle.path, untrusted: { onCuts } }), (error: LaunchError) => {
      match(error.message, step);
      return error instanceof LaunchError;
    });
  });
}

launchTest("an untrusted bundle gets a cgroup of its own, and no other", async (bundle) => {
  const linux = {
    namespaces: NEW.map((type) => ({ type })),
    cgroupsPath: "/somebody",
    resources: { pids: { limit: 500 } },
  };
  bundle.write("sleep 60", { linux });
  await using sandbox = await Sandbox.run({
    bundle: bundle.path,
    untrusted: true,
    pids: 20,
    id: "untrusted-group",
  });
  const groups = Deno.readTextFileSync(`/proc/${sandbox.pid}/cgroup`);
  match(groups, /ai-sandbox-untrusted-group/);
  ok(!groups.includes("somebody"));
  const asked = new Map(sandbox.cuts.map((cut) => [cut.pointer, cut]));
  equal(asked.get("/linux/cgroupsPath")?.asked, "/somebody");
  equal(asked.get("/linux/resources/pids/limit")?.given, "20");
});

launchTest(
  "an untrusted bundle may bind below an allowed directory, and write where that is allowed",
  async (bundle) => {
    using directory = new Temporary();
    const outside = outsideOf(directory);
    Deno.mkdirSync(`${outside}/below`);
    Deno.symlinkSync(outside, `${directory.path}/link`);
    bundle.write("echo answer > /x/file", all(bind(`${directory.path}/link/below`)));
    const untrusted = { binds: [{ path: `${directory.path}/link`, writable: true }] };
    await using sandbox = await Sandbox.run({ bundle: bundle.path, untrusted });
    const said = await new Response(sandbox.stderr).text();
    equal((await sandbox.wait()).exitCode, 0, said);
    equal(Deno.readTextFileSync(`${outside}/below/file`), "answer\n");
  },
);
