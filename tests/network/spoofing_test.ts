import { equal, match, notEqual } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import type { Lease } from "../../network/leases.ts";
import { containerTest } from "../helpers/container_test.ts";
import { NetworkWorld, Place } from "../helpers/network_world.ts";

const CONNECT = fromFileUrl(new URL("../helpers/connect_place.ts", import.meta.url));
/** Sends one frame and counts nothing: whether it arrives is seen elsewhere. */
const SEND = `
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0))
for frame in sys.argv[1:]: s.send(bytes.fromhex(frame))
`;
/** Prints how many frames come to the bridge that are marked, until one comes that says that it is the last. */
const HEAR = `
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind((sys.argv[1], 0)); s.settimeout(60)
print("ready", flush=True)
found = 0
while True:
    frame = s.recv(2000)
    if bytes.fromhex(sys.argv[3]) in frame: break
    found += bytes.fromhex(sys.argv[2]) in frame
print(found)
`;

const hex = (bytes: Iterable<number>): string =>
  [...bytes].map((each) => each.toString(16).padStart(2, "0")).join("");
const ip = (address: string): string => hex(address.split(".").map(Number));
const mac = (address: string, end: number): string => `02${hex([end])}${ip(address)}`;
const [MARK, LAST] = ["6d61726b6564", "746865206c617374"]; // "marked", "the last"

const [TRIES, AGAIN_MS] = [10, 3_000];

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function restOf(reader: ReadableStreamDefaultReader<string>): Promise<string> {
  let text = "";
  for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
  return text;
}

/** A datagram of UDP to port 9 in a frame of Ethernet. */
function datagram(
  from: { mac: string; address: string },
  to: { mac: string; address: string },
  payload = MARK,
): string {
  const udp = `04d20009${hex([0, 8 + payload.length / 2])}0000${payload}`;
  const head = `4500${hex([0, 20 + udp.length / 2])}00000000401100000000`.slice(0, 20) +
    `0000${ip(from.address)}${ip(to.address)}`;
  return `${to.mac}${from.mac}0800${checked(head)}${udp}`;
}

/** A header of IPv4 with its checksum. */
function checked(head: string): string {
  const words = head.match(/..../g)!.map((each) => parseInt(each, 16));
  let sum = words.reduce((all, each) => all + each, 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return head.slice(0, 20) + hex([(~sum >>> 8) & 0xff, ~sum & 0xff]) + head.slice(24);
}

/** An answer of ARP that says that `address` is at `mac`. */
function arp(
  from: string,
  says: { mac: string; address: string },
  gateway: { mac: string; address: string },
): string {
  return `${gateway.mac}${from}08060001080006040002${says.mac}${ip(says.address)}${gateway.mac}${
    ip(gateway.address)
  }${MARK}`;
}

containerTest(
  "a sandbox cannot speak as another one, which it can where the rules of the bridge are taken away",
  async () => {
    await using world = await NetworkWorld.create();
    await using one = await Place.create();
    await using two = await Place.create();
    const said = await world.host.deno(CONNECT, world.network, `${one.pid}`, `${two.pid}`);
    equal(said.stderr, "");
    const [mine, other] = said.stdout.trim().split("\n").map((line) => JSON.parse(line) as Lease);
    const { bridge } = JSON.parse(Deno.readTextFileSync(`${world.network}/settings.json`));
    const own = { mac: mac(mine!.address, 0xa1), address: mine!.address };
    const theirs = { mac: mac(other!.address, 0xa1), address: other!.address };
    const gateway = { mac: mac("10.209.0.1", 0xa2), address: "10.209.0.1" };
    const attacks: Record<string, string> = {
      "another's address": datagram({ ...own, address: theirs.address }, gateway),
      "another's hardware address": datagram({ ...own, mac: theirs.mac }, gateway),
      "an answer of ARP for another": arp(own.mac, { mac: own.mac, address: theirs.address }, gateway),
      "an answer of ARP for the gateway": arp(own.mac, { mac: own.mac, address: gateway.address }, gateway),
      "a frame of no protocol that is allowed": `${gateway.mac}${own.mac}88cc${MARK.repeat(10)}`,
      "a tag of a VLAN": datagram(own, gateway).replace(`${own.mac}0800`, `${own.mac}810000050800`),
    };
    const arrives = async (frame: string): Promise<number> => {
      const child = world.host.start(["python3", "-c", HEAR, bridge, MARK, LAST]);
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      await reader.read();
      const ended = restOf(reader);
      // A datagram may be lost: the last is sent until it is heard.
      for (let tries = 0; tries < TRIES; tries++) {
        await one.output(
          "python3",
          "-c",
          SEND,
          ...(tries === 0 ? [frame] : []),
          datagram(own, gateway, LAST),
        );
        if (await Promise.race([ended.then(() => true), delay(AGAIN_MS)])) break;
      }
      const text = (await ended).trim();
      const said = await new Response(child.stderr).text();
      match(text, /^\d+$/, `the last frame was not heard: ${said}`);
      return Number(text);
    };
    notEqual(await arrives(datagram(own, gateway)), 0, "what is its own");
    const rules = await world.host.output("sh", "-c", "nft list tables | grep bridge");
    const table = /table bridge (\S+)/.exec(rules)![1]!;
    match(table, /^ai_sandbox/);
    for (const [name, frame] of Object.entries(attacks)) equal(await arrives(frame), 0, name);
    await world.host.output("nft", "delete", "table", "bridge", table);
    // Where frames of a bridge go through the host's own filters (br_netfilter), those of the network are in the way, too.
    await world.host.output("nft", "delete", "table", "inet", table);
    for (const [name, frame] of Object.entries(attacks)) {
      notEqual(await arrives(frame), 0, `${name}, undefended`);
    }
  },
);
