import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import type { AuditRecord } from "../../network/audit/record.ts";
import type { Mount } from "../../runtime/spec/config.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { containerTest } from "../helpers/container_test.ts";
import { eventually } from "../helpers/eventually.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";
import { NetworkWorld, type Place, type Spoken } from "../helpers/network_world.ts";
import { remains } from "../helpers/network_remains.ts";

/** Its cgroup is called so. */
const BOX = `net-${Deno.pid}`;
/** How often a command may be over before it is seen to have come as far as it is to be killed. */
const MOST_TRIES = 20;

/** Prints what comes from a URL, or nothing. */
const FETCH = `
import sys, urllib.request
try: print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())
except OSError: pass
`;
/** Python of the host, which the bundle does not have. */
const PYTHON: readonly Mount[] = [["/usr", "/usr"], ["/usr/lib", "/lib"], ["/usr/lib64", "/lib64"]].map(
  ([source, destination]) => ({
    source: source!,
    destination: destination!,
    type: "bind",
    options: ["rbind", "ro"],
  }),
);

/** A bundle that waits. */
function waiting(annotations: Record<string, string> = {}): TestBundle {
  const bundle = new TestBundle();
  const spec = starterSpec();
  Deno.writeTextFileSync(
    `${bundle.path}/config.json`,
    JSON.stringify({
      ...spec,
      root: { path: "rootfs" },
      annotations,
      mounts: [...spec.mounts ?? [], ...PYTHON],
      process: {
        ...spec.process,
        terminal: false,
        args: ["/bin/sleep", "300"],
        env: ["PATH=/bin"],
        rlimits: [],
      },
    }),
  );
  return bundle;
}

function succeeded({ code, stdout, stderr }: Spoken): string {
  equal(stderr, "");
  equal(code, 0);
  return stdout.trim();
}

/** What a container gets from a server, or an empty text. */
async function gets(world: NetworkWorld, id: string, url: string): Promise<string> {
  return (await world.runtime("exec", id, "/usr/bin/python3", "-c", FETCH, url)).stdout.trim();
}

async function proxyOf(world: NetworkWorld): Promise<number> {
  const socket = await world.host.output("sh", "-c", "ss -xlpH | grep proxy.sock");
  return Number(/pid=(\d+)/.exec(socket)![1]);
}

containerTest(
  "create --allow lets a container reach what it names, through the proxy, and audits all",
  async () => {
    await using world = await NetworkWorld.create();
    await world.serve("http:192.0.2.2:80", "http:198.51.100.2:80");
    using bundle = waiting();
    succeeded(await world.runtime("create", "--bundle", bundle.path, "--allow", "192.0.2.2:80", BOX));
    succeeded(await world.runtime("start", BOX));
    match(
      await gets(world, BOX, "http://192.0.2.2/a"),
      /^hello from 192\.0\.2\.2:80 to 192\.0\.2\.1 GET \/a/,
    );
    equal(await gets(world, BOX, "http://198.51.100.2/b"), "");
    // Another policy, while it runs.
    const file = `${world.path}/policy.yaml`;
    Deno.writeTextFileSync(file, 'allow: ["198.51.100.2:80"]\n');
    succeeded(await world.runtime("update", "--network-policy", file, BOX));
    equal(await gets(world, BOX, "http://192.0.2.2/c"), "");
    match(await gets(world, BOX, "http://198.51.100.2/d"), /^hello/);
    // A proxy that is dead lets nothing through, until it is there again.
    const [watcher, proxy] = world.proxies() as [number, number];
    equal(await proxyOf(world), proxy);
    Deno.kill(watcher, "SIGSTOP");
    Deno.kill(proxy, "SIGKILL");
    equal(await gets(world, BOX, "http://198.51.100.2/e"), "");
    Deno.kill(watcher, "SIGCONT");
    let answer = "";
    for (const end = Date.now() + 60_000; answer === "" && Date.now() < end;) {
      answer = await gets(world, BOX, "http://198.51.100.2/f");
    }
    match(answer, /^hello/);
    const allowed = (records: AuditRecord[]): unknown[] =>
      records.filter(({ kind, verdict }) => kind === "request" && verdict === "allow").map(({ path }) =>
        path
      );
    // The last is written down when its answer has arrived.
    const audit = await eventually(
      async () =>
        succeeded(await world.runtime("audit", "--format", "json", BOX)).split("\n").map((each) =>
          JSON.parse(each) as AuditRecord
        ),
      (records) => allowed(records).includes("/f"),
    );
    deepEqual(allowed(audit), ["/a", "/d", "/f"]);
    const denied = audit.filter(({ verdict }) => verdict === "deny");
    notEqual(denied.length, 0, JSON.stringify(audit));
    succeeded(await world.runtime("delete", "--force", BOX));
    deepEqual(await remains(world), []);
  },
);

containerTest(
  "a bundle's annotations name its network policy, and nothing else than run and create takes it",
  async () => {
    await using world = await NetworkWorld.create();
    await world.serve("http:192.0.2.2:80");
    using bundle = waiting({ "dev.ai-sandbox.network.policy": 'allow: ["192.0.2.2:80"]' });
    succeeded(await world.runtime("create", "--bundle", bundle.path, BOX));
    succeeded(await world.runtime("start", BOX));
    match(await gets(world, BOX, "http://192.0.2.2/a"), /^hello/);
    succeeded(await world.runtime("delete", "--force", BOX));
    const compiled = await world.runtime("compile", bundle.path, "-o", `${world.path}/compiled`);
    notEqual(compiled.code, 0);
    match(compiled.stderr, /Cannot apply the network of the annotations/);
    using wrong = waiting({ "dev.ai-sandbox.network.policy": "allow: 7" });
    const { code, stderr } = await world.runtime("create", "--bundle", wrong.path, BOX);
    notEqual(code, 0);
    match(stderr, /policy.*allow/s);
    deepEqual(await remains(world), []);
  },
);

containerTest("a proxy that cannot start lets no sandbox start, and leaves nothing", async () => {
  await using world = await NetworkWorld.create();
  using bundle = waiting();
  Deno.mkdirSync(`${world.network}/proxy.log`, { recursive: true }); // where it is to write
  const { code, stderr } = await world.runtime(
    "create",
    "--bundle",
    bundle.path,
    "--allow",
    "192.0.2.2:80",
    BOX,
  );
  notEqual(code, 0);
  match(stderr, /proxy/);
  deepEqual(await remains(world), []);
  notEqual((await world.runtime("state", BOX)).code, 0);
});

containerTest("Sandbox.create({ network }) tells of each verdict", async () => {
  await using world = await NetworkWorld.create();
  await world.serve("http:192.0.2.2:80");
  const module = fromFileUrl(new URL("../helpers/network_library.ts", import.meta.url));
  const { stdout, stderr } = await world.host.deno(module, world.root);
  equal(stderr, "");
  const { said, verdicts, names } = JSON.parse(stdout);
  match(said, /^hello from 192\.0\.2\.2:80/);
  deepEqual(verdicts.filter((each: string) => each.startsWith("request")), ["request allow /x"]);
  for (const name of names) match(name, /^10\.\d+\.\d+\.\d+ \['[0-9a-f-]{13}'\]$/);
  notEqual(names[0], names[1]);
  notEqual(verdicts.findIndex((each: string) => /^(packet|connect) deny/.test(each)), -1);
  deepEqual(await remains(world), []);
});

containerTest("50 sandboxes at once each have their own address and policy, and leave nothing", async () => {
  await using world = await NetworkWorld.create();
  await world.serve("http:192.0.2.2:80");
  const module = fromFileUrl(new URL("../helpers/network_crowd.ts", import.meta.url));
  const { stdout, stderr } = await world.host.deno(module, world.root, "50");
  equal(stderr, "");
  const { hosts, allowed, refused } = JSON.parse(stdout);
  equal(new Set(hosts).size, 50);
  equal(allowed, 25);
  equal(refused, 25);
  deepEqual(await remains(world), []);
});

/** Runs a command, and kills it when the network has come this far; whether it was on its way still. */
async function killedWhen(
  world: NetworkWorld,
  args: readonly string[],
  isFar: () => boolean,
): Promise<boolean> {
  const child = (world.host as Place).start([...RUNTIME, "--root", world.root, ...args], {
    stdout: "null",
    stderr: "null",
  });
  let isOver = false;
  const ended = child.status.finally(() => isOver = true);
  while (!isOver && !isFar()) await new Promise((resolve) => setTimeout(resolve, 0));
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended, which is told only later
  }
  return (await ended).signal === "SIGKILL";
}

containerTest("create that is killed leaves nothing that delete --force does not remove", async () => {
  await using world = await NetworkWorld.create();
  using bundle = waiting();
  const names = (kind: string): string[] => {
    try {
      return [...Deno.readDirSync(`${world.network}/${kind}`)].map(({ name }) => name).filter((each) =>
        !each.startsWith(".")
      );
    } catch {
      return [];
    }
  };
  const points = [
    () => names("leases").length > 0,
    () => names("sandboxes").length > 0,
    () => names("files").length > 0,
    () => Deno.readTextFileSync(`/proc/${world.host.pid}/net/dev`).match(/ai[0-9a-f]{6}v/) !== null,
  ];
  const create = ["create", "--bundle", bundle.path, "--allow", "192.0.2.2:80", BOX];
  for (const isFar of points) {
    for (let tries = 1; !await killedWhen(world, create, isFar); tries++) {
      ok(tries < MOST_TRIES, `it was always over before it was killed: ${isFar}`);
      succeeded(await world.runtime("delete", "--force", BOX));
    }
    succeeded(await world.runtime("delete", "--force", BOX));
    // What it was killed at before it was written down goes with whoever comes next.
    succeeded(
      await world.runtime("create", "--bundle", bundle.path, "--allow", "192.0.2.2:80", `${BOX}-next`),
    );
    equal(names("leases").length, 1);
    succeeded(await world.runtime("delete", "--force", `${BOX}-next`));
    deepEqual(await remains(world), []);
  }
});
