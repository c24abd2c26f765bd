import { addressText } from "../../ffi/address.ts";

/** Protocols of IP by their numbers; others are told as numbers. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: "icmp",
  2: "igmp",
  6: "tcp",
  17: "udp",
  47: "gre",
  50: "esp",
  58: "icmpv6",
  132: "sctp",
};
const [TCP, UDP, SCTP] = [6, 17, 132];
/** Headers of IPv6 that stand before what is carried. */
const BEFORE = [0, 43, 60];

/** What the head of a packet says. */
export interface Packet {
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  readonly port: number | undefined;
}

/** Reads the start of a packet of IP; nothing if it is none. */
export function readPacket(bytes: Uint8Array): Packet | undefined {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 4 && bytes.length >= 20) {
    const rest = (bytes[6]! & 0x1f) === 0 && bytes[7] === 0
      ? bytes.subarray((bytes[0]! & 15) * 4)
      : bytes.subarray(0, 0);
    return packet(bytes.subarray(12, 16), bytes.subarray(16, 20), bytes[9]!, rest);
  }
  if (version !== 6 || bytes.length < 40) return undefined;
  let [number, at] = [bytes[6]!, 40];
  for (let seen = 0; BEFORE.includes(number) && at + 2 <= bytes.length && seen < 8; seen++) {
    [number, at] = [bytes[at]!, at + 8 + bytes[at + 1]! * 8];
  }
  return packet(bytes.subarray(8, 24), bytes.subarray(24, 40), number, bytes.subarray(at));
}

function packet(source: Uint8Array, destination: Uint8Array, number: number, rest: Uint8Array): Packet {
  const hasPort = [TCP, UDP, SCTP].includes(number) && rest.length >= 4;
  return {
    source: addressText(source),
    destination: addressText(destination),
    protocol: PROTOCOLS[number] ?? `ip-${number}`,
    port: hasPort ? rest[2]! << 8 | rest[3]! : undefined,
  };
}
