import type { Context, UnreachableBlock } from "./context.ts";
import { O } from "./abi.ts";
import { attribute, batch, type Expression, nested, number, request, string } from "./nft_message.ts";
import { mark, named, type Op, op, slot, zeros } from "./op.ts";

const [AF_NETLINK, NETLINK_NETFILTER, SOCK_RAW, SOCK_NONBLOCK] = [16, 12, 3, 0o4000];
const [NEWTABLE, NEWCHAIN, NEWRULE] = [0, 3, 6];
const [LOCAL_OUT, ACCEPT, REGISTER, VERDICT] = [3, 1, 1, 0];
const [META_OIF, LOOPBACK] = [5, [1, 0, 0, 0]]; // the first device of every namespace
const [META_L4PROTO, ICMPV6, SOLICITATION, ADVERTISEMENT] = [16, 58, 135, 136];
const [NETWORK_HEADER, TRANSPORT_HEADER] = [1, 2];
const COMPARE = { equal: 0, atMost: 3, atLeast: 5 } as const;
const NAME = "ai_sandbox";
const ANSWER_BYTES = 4096;

/** Where a packet names its destination, and how its sender hears that somebody forbids it. */
const FAMILIES = {
  4: { number: 2, offset: 16, bytes: 4, prohibited: 13 },
  6: { number: 10, offset: 24, bytes: 16, prohibited: 1 },
} as const;

/**
 * Keeps the sandbox from destinations that its network leads to, by a packet filter in its own network namespace: routes
 * would not, for whoever binds a socket to a device is let through without one. It takes CAP_NET_ADMIN to undo, and
 * CAP_NET_RAW to go around.
 */
export function* unreachable({ hooked }: Pick<Context, "hooked">): Iterable<Op> {
  const blocks = hooked?.unreachable ?? [];
  if (blocks.length === 0) return;
  const does = "keep the sandbox from addresses of the host";
  const messages = filterOf(blocks);
  const shows = `reject ${blocks.map(({ text }) => text).join(", ")}`;
  const how = named("SOCK_RAW|SOCK_CLOEXEC|SOCK_NONBLOCK", SOCK_RAW | O.CLOEXEC | SOCK_NONBLOCK);
  const kind = [named("AF_NETLINK", AF_NETLINK), how, named("NETLINK_NETFILTER", NETLINK_NETFILTER)];
  yield op(does, "socket", kind, { into: "socket" });
  yield op(does, "write", [slot("socket"), { bytes: messages, shows }, messages.length]);
  // The kernel has done all when this returns, or nothing: it answers only what it refuses.
  yield op(does, "read", [slot("socket"), zeros(ANSWER_BYTES, "answer"), ANSWER_BYTES], {
    ignore: ["EAGAIN"],
    ignored: "unreachable",
  });
  yield op(`${does}: the kernel takes no rules of nftables`, "close", [-1]); // fails, and so ends the launch
  yield mark("unreachable");
  yield op(does, "close", [slot("socket")]);
}

/** A table for each family of addresses, with one chain, through which all goes that the sandbox sends. */
function filterOf(blocks: readonly UnreachableBlock[]): Uint8Array {
  const messages = ([4, 6] as const).flatMap((family) => {
    const own = blocks.filter((block) => block.family === family);
    if (own.length === 0) return [];
    const { number: code } = FAMILIES[family];
    const hook = nested(4, attribute(1, number(LOCAL_OUT)), attribute(2, number(0)));
    const chain = [attribute(1, string(NAME)), attribute(3, string(NAME)), hook];
    const rule = (...expressions: Expression[]): Uint8Array => {
      const list = nested(4, ...expressions.map(expression));
      return request(NEWRULE, code, attribute(1, string(NAME)), attribute(2, string(NAME)), list);
    };
    return [
      request(NEWTABLE, code, attribute(1, string(NAME))),
      request(NEWCHAIN, code, ...chain, attribute(7, string("filter"))),
      rule(...staysInside()),
      ...(family === 6 ? [rule(...findsNeighbours())] : []),
      ...own.map((block) => rule(...leadsTo(block))),
    ];
  });
  return batch(messages);
}

function expression({ name, data }: Expression): Uint8Array {
  return nested(1, attribute(1, string(name)), nested(2, ...data));
}

/** What goes to the sandbox's own loopback device is accepted. */
function staysInside(): Expression[] {
  return [meta(META_OIF), compare("equal", LOOPBACK), ACCEPTED];
}

/** Questions for hardware addresses, which the kernel itself asks. */
function findsNeighbours(): Expression[] {
  return [
    meta(META_L4PROTO),
    compare("equal", [ICMPV6]),
    payload(TRANSPORT_HEADER, 0, 1),
    compare("atLeast", [SOLICITATION]),
    compare("atMost", [ADVERTISEMENT]),
    ACCEPTED,
  ];
}

/** What goes to a block is rejected. */
function leadsTo({ family, address, prefixLength }: UnreachableBlock): Expression[] {
  const { offset, bytes, prohibited } = FAMILIES[family];
  const mask = Array.from({ length: bytes }, (_, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - 8 * index));
    return 256 - 2 ** (8 - bits);
  });
  const value = (type: number, data: readonly number[]): Uint8Array => nested(type, attribute(1, data));
  const registers = [attribute(1, number(REGISTER)), attribute(2, number(REGISTER))];
  const masked = [attribute(3, number(bytes)), value(4, mask), value(5, mask.map(() => 0))];
  return [
    payload(NETWORK_HEADER, offset, bytes),
    { name: "bitwise", data: [...registers, ...masked] },
    compare("equal", address),
    { name: "reject", data: [attribute(1, number(0)), attribute(2, [prohibited])] },
  ];
}

const ACCEPTED: Expression = {
  name: "immediate",
  data: [attribute(1, number(VERDICT)), nested(2, nested(2, attribute(1, number(ACCEPT))))],
};

function meta(key: number): Expression {
  return { name: "meta", data: [attribute(1, number(REGISTER)), attribute(2, number(key))] };
}

function payload(...where: readonly [header: number, offset: number, bytes: number]): Expression {
  const from = where.map((each, index) => attribute(2 + index, number(each)));
  return { name: "payload", data: [attribute(1, number(REGISTER)), ...from] };
}

function compare(how: keyof typeof COMPARE, value: readonly number[]): Expression {
  const data = nested(3, attribute(1, value));
  return { name: "cmp", data: [attribute(1, number(REGISTER)), attribute(2, number(COMPARE[how])), data] };
}
