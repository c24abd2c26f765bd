import { equal } from "node:assert/strict";
import { containerTest } from "../helpers/container_test.ts";
import { NetworkWorld } from "../helpers/network_world.ts";

const FETCH = `
import urllib.request
for url in ["http://192.0.2.2/", "http://allowed.test/", "http://allowed.test:8080/"]:
    print(urllib.request.urlopen(url, timeout=40).read().decode().split()[2])
`;

containerTest("rules that overlap, of blocks and of a name that leads into them, all hold", async () => {
  await using world = await NetworkWorld.create();
  await world.serve("http:192.0.2.2:80", "http:192.0.2.2:8080", "dns:192.0.2.53:53");
  const allow = [
    { cidr: "192.0.2.0/24", ports: ["80-90"], protocols: ["http"] },
    { cidr: "192.0.2.2", ports: ["85-95"], protocols: ["http"] },
    { cidr: "192.0.0.0/16", ports: [80], protocols: ["http"] },
    { host: "allowed.test", ports: ["80-8080"], protocols: ["http"] },
    { host: "allowed.test", ports: [80], protocols: ["http"] },
  ];
  const policy = JSON.stringify({ allow, nameServers: ["192.0.2.53"] });
  Deno.writeTextFileSync(`${world.path}/policy.json`, policy);
  const command = ["--network-policy", `${world.path}/policy.json`, "--", "python3", "-c", FETCH];
  const { stdout, stderr } = await world.runtime("run", ...command);
  equal(stderr, "");
  equal(stdout, "192.0.2.2:80\n192.0.2.2:80\n192.0.2.2:8080\n");
});
