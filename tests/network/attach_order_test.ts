import { deepEqual, equal, match } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { containerTest } from "../helpers/container_test.ts";
import { NetworkWorld, Place } from "../helpers/network_world.ts";

const ATTACH = fromFileUrl(new URL("../helpers/attach_over.ts", import.meta.url));

async function attached(...command: string[]): Promise<string[]> {
  await using world = await NetworkWorld.create();
  await using old = await Place.create();
  await using fresh = await Place.create();
  const { code, stdout, stderr } = await world.host.deno(
    ATTACH,
    world.root,
    `${old.pid}`,
    `${fresh.pid}`,
    ...command,
  );
  equal(stderr, "");
  equal(code, 0);
  return stdout.trim().split("\n");
}

containerTest(
  "a sandbox that gets an address takes the device away that another one still has for it",
  async () => {
    deepEqual(await attached(), ["not connected", "connected"]);
  },
);

containerTest(
  "that device is gone before the firewall knows the address: also where the firewall refuses it",
  async () => {
    const [error, ...states] = await attached("nft", "flush", "ruleset");
    match(error!, /^Cannot connect sandbox "fresh": the firewall cannot be had/);
    deepEqual(states, ["not connected", "not connected"]);
  },
);
