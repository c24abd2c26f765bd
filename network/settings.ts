import { openDirectory, putFileAt, readFileAt } from "../ffi/directory.ts";
import type { AddressBytes } from "../ffi/links.ts";
import { UsageError } from "../runtime/errors.ts";
import { makeDirectory, networkDirectory } from "./paths.ts";

/** The first pool that is tried; others are the next ones of this length. */
const [FIRST_POOL, POOL_BITS, MOST_POOLS] = [[10, 209, 0, 0], 16, 46] as const;
/** A pool has room for few sandboxes at least, and its host part fits into the name of a device. */
const [SHORTEST, LONGEST] = [16, 29];
const MOST_BYTES = 4096;
/** Characters of a hash that names are made of: a device's has 15 at most. */
const HASH_CHARACTERS = 6;

/** What a network is called and which addresses it has. It never changes while a sandbox has a lease. */
export interface NetworkSettings {
  /** Where its leases, its log and the socket of its proxy are. */
  readonly directory: string;
  readonly bridge: string;
  /** What the names of the bridge's ports begin with. */
  readonly portPrefix: string;
  /** The table of nftables, both of family inet and of family bridge. */
  readonly table: string;
  /** The pool, with the bridge's own address in it, the first. */
  readonly ipv4: Range;
  /** Nothing where the kernel has no IPv6. */
  readonly ipv6: Range | undefined;
  /** The group of NFLOG that refused packets go to. */
  readonly logGroup: number;
}

/** Addresses of a network. */
export interface Range {
  /** As text, without its length. */
  readonly network: AddressBytes;
  readonly prefixLength: number;
  /** The bridge's own. */
  readonly gateway: AddressBytes;
}

/** What stands in the file. */
interface Written {
  readonly bridge: string;
  readonly ipv4: string;
}

/** What was read last, and what follows from it. */
let last:
  | { readonly written: string; readonly hasIpv6: boolean; readonly settings: NetworkSettings }
  | undefined;

/**
 * The settings of the network in a directory; the first who asks chooses addresses that the host does not use, and
 * writes them down.
 */
export function networkSettings(directory: string): NetworkSettings {
  makeDirectory(directory);
  using held = openDirectory(directory);
  if (!held) throw new UsageError(`Cannot keep a network in "${directory}": it is no directory`);
  const known = readFileAt(held, "settings.json", MOST_BYTES);
  const hasIpv6 = kernelHasIpv6();
  const same = last?.written === known && last?.hasIpv6 === hasIpv6 && last?.settings.directory === directory;
  if (known !== undefined && last && same) return last.settings;
  const written = known === undefined ? undefined : JSON.parse(known) as Written;
  const settings = settingsOf(directory, written ?? chosen(directory), hasIpv6);
  if (known !== undefined) last = { written: known, hasIpv6, settings };
  if (!written) putFileAt(held, "settings.json", new TextEncoder().encode(JSON.stringify(chosen(directory))));
  return settings;
}

function chosen(directory: string): Written {
  return {
    bridge: isDefault(directory) ? "aisbx0" : `aisbx${hashOf(directory)}`,
    ipv4: freePool(usedRanges()),
  };
}

function isDefault(directory: string): boolean {
  try {
    return directory === networkDirectory(undefined);
  } catch {
    return false; // there is no default
  }
}

/** The settings that follow from the name of a bridge and its pool. @throws {UsageError} if that is none. */
export function settingsOf(
  directory: string,
  { bridge, ipv4 }: { readonly bridge: string; readonly ipv4: string },
  hasIpv6: boolean = kernelHasIpv6(),
): NetworkSettings {
  const hash = hashOf(directory);
  const [text = "", length = ""] = ipv4.split("/");
  const network = parseIpv4(text);
  const prefixLength = Number(length);
  const isRange = network && Number.isInteger(prefixLength) && prefixLength >= SHORTEST &&
    prefixLength <= LONGEST &&
    (numberOf(network) & (2 ** (32 - prefixLength) - 1)) === 0;
  if (!isRange) {
    throw new UsageError(
      `Cannot use "${ipv4}" as addresses of a network: it must be a range such as 10.209.0.0/16, from /${SHORTEST} to /${LONGEST}`,
    );
  }
  if (!/^[a-z][a-z0-9_-]{0,14}$/.test(bridge)) {
    throw new UsageError(`Cannot call a bridge "${bridge}": use at most 15 small letters, digits, _ and -`);
  }
  return {
    directory,
    bridge,
    portPrefix: `ai${hash}v`,
    table: isDefault(directory) ? "ai_sandbox" : `ai_sandbox_${hash}`,
    ipv4: { network, prefixLength, gateway: bytesOf(numberOf(network) + 1) },
    ipv6: hasIpv6 ? uniqueLocal(directory) : undefined,
    logGroup: 1024 + Number(fnv(directory) % 60_000n),
  };
}

/** A /64 of unique local addresses (RFC 4193) that follows from the directory. */
function uniqueLocal(directory: string): Range {
  const network = new Uint8Array(16);
  new DataView(network.buffer).setBigUint64(0, fnv(`${directory}\0ula`));
  network[0] = 0xfd;
  const gateway = network.slice();
  gateway[15] = 1;
  return { network, prefixLength: 64, gateway };
}

/** Whether addresses of IPv6 can be given at all. */
function kernelHasIpv6(): boolean {
  try {
    return Deno.readTextFileSync("/proc/sys/net/ipv6/conf/all/disable_ipv6").trim() === "0";
  } catch {
    return false;
  }
}

/** The first pool that meets nothing of what is used. */
export function freePool(used: readonly { readonly first: number; readonly last: number }[]): string {
  for (let index = 0; index < MOST_POOLS; index++) {
    const first = numberOf(Uint8Array.from(FIRST_POOL)) + index * 2 ** (32 - POOL_BITS);
    const last = first + 2 ** (32 - POOL_BITS) - 1;
    if (used.every((each) => each.last < first || each.first > last)) {
      return `${ipv4Text(bytesOf(first))}/${POOL_BITS}`;
    }
  }
  throw new UsageError("Cannot find addresses for a network: the host uses them all; write settings.json");
}

/** What the routes of the host lead to, but for the default one. */
function usedRanges(): { first: number; last: number }[] {
  const lines = Deno.readTextFileSync("/proc/net/route").trim().split("\n").slice(1);
  return lines.flatMap((line) => {
    const [, to = "", , , , , , mask = ""] = line.split("\t");
    const [first, length] = [to, mask].map((hex) =>
      numberOf(Uint8Array.from(hex.match(/../g) ?? [], (each) => parseInt(each, 16)).reverse())
    );
    return length === 0 ? [] : [{ first: first!, last: first! + (2 ** 32 - 1 - length!) }];
  });
}

/** The bytes of an address of IPv4, if it is one. */
export function parseIpv4(text: string): AddressBytes | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1);
  if (!parts || parts.some((each) => Number(each) > 255 || String(Number(each)) !== each)) return undefined;
  return Uint8Array.from(parts, Number);
}

/** An address of IPv4 as text. */
export function ipv4Text(bytes: Uint8Array): string {
  return bytes.join(".");
}

/** An address of IPv6 as text, without any shortening but of leading zeros. */
export function ipv6Text(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(2 * index).toString(16));
  return groups.join(":").replace(/(^|:)0(:0)+(:|$)/, "::");
}

/** An address of IPv4 as a number. */
export function numberOf(bytes: Uint8Array): number {
  return bytes.reduce((number, byte) => number * 256 + byte, 0);
}

/** The address of IPv4 of a number. */
export function bytesOf(number: number): AddressBytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

function hashOf(directory: string): string {
  return fnv(directory).toString(16).padStart(16, "0").slice(-HASH_CHARACTERS);
}

/** FNV-1a of 64 bits: names only have to differ. */
function fnv(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}
