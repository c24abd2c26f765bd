import type { NetworkWorld } from "./network_world.ts";

/** How long the kernel may take to end a namespace, and a device with it. */
const GONE_MS = 30_000;

/** What is left of sandboxes on the machine of a world, and in the directory of its network. */
export async function remains(world: NetworkWorld): Promise<string[]> {
  const end = performance.now() + GONE_MS;
  let devices = await devicesOf(world);
  // Those of sandboxes that are gone go by themselves.
  while (devices.some((each) => !isLeased(world, each)) && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    devices = await devicesOf(world);
  }
  const rules = await world.host.output("nft", "list", "ruleset");
  const files = ["leases", "files", "sandboxes"].flatMap((name) => {
    try {
      return [...Deno.readDirSync(`${world.network}/${name}`)].map((each) => `${name}/${each.name}`);
    } catch {
      return [];
    }
  });
  return [
    ...devices,
    ...[...rules.matchAll(/elements = \{[^}]*\}/g)].map(([text]) => text).filter((text) =>
      !text.includes("expires")
    ),
    ...files,
  ];
}

async function devicesOf(world: NetworkWorld): Promise<string[]> {
  const text = await world.host.output("ip", "-o", "link");
  return [...text.matchAll(/ (ai[0-9a-f]{6}v[0-9a-f]{4})@/g)].map(([, name]) => name!);
}

/** Whether the address that a device is named for has a lease. */
function isLeased(world: NetworkWorld, device: string): boolean {
  const number = parseInt(device.slice(-4), 16);
  try {
    return [...Deno.readDirSync(`${world.network}/leases`)].some(({ name }) =>
      name.endsWith(`.${number >> 8}.${number & 0xff}`)
    );
  } catch {
    return false;
  }
}
