import { check, SyscallError } from "./errno.ts";
import { libc } from "./libc.ts";
import { aligned, attribute, joined, text } from "./netlink_message.ts";
import { nftSequence, nftSocket } from "./nft_socket.ts";

/**
 * Changes elements of nftables' sets and maps, by nfnetlink (linux/netfilter/nf_tables.h): libnftables reads all that the
 * sets have each time, and takes ten times as long.
 */

const [NFNL_SUBSYS_NFTABLES, BATCH_BEGIN, BATCH_END] = [10, 0x10, 0x11];
const [NEW_ELEMENT, DELETE_ELEMENT] = [NFNL_SUBSYS_NFTABLES << 8 | 12, NFNL_SUBSYS_NFTABLES << 8 | 14];
const NLM_F = { REQUEST: 1, ACK: 4, EXCL: 0x200, CREATE: 0x400 } as const;
const [LIST_TABLE, LIST_SET, LIST_ELEMENTS, LIST_ELEMENT, DATA_VALUE] = [1, 2, 3, 1, 1];
const ELEMENT = { KEY: 1, DATA: 2, TIMEOUT: 4, KEY_END: 10 } as const;
const [NESTED, NLMSG_ERROR, HEADER, FAMILY_BYTES] = [0x8000, 2, 16, 4];
const FAMILY = { inet: 1, bridge: 7 } as const;
const [SOL_SOCKET, SO_SNDBUFFORCE, SO_RCVBUFFORCE] = [1, 32, 33];
/** How many changes find room on a socket as it is, and how much each takes: also if all are refused, one by one. */
const [USUAL_CHANGES, CHANGE_BYTES] = [64, 2048];
const BUFFER_BYTES = 16 << 10;
/** Where answers are read to: nobody waits between that and a look at them. */
const BUFFER = new Uint8Array(BUFFER_BYTES);
/** The kernel pads each part of a key to so many bytes. */
const PART_BYTES = 4;

/** A set or a map. */
export interface NftSet {
  readonly family: keyof typeof FAMILY;
  readonly table: string;
  readonly name: string;
}

/** An element, as the kernel has it. */
export interface NftElement {
  readonly set: NftSet;
  readonly key: Uint8Array;
  /** The last key, in a set of ranges. */
  readonly lastKey?: Uint8Array;
  /** What a map leads to. */
  readonly value?: Uint8Array;
  /** After how many ms it is gone; nothing for good. */
  readonly forMs?: number;
}

/** What becomes of an element: `create` fails if it is there already, `delete` if it is not. */
export interface ElementChange {
  readonly change: "add" | "create" | "delete";
  readonly element: NftElement;
}

/** The parts of a key or a value that has several. */
export function concatenated(...parts: readonly Uint8Array[]): Uint8Array {
  return joined(parts.map((part) => {
    const padded = new Uint8Array(Math.ceil(part.length / PART_BYTES) * PART_BYTES);
    padded.set(part);
    return padded;
  }));
}

/** Does all changes in their order, or none of them. @throws {SyscallError} for the first that is refused. */
export function changeElements(changes: readonly ElementChange[]): void {
  if (changes.length === 0) return;
  const does = "change the firewall";
  const [socket, begin] = [nftSocket(), nftSequence(changes.length + 2)];
  const last = begin + changes.length;
  const all = joined([
    message({ type: BATCH_BEGIN, sequence: begin, subsystem: NFNL_SUBSYS_NFTABLES }),
    // Only the last is answered, unless one is refused.
    ...changes.map((each, index) => changeMessage(each, begin + 1 + index, index === changes.length - 1)),
    message({ type: BATCH_END, sequence: last + 1, subsystem: NFNL_SUBSYS_NFTABLES }),
  ]);
  if (changes.length > USUAL_CHANGES) {
    const room = Int32Array.of(Math.min(CHANGE_BYTES * changes.length, 2 ** 30));
    for (const what of [SO_SNDBUFFORCE, SO_RCVBUFFORCE]) {
      libc.setsockopt(socket.raw, SOL_SOCKET, what, room, 4);
    }
  }
  check(() => libc.write(socket.raw, all, BigInt(all.length)), does);
  for (let refused = 0;;) {
    // Not made again when it fails: whose answer was lost would wait for ever.
    const length = check(libc.read(socket.raw, BUFFER, BigInt(BUFFER_BYTES)), does);
    const view = new DataView(BUFFER.buffer);
    for (let at = 0; at + HEADER < length; at += aligned(Math.max(view.getUint32(at, true), HEADER))) {
      const sequence = view.getUint32(at + 8, true);
      // What is older answers changes that failed as a whole.
      if (sequence < begin || view.getUint16(at + 4, true) !== NLMSG_ERROR) continue;
      refused ||= -view.getInt32(at + HEADER, true);
      // An answer to the beginning is for the whole; it comes before all others.
      if (refused !== 0 && (sequence === begin || sequence >= last)) throw new SyscallError(does, refused);
      if (sequence >= last) return;
    }
  }
}

interface Message {
  readonly type: number;
  readonly sequence: number;
  readonly how?: number;
  readonly family?: number;
  readonly subsystem?: number;
  readonly body?: Uint8Array;
}

function message({ type, sequence, how = 0, family = 0, subsystem = 0, body }: Message): Uint8Array {
  const bytes = new Uint8Array(HEADER + FAMILY_BYTES + (body?.length ?? 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F.REQUEST | how, true);
  view.setUint32(8, sequence, true);
  bytes[HEADER] = family;
  view.setUint16(HEADER + 2, subsystem); // in the order of the network
  if (body) bytes.set(body, HEADER + FAMILY_BYTES);
  return bytes;
}

function changeMessage({ change, element }: ElementChange, sequence: number, isLast: boolean): Uint8Array {
  const { set, key, lastKey, value, forMs } = element;
  const isDelete = change === "delete";
  const parts = [nested(ELEMENT.KEY, attribute(DATA_VALUE, key))];
  if (lastKey) parts.push(nested(ELEMENT.KEY_END, attribute(DATA_VALUE, lastKey)));
  if (value && !isDelete) parts.push(nested(ELEMENT.DATA, attribute(DATA_VALUE, value)));
  if (forMs !== undefined && !isDelete) parts.push(attribute(ELEMENT.TIMEOUT, big(forMs)));
  const body = joined([
    attribute(LIST_TABLE, text(set.table)),
    attribute(LIST_SET, text(set.name)),
    nested(LIST_ELEMENTS, nested(LIST_ELEMENT, ...parts)),
  ]);
  const make = change === "create" ? NLM_F.CREATE | NLM_F.EXCL : NLM_F.CREATE;
  const how = (isDelete ? 0 : make) | (isLast ? NLM_F.ACK : 0);
  const type = isDelete ? DELETE_ELEMENT : NEW_ELEMENT;
  return message({ type, sequence, how, family: FAMILY[set.family], body });
}

function nested(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NESTED, joined(parts));
}

function big(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(Math.ceil(value)));
  return bytes;
}
