import type { NetworkWorld } from "./network_world.ts";

/** What is left of sandboxes on the machine of a world, and in the directory of its network. */
export async function remains(world: NetworkWorld): Promise<string[]> {
  const devices = await world.host.output("ip", "-o", "link");
  const rules = await world.host.output("nft", "list", "ruleset");
  const files = ["leases", "files", "sandboxes"].flatMap((name) => {
    try {
      return [...Deno.readDirSync(`${world.network}/${name}`)].map((each) => `${name}/${each.name}`);
    } catch {
      return [];
    }
  });
  return [
    ...[...devices.matchAll(/ (ai[0-9a-f]{6}v[0-9a-f]{4})@/g)].map(([, name]) => name!),
    ...[...rules.matchAll(/elements = \{[^}]*\}/g)].map(([text]) => text).filter((text) =>
      !text.includes("expires")
    ),
    ...files,
  ];
}
