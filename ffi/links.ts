import { SyscallError } from "./errno.ts";
import type { Fd } from "./fd.ts";
import { ofDevice, type RouteSocket } from "./netlink.ts";
import { attribute, info, int32, joined, text } from "./netlink_message.ts";

/** Makes bridges, pairs of virtual devices, routes and neighbours by rtnetlink(7). */

const RTM = { NEWLINK: 16, DELLINK: 17, NEWADDR: 20, NEWROUTE: 24, NEWNEIGH: 28 } as const;
const [EXCL, CREATE, REPLACE] = [0x200, 0x400, 0x100];
const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MASTER: 10,
  LINKINFO: 18,
  AF_SPEC: 26,
  NET_NS_FD: 28,
  NUM_TX_QUEUES: 31,
  NUM_RX_QUEUES: 32,
} as const;
const INFO = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const;
const [VETH_INFO_PEER, BRPORT_ISOLATED, INET6_ADDR_GEN_MODE] = [1, 33, 8];
/** No link-local address comes of itself. */
const GEN_MODE_NONE = 1;
const [AF_INET, AF_INET6] = [2, 10];
const IFA = { ADDRESS: 1, LOCAL: 2, FLAGS: 8 } as const;
const IFA_F_NODAD = 2;
const [RTA_DST, RTA_OIF, RTA_GATEWAY] = [1, 4, 5];
const [RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RTN_UNICAST] = [254, 4, 0, 253, 1];
const [NDA_DST, NDA_LLADDR, NUD_PERMANENT] = [1, 2, 0x80];
const [ENODEV, EEXIST] = [19, 17];

/** An address as its 4 or 16 bytes. */
export type AddressBytes = Uint8Array<ArrayBuffer>;

/** A pair of devices: one here, on a bridge, and one in another network namespace. */
export interface VethPair {
  readonly name: string;
  readonly mac: Uint8Array;
  /** Index of the bridge. */
  readonly bridge: number;
  readonly peer: { readonly name: string; readonly mac: Uint8Array; readonly namespace: Fd };
}

/** Makes a bridge that is not up yet; false if there is a device of that name. */
export function makeBridge(routes: RouteSocket, name: string, mac: Uint8Array): boolean {
  const kind = attribute(IFLA.LINKINFO, attribute(INFO.KIND, text("bridge")));
  const body = [info(0), attribute(IFLA.IFNAME, text(name)), attribute(IFLA.ADDRESS, mac), kind];
  try {
    routes.request(`make bridge "${name}"`, RTM.NEWLINK, joined(body), CREATE | EXCL);
    return true;
  } catch (error) {
    if (error instanceof SyscallError && error.errno === EEXIST) return false;
    throw error;
  }
}

/** Makes a pair, the near end on its bridge; neither is up. */
export function makeVeth(routes: RouteSocket, { name, mac, bridge, peer }: VethPair): void {
  const far = joined([
    info(0),
    attribute(IFLA.IFNAME, text(peer.name)),
    attribute(IFLA.ADDRESS, peer.mac),
    attribute(IFLA.NET_NS_FD, int32(peer.namespace.raw)),
    oneQueue(),
  ]);
  const data = attribute(INFO.DATA, attribute(VETH_INFO_PEER, far));
  const body = joined([
    info(0),
    attribute(IFLA.IFNAME, text(name)),
    attribute(IFLA.ADDRESS, mac),
    attribute(IFLA.MASTER, int32(bridge)),
    oneQueue(),
    attribute(IFLA.LINKINFO, joined([attribute(INFO.KIND, text("veth")), data])),
  ]);
  routes.request(`make the pair of devices "${name}"`, RTM.NEWLINK, body, CREATE | EXCL);
}

/** The kernel would make queues for each processor, with files for each in sysfs, which takes longer than all else. */
function oneQueue(): Uint8Array {
  return joined([attribute(IFLA.NUM_TX_QUEUES, int32(1)), attribute(IFLA.NUM_RX_QUEUES, int32(1))]);
}

/** Keeps the ports of a bridge that have this from each other. */
export function isolatePort(routes: RouteSocket, device: number | string): void {
  const data = attribute(INFO.SLAVE_DATA, attribute(BRPORT_ISOLATED, Uint8Array.of(1)));
  const body = [
    ofDevice(device),
    attribute(IFLA.LINKINFO, joined([attribute(INFO.SLAVE_KIND, text("bridge")), data])),
  ];
  routes.request("isolate a port of a bridge", RTM.NEWLINK, joined(body));
}

/** Lets a device have no link-local address but one that it is given. */
export function keepFromLinkLocal(routes: RouteSocket, device: number | string): void {
  routes.request("set how a device gets addresses", RTM.NEWLINK, joined([ofDevice(device), noLinkLocal()]));
}

function noLinkLocal(): Uint8Array {
  const mode = attribute(INET6_ADDR_GEN_MODE, Uint8Array.of(GEN_MODE_NONE));
  return attribute(IFLA.AF_SPEC, attribute(AF_INET6, mode));
}

/** Removes a device; false if it is not there. */
export function removeLink(routes: RouteSocket, name: string): boolean {
  const body = joined([info(0), attribute(IFLA.IFNAME, text(name))]);
  return routes.tryRequest(`remove network device "${name}"`, RTM.DELLINK, body, ENODEV);
}

/** Gives a device an address that is used at once, without asking whether somebody has it. */
export function giveAddress(
  routes: RouteSocket,
  device: number,
  { address, prefixLength }: { readonly address: AddressBytes; readonly prefixLength: number },
): void {
  const head = new Uint8Array(8);
  head.set([familyOf(address), prefixLength, IFA_F_NODAD, RT_SCOPE_UNIVERSE]);
  new DataView(head.buffer).setUint32(4, device, true);
  const body = joined([
    head,
    attribute(IFA.LOCAL, address),
    attribute(IFA.ADDRESS, address),
    attribute(IFA.FLAGS, int32(IFA_F_NODAD)),
  ]);
  routes.request("give a network device an address", RTM.NEWADDR, body, CREATE | REPLACE);
}

/** A way to a network: through a device itself, or a gateway behind it. */
export interface Route {
  readonly device: number;
  /** Nothing for the default route. */
  readonly to?: { readonly address: AddressBytes; readonly prefixLength: number };
  readonly gateway?: AddressBytes;
}

/** Adds a route. */
export function addRoute(routes: RouteSocket, { device, to, gateway }: Route): void {
  const family = familyOf((to?.address ?? gateway)!);
  const scope = gateway || family === AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  const head = new Uint8Array(12);
  head.set([family, to?.prefixLength ?? 0, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST]);
  const body = joined([
    head,
    ...(to ? [attribute(RTA_DST, to.address)] : []),
    attribute(RTA_OIF, int32(device)),
    ...(gateway ? [attribute(RTA_GATEWAY, gateway)] : []),
  ]);
  routes.request("add a route", RTM.NEWROUTE, body, CREATE | REPLACE);
}

/** Says which hardware address a neighbour has, for good: nobody is asked, and nobody can say something else. */
export function setNeighbour(
  routes: RouteSocket,
  device: number,
  { address, mac }: { readonly address: AddressBytes; readonly mac: Uint8Array },
): void {
  const head = new Uint8Array(12);
  const view = new DataView(head.buffer);
  head[0] = familyOf(address);
  view.setInt32(4, device, true);
  view.setUint16(8, NUD_PERMANENT, true);
  const body = joined([head, attribute(NDA_DST, address), attribute(NDA_LLADDR, mac)]);
  routes.request("name a neighbour", RTM.NEWNEIGH, body, CREATE | REPLACE);
}

function familyOf({ length }: AddressBytes): number {
  return length === 4 ? AF_INET : AF_INET6;
}
