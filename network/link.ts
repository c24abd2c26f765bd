import type { Fd } from "../ffi/fd.ts";
import { isMissing, isThere } from "../ffi/look.ts";
import {
  type AddressBytes,
  addRoute,
  giveAddress,
  isolatePort,
  keepFromLinkLocal,
  makeBridge,
  makeVeth,
  removeLink,
  setNeighbour,
} from "../ffi/links.ts";
import { RouteSocket, routesOf } from "../ffi/netlink.ts";
import { LifecycleError } from "../runtime/errors.ts";
import { hardwareAddress, portName } from "./firewall_elements.ts";
import type { Lease } from "./leases.ts";
import { ipv4Text, type NetworkSettings, parseIpv4 } from "./settings.ts";

/** What the device is called inside. */
export const DEVICE = "eth0";
const LOOPBACK = 1;
/** Where each device of this network namespace has a directory. */
const DEVICES = "/proc/sys/net/ipv4/conf";

/** Makes the bridge of a network, or completes one that somebody who was killed has begun. */
export function ensureBridge(settings: NetworkSettings, routes: RouteSocket): void {
  const { bridge, ipv4, ipv6 } = settings;
  makeBridge(routes, bridge, hardwareAddress(ipv4Text(ipv4.gateway), "bridge"));
  const device = routes.find(bridge);
  if (device === undefined) {
    throw new LifecycleError(`Cannot find bridge "${bridge}", which was made just now`);
  }
  for (const [family, name, value] of SETTINGS) {
    set(`${family}/conf/${bridge}/${name}`, value, family === "ipv6");
  }
  if (ipv6) keepFromLinkLocal(routes, device);
  giveAddress(routes, device, { address: ipv4.gateway, prefixLength: ipv4.prefixLength });
  if (ipv6) giveAddress(routes, device, { address: ipv6.gateway, prefixLength: ipv6.prefixLength });
  routes.bringUp(device);
}

/** What a sandbox says on the bridge changes nothing of the host, and the host carries nothing on for it. */
const SETTINGS = [
  ["ipv4", "forwarding", "0"],
  ["ipv4", "accept_redirects", "0"],
  ["ipv4", "send_redirects", "0"],
  ["ipv4", "rp_filter", "1"],
  ["ipv6", "accept_ra", "0"],
  ["ipv6", "accept_redirects", "0"],
] as const;

/** Sets a setting of the kernel's network. */
export function set(name: string, value: string, isOptional = false): void {
  try {
    Deno.writeTextFileSync(`/proc/sys/net/${name}`, value);
  } catch (error) {
    if (!(isOptional && error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Connects a network namespace with the bridge: a device with its addresses and routes there, a port of its own here
 * that is kept from the others.
 */
export function connect(settings: NetworkSettings, lease: Lease, namespace: Fd): void {
  const { ipv4, ipv6 } = settings;
  using routes = new RouteSocket();
  using inside = routesOf(namespace);
  const bridge = routes.indexOf(settings.bridge);
  if (bridge === undefined) {
    throw new LifecycleError(`Cannot find bridge "${settings.bridge}": it was removed`);
  }
  const name = portName(settings, lease.address);
  const own = hardwareAddress(lease.address, "sandbox");
  const port = hardwareAddress(lease.address, "port");
  const families: [address: AddressBytes, gateway: AddressBytes][] = [[
    parseIpv4(lease.address)!,
    ipv4.gateway,
  ]];
  if (ipv6 && lease.ipv6) families.push([ipv6Of(settings, lease)!, ipv6.gateway]);
  routes.together(() => {
    makeVeth(routes, { name, mac: port, bridge, peer: { name: DEVICE, mac: own, namespace } });
    isolatePort(routes, name);
    if (ipv6) keepFromLinkLocal(routes, name);
    routes.bringUp(name);
    // Nobody asks who has an address, so nobody can answer falsely.
    for (const [address] of families) setNeighbour(routes, bridge, { address, mac: own });
  });
  const eth = inside.indexOf(DEVICE);
  if (eth === undefined) throw new LifecycleError(`Cannot find network device "${DEVICE}" in the sandbox`);
  const gatewayMac = hardwareAddress(ipv4Text(ipv4.gateway), "bridge");
  inside.together(() => {
    if (ipv6) keepFromLinkLocal(inside, eth);
    inside.bringUp(LOOPBACK);
    for (const [address] of families) giveAddress(inside, eth, { address, prefixLength: 8 * address.length });
    inside.bringUp(eth);
    for (const [, gateway] of families) {
      setNeighbour(inside, eth, { address: gateway, mac: gatewayMac });
      addRoute(inside, { device: eth, to: { address: gateway, prefixLength: 8 * gateway.length } });
      addRoute(inside, { device: eth, gateway });
    }
  });
}

/** Takes the port of a sandbox away, if the end of its namespace has not done so. */
export function disconnect(settings: NetworkSettings, { address }: Pick<Lease, "address">): void {
  const name = portName(settings, address);
  if (isGone(name)) return;
  using routes = new RouteSocket();
  removeLink(routes, name);
}

/** Whether the bridge of a network is there. */
export function isBridgeThere({ bridge }: Pick<NetworkSettings, "bridge">): boolean {
  return isThere(`${DEVICES}/${bridge}`);
}

/**
 * Whether there is no device of this name, for sure. To ask rtnetlink would be to wait for all that change devices: the
 * kernel does when it ends the namespace of the sandbox before.
 */
function isGone(name: string): boolean {
  return isMissing(`${DEVICES}/${name}`) && isThere(DEVICES);
}

function ipv6Of({ ipv6 }: NetworkSettings, { address }: Pick<Lease, "address">): AddressBytes | undefined {
  const bytes = ipv6?.network.slice();
  bytes?.set(parseIpv4(address)!, 12);
  return bytes;
}
