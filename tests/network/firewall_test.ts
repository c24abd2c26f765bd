import { deepEqual, equal, match } from "node:assert/strict";
import { isInherited } from "../../ffi/fd.ts";
import { Nftables } from "../../ffi/nftables.ts";
import { Connected } from "../helpers/connected_places.ts";
import { containerTest } from "../helpers/container_test.ts";
import { HOST, OUTSIDE } from "../helpers/network_world.ts";

containerTest(
  "Firewall lets a sandbox reach nothing but what is pinned, by way of the proxy's port",
  async () => {
    await using connected = await Connected.create(2);
    const { world, boxes: [one, two], leases: [lease, other] } = connected;
    await world.serve(
      "tcp:192.0.2.2:80",
      "tcp::::81",
      "udp:0.0.0.0:53",
      "udp:192.0.2.2:54",
      `tcp:${OUTSIDE.metadata}:80`,
    );
    await world.serveAt(
      world.host,
      "tcp:0.0.0.0:7000",
      "tcp:0.0.0.0:7001",
      "udp:0.0.0.0:7053",
      "tcp:0.0.0.0:22",
      "tcp::::7002",
    );
    await world.serveAt(two!, "tcp:0.0.0.0:80");
    const talk = (kind: string, address: string, port: number, box = one!): Promise<string> =>
      connected.talk(box, kind, address, port);
    const gateway = lease!.address.replace(/\.\d+\.\d+$/, ".0.1");
    const refused = /^(ConnectionRefusedError|PermissionError|OSError.*(unreachable|No route)|TimeoutError)/;
    await connected.firewall("usePorts", { tcpPort: 7000, dnsPort: 7053 });
    // Nothing is pinned.
    for (
      const [address, port] of [
        ["192.0.2.2", 80],
        [OUTSIDE.metadata, 80],
        [gateway, 22],
        [gateway, 7000],
        [HOST.first, 22],
        [other!.address, 80],
        ["2001:db8::2", 81],
      ] as const
    ) {
      match(await talk("tcp", address, port), refused, `${address}:${port}`);
    }
    match(await talk("udp", "192.0.2.2", 54), refused);
    match(await talk("udp", gateway, 7053), refused);
    // Names go to the resolver, whoever is asked.
    match(await talk("udp", "192.0.2.53", 53), /^0\.0\.0\.0:7053/);
    match(await talk("udp", gateway, 53), /^0\.0\.0\.0:7053/);
    // Pinned for one of them, and for a port.
    const pin = {
      sandbox: lease!.address,
      address: "192.0.2.2",
      first: 80,
      last: 80,
      protocol: "tcp",
      ttlS: 300,
    };
    await connected.firewall("pin", pin, {
      ...pin,
      sandbox: lease!.ipv6,
      address: "2001:db8::/64",
      first: 1,
      last: 100,
    });
    match(await talk("tcp", "192.0.2.2", 80), /^0\.0\.0\.0:7000/);
    match(await talk("tcp", "2001:db8::2", 81), refused); // the proxy of this test does not listen there
    match(await talk("tcp", "192.0.2.2", 81), refused);
    match(await talk("tcp", "192.0.2.2", 80, two!), refused);
    // It listens elsewhere from now on.
    await connected.firewall("usePorts", { tcpPort: 7001, dnsPort: 7053 });
    match(await talk("tcp", "192.0.2.2", 80), /^0\.0\.0\.0:7001/);
    await connected.firewall("usePorts", { tcpPort: 7002, dnsPort: 7053 });
    match(await talk("tcp", "2001:db8::2", 81), /^:::7002/);
    equal(((await connected.firewall("pinsOf", lease!.address)) as unknown[]).length, 1);
    const wider = { ...pin, sandbox: lease!.address, address: "192.0.2.0/24", first: 80, last: 81 };
    await connected.firewall("repin", [lease!.address, lease!.ipv6], [wider]);
    match(await talk("tcp", "192.0.2.2", 81), /:7002/);
    match(await talk("tcp", "2001:db8::2", 81), refused);
    await connected.firewall("unpinAll", lease!.address);
    match(await talk("tcp", "192.0.2.2", 80), refused);
  },
);

containerTest(
  "Firewall.pin() lets a pin end with its time, and last longer when it is said again",
  async () => {
    await using connected = await Connected.create(1);
    const { leases: [lease] } = connected;
    const pin = {
      sandbox: lease!.address,
      address: "192.0.2.2",
      first: 80,
      last: 80,
      protocol: "tcp",
      ttlS: 1,
    };
    await connected.firewall("pin", pin, { ...pin, address: "192.0.2.3" });
    await connected.firewall("pin", { ...pin, ttlS: 100 });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const left = await connected.firewall("pinsOf", lease!.address) as { address: string }[];
    deepEqual(left.map(({ address }) => address), ["192.0.2.2"]);
  },
);

containerTest("Firewall takes many changes at once, and hears why they are refused", async () => {
  await using connected = await Connected.create(1);
  const { leases: [lease] } = connected;
  const pins = Array.from({ length: 300 }, (_, index) => {
    const address = `198.51.${100 + (index >> 8)}.${index & 0xff}`;
    return { sandbox: lease!.address, address, first: 80, last: 81, protocol: "tcp" };
  });
  await connected.firewall("repin", [lease!.address], pins);
  const there = await connected.firewall("pinsOf", lease!.address) as unknown[];
  equal(there.length, 600); // one for each port
  await connected.firewall("uninstall");
  await connected.firewall("unpin", ...pins); // as good as done
});

const inherited = (): string[] =>
  [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name).filter((name) => isInherited(Number(name)));
// Outside of the test: the connection is there as long as this process.
const [before, kept, after] = [inherited(), Nftables.kept, inherited()];

containerTest("no program inherits the connection to nftables", async () => {
  match(kept.constructor.name, /Nftables/);
  deepEqual(await Promise.resolve(after), before);
});
