import { Sandbox, type SandboxOptions } from "../mod.ts";
import { networkDirectory, networkPaths } from "../network/paths.ts";
import { tellProxy } from "../network/proxy/client.ts";

/** Measures sandboxes with and without a network, in the network namespace of a test world: `network_inside.ts ROOT RUNS`. */
const [root = "", count = ""] = Deno.args;
const RUNS = Number(count);
const [WARM_UPS, CROWD, REQUESTS, STREAM_S] = [5, 100, 300, 3];
const SERVER = "192.0.2.2";

const REQUEST = `
import http.client, time, json
times = []
c = http.client.HTTPConnection("${SERVER}", 80)
for i in range(${REQUESTS}):
    t = time.perf_counter(); c.request("GET", "/x"); c.getresponse().read(); times.append((time.perf_counter() - t) * 1000)
print(json.dumps(times[${REQUESTS} // 10:]))
`;
const STREAM = ["iperf3", "-c", SERVER, "-R", "-t", `${STREAM_S}`, "-J"];

const bridge = { network: { root, mode: "bridge" } } as const;
const policed = { network: { root, policy: { allow: [`${SERVER}:80`, `${SERVER}:5201/tcp`] } } } as const;

async function once(options: Partial<SandboxOptions>): Promise<number> {
  const began = performance.now();
  {
    await using sandbox = await Sandbox.run({ command: ["true"], ...options });
    await sandbox.wait();
  }
  return performance.now() - began;
}

async function said(command: readonly string[], options: Partial<SandboxOptions>): Promise<unknown> {
  await using sandbox = await Sandbox.run({ command, stderr: "inherit", ...options });
  return JSON.parse(await new Response(sandbox.stdout).text());
}

async function bytesPerSecond(options: Partial<SandboxOptions>): Promise<number> {
  const { end } = await said(STREAM, options) as { end: { sum_received: { bits_per_second: number } } };
  return end.sum_received.bits_per_second / 8;
}

/** What the proxy takes when so many sandboxes wait. */
async function crowd(): Promise<number> {
  await using stack = new AsyncDisposableStack();
  for (let each = 0; each < CROWD; each++) {
    stack.use(await Sandbox.run({ command: ["sleep", "300"], ...policed }));
  }
  const { control } = networkPaths(networkDirectory(root));
  return (await tellProxy(control, { do: "status" }))!.status!.residentBytes;
}

const times: Record<"plain" | "bridge" | "policed", number[]> = { plain: [], bridge: [], policed: [] };
// The proxy, and the bridge, are there when the first sandbox has needed them.
await using _first = await Sandbox.run({ command: ["sleep", "3000"], ...policed });
for (let run = -WARM_UPS; run < RUNS; run++) {
  const took = { plain: await once({}), bridge: await once(bridge), policed: await once(policed) };
  if (run >= 0) { for (const kind of ["plain", "bridge", "policed"] as const) times[kind].push(took[kind]); }
}
const requests = {
  direct: await said(["python3", "-c", REQUEST], bridge),
  proxied: await said(["python3", "-c", REQUEST], policed),
};
const streams = { direct: await bytesPerSecond(bridge), proxied: await bytesPerSecond(policed) };
console.log(JSON.stringify({ times, requests, streams, crowd: CROWD, residentBytes: await crowd() }));
