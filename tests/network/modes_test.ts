import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { containerTest } from "../helpers/container_test.ts";
import { eventually } from "../helpers/eventually.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";
import { remains } from "../helpers/network_remains.ts";
import { HOST, NetworkWorld, OUTSIDE, type Place, type Spoken } from "../helpers/network_world.ts";

/** Where some providers have the same as at 169.254.169.254. */
const METADATA6 = "fd00:ec2::254";
const [ONE, TWO] = [`net-${Deno.pid}-one`, `net-${Deno.pid}-two`];
/** Fetches each URL that it is given, and says what came or what kept it; waits long for what comes for sure, behind "sure:". */
const FETCH = `
import sys, urllib.request
for url in sys.argv[1:]:
    wait = 30 if url.startswith("sure:") else 2
    try: print(urllib.request.urlopen(url.removeprefix("sure:"), timeout=wait).read().decode().strip())
    except Exception as e: print(type(e).__name__, getattr(e, "reason", e))
`;
const PATIENCE_MS = 30_000;
const REFUSED = /^(URLError|TimeoutError) (\[Errno (111|113|101|13)\]|timed out)/;

function fetching(...urls: string[]): string[] {
  return ["--", "python3", "-c", FETCH, ...urls];
}

function succeeded({ code, stdout, stderr }: Spoken): string[] {
  equal(stderr, "");
  equal(code, 0);
  return stdout.trim().split(/\r?\n/);
}

containerTest(
  "run --network bridge reaches what the host reaches, and neither the host nor metadata",
  async () => {
    await using world = await NetworkWorld.create();
    await world.outside.output("ip", "addr", "add", `${METADATA6}/128`, "dev", "eth0", "nodad");
    await world.serve(
      "http:192.0.2.2:80",
      "http:2001:db8::2:80",
      `http:${OUTSIDE.metadata}:80`,
      `http:${METADATA6}:80`,
    );
    await world.serveAt(world.host, "http:0.0.0.0:80", "http::::81");
    const [v4, v6, ...others] = succeeded(
      await world.runtime(
        "run",
        "--network",
        "bridge",
        ...fetching(
          "sure:http://192.0.2.2/a",
          "sure:http://[2001:db8::2]/b",
          `http://${OUTSIDE.metadata}/`,
          `http://[${METADATA6}]/`,
          "http://192.0.2.1/",
          "http://10.209.0.1/",
          "http://[2001:db8::1]:81/",
        ),
      ),
    );
    equal(v4, "hello from 192.0.2.2:80 to 192.0.2.1 GET /a 0");
    equal(v6, "hello from 2001:db8::2:80 to 2001:db8::1 GET /b 0");
    equal(others.length, 5);
    for (const each of others) match(each, REFUSED);
    deepEqual(await remains(world), []);
  },
);

containerTest("nobody outside reaches a sandbox on a bridge, but for its published ports", async () => {
  await using world = await NetworkWorld.create();
  const sandbox = world.startRuntime([
    ...["run", "--network", "bridge", "--publish", "8080:9000", "--", "python3", "-uc"],
    `import http.server as h, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("192.0.2.2", 1)); print(s.getsockname()[0])
h.HTTPServer.server_bind = lambda self: __import__("socketserver").TCPServer.server_bind(self)
h.HTTPServer(("", 9000), h.SimpleHTTPRequestHandler).serve_forever()`,
  ], { stderr: "null" });
  const reader = sandbox.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const address = (await reader.read()).value!.trim();
  const status = (host: string, port: number): Promise<Spoken> => {
    const script = `import http.client as h; c = h.HTTPConnection("${host}", ${port}, timeout=3)
c.request("GET", "/"); print(c.getresponse().status)`;
    return world.outside.run(["python3", "-c", script]);
  };
  // It listens a moment later.
  const served = await eventually(() => status(HOST.first, 8080), ({ code }) => code === 0);
  equal(served.stdout, "200\n");
  match((await status(address, 9000)).stderr, /timed out|refused|unreachable/i);
  sandbox.kill("SIGTERM");
  await reader.cancel();
  await sandbox.status;
  deepEqual(await remains(world), []);
});

containerTest("run without --network has its loopback device only, with host it has the host's", async () => {
  await using world = await NetworkWorld.create();
  await world.serve("http:192.0.2.2:80");
  const fetch = fetching("http://192.0.2.2/");
  match(succeeded(await world.runtime("run", ...fetch))[0]!, REFUSED);
  match(succeeded(await world.runtime("run", "--network", "none", ...fetch))[0]!, REFUSED);
  const refused = await world.runtime("run", "--network", "host", ...fetch);
  notEqual(refused.code, 0);
  match(refused.stderr, /Cannot use the host's network under policy "default".*--policy permissive/);
  const surely = fetching("sure:http://192.0.2.2/");
  const hosts = succeeded(
    await world.runtime("run", "--network", "host", "--policy", "permissive", ...surely),
  );
  match(hosts[0]!, /^hello from 192\.0\.2\.2:80 to 192\.0\.2\.1/);
  const other = `netns:/proc/${world.outside.pid}/ns/net`;
  const inside = succeeded(
    await world.runtime("run", "--network", other, "--policy", "permissive", ...surely),
  );
  match(inside[0]!, /^hello from 192\.0\.2\.2:80 to 192\.0\.2\.2/);
});

containerTest("run refuses networks that cannot be, and says why", async () => {
  await using world = await NetworkWorld.create();
  const cases = [
    [["--network", "moon"], /Cannot use network "moon": write none, host, bridge/],
    [["--network", "bridge", "--publish", "0:80"], /0 is no port; ports are 1 to 65535/],
    [["--network", "bridge", "--publish", "70000:80"], /70000 is no port/],
    [["--network", "bridge", "--publish", "80"], /write \[ADDRESS:\]PORT:PORT/],
    [["--publish", "80:80"], /Cannot publish ports of a sandbox without a network/],
    [["--network", "none", "--allow", "example.com"], /Cannot use network "none" with a network policy/],
  ] as const;
  for (const [flags, message] of cases) {
    const { code, stderr } = await world.runtime("run", ...flags, "--", "true");
    notEqual(code, 0, flags.join(" "));
    match(stderr, message);
  }
  deepEqual(await remains(world), []);
});

/** A bundle whose program serves HTTP with busybox. */
function serving(root: string): TestBundle {
  const bundle = new TestBundle();
  const spec = starterSpec();
  const args = [
    "/bin/sh",
    "-c",
    "mkdir -p /tmp/www; echo served >/tmp/www/index.html; exec httpd -f -p 80 -h /tmp/www",
  ];
  Deno.writeTextFileSync(
    `${bundle.path}/config.json`,
    JSON.stringify({
      ...spec,
      root: { path: root },
      process: { ...spec.process, terminal: false, args, env: ["PATH=/bin"], rlimits: [] },
      mounts: [...spec.mounts ?? [], { destination: "/tmp", type: "tmpfs", source: "tmpfs" }],
    }),
  );
  return bundle;
}

/** What comes from a server, which may not listen yet. */
async function fetched(place: Place, url: string): Promise<string> {
  for (const end = Date.now() + PATIENCE_MS;;) {
    const said = await fetchedOnce(place, `sure:${url}`);
    if (!said.includes("[Errno 111]") || Date.now() > end) return said;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function fetchedOnce(place: Place, url: string): Promise<string> {
  return (await place.output("python3", "-c", FETCH, url)).trim();
}

containerTest("create --publish leads a port of the host to the container until it is deleted", async () => {
  await using world = await NetworkWorld.create();
  using bundle = serving("rootfs");
  await world.serveAt(world.host, "http:0.0.0.0:8081");
  const create = (id: string, ...flags: string[]): Promise<Spoken> =>
    world.runtime("create", "--bundle", bundle.path, "--network", "bridge", ...flags, id);
  succeeded(await create(ONE, "--publish", "8080:80"));
  succeeded(await world.runtime("start", ONE));
  equal(await fetched(world.outside, "http://192.0.2.1:8080/"), "served");
  equal(await fetched(world.outside, "http://[2001:db8::1]:8080/"), "served");
  equal(await fetched(world.host, "http://192.0.2.1:8080/"), "served");
  equal(await fetched(world.host, "http://127.0.0.1:8080/"), "served");
  // It is not to be had twice, whoever has it.
  match(
    (await create(TWO, "--publish", "192.0.2.1:8080:80")).stderr,
    /publish port 192\.0\.2\.1:8080\/tcp: sandbox "net-\d+-one" has it/,
  );
  match(
    (await create(TWO, "--publish", "8081:80")).stderr,
    /publish port 8081\/tcp: a program of the host has it/,
  );
  succeeded(await world.runtime("delete", "--force", ONE));
  deepEqual(await remains(world), []);
  succeeded(await create(TWO, "--publish", "127.0.0.1:8080:80"));
  succeeded(await world.runtime("start", TWO));
  equal(await fetched(world.host, "http://127.0.0.1:8080/"), "served");
  match(await fetchedOnce(world.outside, "http://192.0.2.1:8080/"), REFUSED);
  succeeded(await world.runtime("delete", "--force", TWO));
  deepEqual(await remains(world), []);
});

containerTest("containers of one network cannot reach each other", async () => {
  await using world = await NetworkWorld.create();
  using bundle = serving("rootfs");
  succeeded(await world.runtime("create", "--bundle", bundle.path, "--network", "bridge", ONE));
  succeeded(await world.runtime("start", ONE));
  const [lease] = [...Deno.readDirSync(`${world.network}/leases`)].map(({ name }) => name);
  equal(await fetched(world.host, `http://${lease}/`), "served"); // it is there
  match(
    succeeded(await world.runtime("run", "--network", "bridge", ...fetching(`http://${lease}/`)))[0]!,
    REFUSED,
  );
  succeeded(await world.runtime("delete", "--force", ONE));
});

containerTest("what a killed container leaves goes with the next one", async () => {
  await using world = await NetworkWorld.create();
  using bundle = serving("rootfs");
  succeeded(
    await world.runtime(
      "create",
      "--bundle",
      bundle.path,
      "--network",
      "bridge",
      "--publish",
      "8080:80",
      ONE,
    ),
  );
  const { pid } = JSON.parse((await world.runtime("state", ONE)).stdout);
  Deno.kill(pid, "SIGKILL");
  notEqual((await remains(world)).length, 0);
  succeeded(
    await world.runtime(
      "create",
      "--bundle",
      bundle.path,
      "--network",
      "bridge",
      "--publish",
      "8080:80",
      TWO,
    ),
  );
  equal([...Deno.readDirSync(`${world.network}/leases`)].length, 1);
  succeeded(await world.runtime("delete", ONE));
  equal([...Deno.readDirSync(`${world.network}/leases`)].length, 1); // that of the other
  succeeded(await world.runtime("delete", "--force", TWO));
  deepEqual(await remains(world), []);
});
