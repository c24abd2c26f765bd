import type { NetworkWorld } from "../tests/helpers/network_world.ts";
import { fromFileUrl } from "@std/path";
import { type Section, timeCells } from "./report.ts";
import { runtimeFile } from "./runtime_file.ts";
import { median, ratio } from "./stats.ts";
import { Workspace } from "./workspace.ts";

const INSIDE = fromFileUrl(new URL("network_peers_inside.ts", import.meta.url));
const MOST_MS = 600_000;
/** Where podman and CNI write, which are the bench's own. */
const OWN = ["/var/lib/cni", "/run/lock", "/run/netns", "/run/containers", "/var/lib/containers", "/dev/shm"];

const KINDS = ["bridge", "none", "podmanBridge", "podmanNone"] as const;
type Times = Readonly<Record<typeof KINDS[number], readonly number[]>>;

/** Times whole processes that run a program on a bridge, ours and podman's in turns; nothing where there is no podman. */
export async function networkPeers(
  world: NetworkWorld,
  runs: number,
): Promise<Pick<Section, "tables" | "notes">> {
  const version = await world.host.run(["podman", "--version"]).catch(() => undefined);
  if (version?.code !== 0) return { tables: [], notes: ["No comparison with podman: it is not installed."] };
  await using workspace = new Workspace();
  const script = `for d in ${OWN.join(" ")}; do mkdir -p $d && mount -t tmpfs tmpfs $d; done
    mkdir $1/cni && cp -r /etc/cni/. $1/cni && mount --bind $1/cni /etc/cni && shift && exec "$@"`;
  const { bundle, rootfs, path } = workspace;
  const measured = await world.host.run(
    [
      ...["unshare", "--mount", "sh", "-c", script, "sh", path],
      ...[Deno.execPath(), "run", "--quiet", "-A", INSIDE, await runtimeFile(), bundle.path, rootfs, path],
      `${runs}`,
    ],
    {},
    MOST_MS,
  );
  if (measured.code !== 0) {
    const why = measured.stderr.match(/podman.*Error: (.*)/)?.[1] ?? measured.stderr;
    return { tables: [], notes: [`No comparison with podman: ${why.trim()}`] };
  }
  const times = JSON.parse(measured.stdout) as Times;
  const own = times.bridge.map((each, turn) => each - times.none[turn]!);
  const podman = times.podmanBridge.map((each, turn) => each - times.podmanNone[turn]!);
  const whole = ratio(times.bridge, times.podmanBridge);
  const share = median(own) / median(podman);
  return {
    tables: [{
      head: ["whole process (ms)", "median", "p95", "least"],
      rows: [
        ["runtime run --network bridge DIR", ...timeCells(times.bridge)],
        ["runtime run --network none DIR", ...timeCells(times.none)],
        ["podman run --network bridge --rootfs", ...timeCells(times.podmanBridge)],
        ["podman run --network none --rootfs", ...timeCells(times.podmanNone)],
      ],
    }],
    notes: [
      `${version.stdout.trim()}, in turns: ours takes ${
        whole.ofMedians.toFixed(2)
      } of its time on a bridge (paired ${whole.paired.toFixed(2)}). The bridge alone takes ${
        median(own).toFixed(1)
      } ms of ours and ${median(podman).toFixed(1)} ms of podman's, ${share.toFixed(2)} of it.`,
    ],
  };
}
