import { fromFileUrl } from "@std/path";
import { NetworkWorld } from "../tests/helpers/network_world.ts";
import { networkPeers } from "./network_peers.ts";
import { type Section, timeCells } from "./report.ts";
import { median } from "./stats.ts";

const INSIDE = fromFileUrl(new URL("network_inside.ts", import.meta.url));
const [MORE_LIMIT_MS, LATENCY_LIMIT_MS, SLOWER_LIMIT] = [8, 1, 2];
const MOST_MS = 600_000;

interface Measured {
  readonly times: Readonly<Record<"plain" | "bridge" | "policed", readonly number[]>>;
  readonly requests: Readonly<Record<"direct" | "proxied", readonly number[]>>;
  readonly streams: Readonly<Record<"direct" | "proxied", number>>;
  readonly crowd: number;
  readonly residentBytes: number;
}

/** Times sandboxes with a network, and what goes through the proxy, between network namespaces of the bench's own. */
export async function network({ runs }: { readonly runs: number }): Promise<Section> {
  // In memory, as /run is on most machines: what is written down there is written through to no disk.
  const root = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "ai-sandbox-bench-" });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => Deno.remove(root, { recursive: true }));
  const world = cleanup.use(await NetworkWorld.create()); // its proxy ends before its directory
  await world.serve("http:192.0.2.2:80");
  world.outside.start(["iperf3", "-s"], { stdout: "null", stderr: "null" });
  const args = [Deno.execPath(), "run", "--quiet", "-A", INSIDE, root, `${runs}`];
  const { code, stdout, stderr } = await world.host.run(args, {}, MOST_MS);
  if (code !== 0) throw new Error(`Cannot measure networks: ${stderr}`);
  const { times, requests, streams, crowd, residentBytes } = JSON.parse(stdout) as Measured;
  const peers = await networkPeers(world, Math.ceil(runs / 2));
  const gigabits = (value: number): string => (value * 8 / 1e9).toFixed(2);
  return {
    title: "Networks",
    tables: [
      {
        head: ["Sandbox.run, wait, dispose (ms)", "median", "p95", "least"],
        rows: [
          ["without a network", ...timeCells(times.plain)],
          ["--network bridge", ...timeCells(times.bridge)],
          ["with a network policy", ...timeCells(times.policed)],
        ],
      },
      {
        head: ["a small HTTP request (ms)", "median", "p95", "least"],
        rows: [["direct", ...timeCells(requests.direct)], [
          "through the proxy",
          ...timeCells(requests.proxied),
        ]],
      },
      {
        head: ["one stream of TCP to the sandbox", "Gbit/s"],
        rows: [["direct", gigabits(streams.direct)], ["through the proxy", gigabits(streams.proxied)]],
      },
      ...peers.tables,
    ],
    targets: [
      {
        what: "a network policy adds to a sandbox",
        measured: median(times.policed) - median(times.plain),
        limit: MORE_LIMIT_MS,
        unit: "ms",
      },
      {
        what: "the proxy adds to a small HTTP request",
        measured: median(requests.proxied) - median(requests.direct),
        limit: LATENCY_LIMIT_MS,
        unit: "ms",
      },
      {
        what: "a stream is slower through the proxy",
        measured: streams.direct / streams.proxied,
        limit: SLOWER_LIMIT,
        unit: "×",
      },
    ],
    notes: [
      `The proxy takes ${(residentBytes / 2 ** 20).toFixed(0)} MiB with ${crowd} sandboxes.`,
      ...peers.notes,
    ],
  };
}
