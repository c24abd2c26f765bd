import { addressBytes } from "../ffi/address.ts";
import { concatenated, type ElementChange, type NftElement, type NftSet } from "../ffi/nft_elements.ts";
import { text as withNul } from "../ffi/netlink_message.ts";
import type { PublishedPort } from "./ports.ts";
import type { NetworkSettings } from "./settings.ts";

/** What the sets of the firewall have for each sandbox. Nothing here does anything. */

const PROTOCOLS = { tcp: 6, udp: 17 } as const;
const [NAME_BYTES, MS] = [16, 1000];
/** So many ports are pins of their own: sets of ranges take longer the more they have. */
const FEW_PORTS = 16;

/** What of a lease the firewall knows. */
export interface Admitted {
  readonly address: string;
  readonly ipv6: string | undefined;
  readonly mode: "policy" | "bridge";
  readonly ports: readonly PublishedPort[];
}

/** A way from a sandbox to addresses: what of TCP it names goes to the proxy, what of UDP goes out. */
export interface Pin {
  /** The sandbox's address. */
  readonly sandbox: string;
  /** An address or a range in CIDR notation, of the same family. */
  readonly address: string;
  readonly first: number;
  readonly last: number;
  readonly protocol: "tcp" | "udp";
  /** After how many seconds it is gone; nothing for good. */
  readonly ttlS?: number | undefined;
}

/** The name of a sandbox's port on the bridge. */
export function portName({ portPrefix }: Pick<NetworkSettings, "portPrefix">, address: string): string {
  const [, , third, fourth] = address.split(".").map(Number);
  return `${portPrefix}${((third! << 8) | fourth!).toString(16).padStart(4, "0")}`;
}

/** The hardware address of a sandbox, which follows from its address. */
export function hardwareAddress(address: string, end: "sandbox" | "port" | "bridge"): Uint8Array {
  return Uint8Array.from([
    0x02,
    { sandbox: 0xa1, port: 0xa0, bridge: 0xa2 }[end],
    ...address.split(".").map(Number),
  ]);
}

/** Lets a sandbox be on the network. It fails if somebody else has one of its ports. */
export function admit(settings: NetworkSettings, sandbox: Admitted): ElementChange[] {
  return [
    ...ownElements(settings, sandbox).map((element) => ({ change: "add" as const, element })),
    // What is there is refused: a port can be only one's.
    ...publishedElements(settings, sandbox).map((element) => ({ change: "create" as const, element })),
  ];
}

/** Takes away all that {@linkcode admit} has added, if it is there. */
export function dismiss(settings: NetworkSettings, sandbox: Admitted): ElementChange[] {
  return [...ownElements(settings, sandbox), ...publishedElements(settings, sandbox)].flatMap(removed);
}

/** Adds pins, or lets those that are there last longer: at no moment is one missing. What is there for good stays. */
export function pins(settings: Pick<NetworkSettings, "table">, all: readonly Pin[]): ElementChange[] {
  return all.flatMap((pin) => pinElements(settings, pin)).flatMap((element) => {
    const before = element.forMs === undefined ? [] : removed(element);
    return [...before, { change: "add", element }];
  });
}

/** Takes pins away, if they are there. */
export function unpins(
  settings: Pick<NetworkSettings, "table">,
  all: readonly Omit<Pin, "ttlS">[],
): ElementChange[] {
  return all.flatMap((pin) => pinElements(settings, pin)).flatMap(removed);
}

/** It is not there afterwards, whether it was or not: what is not there cannot be deleted. */
function removed(element: NftElement): ElementChange[] {
  return [{ change: "add", element }, { change: "delete", element }];
}

/** What says who a port is, and that what it sends passes without a policy. */
function ownElements(settings: NetworkSettings, { address, ipv6, mode }: Admitted): NftElement[] {
  const { table } = settings;
  const set = (family: NftSet["family"], name: string): NftSet => ({ family, table, name });
  const port = new Uint8Array(NAME_BYTES);
  port.set(withNul(portName(settings, address)));
  const mac = hardwareAddress(address, "sandbox");
  const families = [[4, address], [6, ipv6]] as const;
  return families.flatMap(([family, own]) => {
    if (own === undefined) return [];
    const bytes = bytesOf(own);
    const mine = { set: set("bridge", `own${family}`), key: concatenated(port, mac, bytes) };
    return mode === "bridge" ? [mine, { set: set("inet", `open${family}`), key: bytes }] : [mine];
  });
}

function publishedElements({ table }: NetworkSettings, { address, ipv6, ports }: Admitted): NftElement[] {
  return ports.flatMap(({ hostAddress, hostPort, containerPort, protocol }) => {
    return ([[4, address, "0.0.0.0/0"], [6, ipv6, "::/0"]] as const).flatMap(([family, own, any]) => {
      const isOther = hostAddress !== undefined && hostAddress.includes(":") !== (family === 6);
      if (own === undefined || isOther) return [];
      const set = { family: "inet" as const, table, name: `published${family}` };
      const [first, last] = rangeOf(hostAddress ?? any);
      const key = (on: Uint8Array): Uint8Array =>
        concatenated(on, protocolByte(protocol), portBytes(hostPort));
      const value = concatenated(bytesOf(own), portBytes(containerPort));
      return [{ set, key: key(first), lastKey: key(last), value }];
    });
  });
}

function pinElements(
  { table }: Pick<NetworkSettings, "table">,
  { sandbox, address, first, last, protocol, ttlS }: Pin,
): NftElement[] {
  const set = (name: string): NftSet => ({
    family: "inet",
    table,
    name: `${name}${sandbox.includes(":") ? 6 : 4}`,
  });
  const [from, to] = rangeOf(address);
  const key = (on: Uint8Array, port: number): Uint8Array =>
    concatenated(bytesOf(sandbox), on, protocolByte(protocol), portBytes(port));
  const forMs = ttlS === undefined ? {} : { forMs: Math.max(1, Math.ceil(ttlS)) * MS };
  const isFew = from.every((byte, index) => byte === to[index]) && last - first < FEW_PORTS;
  if (!isFew) return [{ set: set("pins"), key: key(from, first), lastKey: key(to, last), ...forMs }];
  const ports = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  return ports.map((port) => ({ set: set("exact"), key: key(from, port), ...forMs }));
}

/** The first and the last address of a block; of one address, twice that. */
function rangeOf(block: string): [first: Uint8Array, last: Uint8Array] {
  const [base = "", length] = block.split("/");
  const bytes = bytesOf(base);
  const bits = length === undefined ? 8 * bytes.length : Number(length);
  const part = (ones: number): Uint8Array =>
    bytes.map((byte, index) => {
      const free = 0xff >> Math.min(8, Math.max(0, bits - 8 * index));
      return (byte & ~free & 0xff) | (ones & free);
    });
  return [part(0), part(0xff)];
}

function bytesOf(address: string): Uint8Array {
  const bytes = addressBytes(address);
  if (!bytes) throw new TypeError(`Cannot use "${address}" as an address`);
  return bytes;
}

function protocolByte(protocol: keyof typeof PROTOCOLS): Uint8Array {
  return Uint8Array.of(PROTOCOLS[protocol]);
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff);
}
