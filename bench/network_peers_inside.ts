/** Times commands in turns, in the namespaces of a bench: `network_peers_inside.ts RUNTIME BUNDLE ROOTFS DIRECTORY RUNS`. */
const [runtime = "", bundle = "", rootfs = "", directory = "", count = ""] = Deno.args;
const [RUNS, WARM_UPS] = [Number(count), 2];

const ours = (network: string): string[] =>
  `${runtime} --root /run/containers/ours run --network ${network} ${bundle}`.split(" ");
const PODMAN = `podman --root ${directory}/storage --runroot /run/containers/podman --storage-driver vfs
  --cgroup-manager cgroupfs --runtime crun --events-backend none run --rm --cgroups disabled
  --ulimit nofile=1024:1024 --ulimit nproc=1024:1024`.split(/\s+/);
const podman = (
  network: string,
): string[] => [...PODMAN, "--network", network, "--rootfs", rootfs, "/bin/true"];
const COMMANDS = {
  bridge: ours("bridge"),
  podmanBridge: podman("bridge"),
  none: ours("none"),
  podmanNone: podman("none"),
};

async function once([program, ...args]: readonly string[]): Promise<number> {
  const began = performance.now();
  const command = new Deno.Command(program!, { args, stdin: "null", stdout: "null", stderr: "piped" });
  const { success, stderr } = await command.output();
  const took = performance.now() - began;
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return took;
}

const times: Record<string, number[]> = {};
for (let run = -WARM_UPS; run < RUNS; run++) {
  for (const [kind, command] of Object.entries(COMMANDS)) {
    const took = await once(command);
    if (run >= 0) (times[kind] ??= []).push(took);
  }
}
console.log(JSON.stringify(times));
