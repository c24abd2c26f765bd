import { addressBytes, addressText } from "./address.ts";
import { check, SyscallError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";

/** Connections as the kernel tracks them, by ctnetlink (linux/netfilter/nfnetlink_conntrack.h). */

const [AF_INET, AF_INET6, AF_NETLINK] = [2, 10, 16];
const [SOCK_RAW, SOCK_CLOEXEC, NETLINK_NETFILTER] = [3, 0o2000000, 12];
const [NLM_F_REQUEST, NLMSG_ERROR, ENOENT, TCP] = [1, 2, 2, 6];
const GET_CONNECTION = 1 << 8 | 1; // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
const [TUPLE_ORIGINAL, TUPLE_REPLY, TUPLE_IP, TUPLE_PROTOCOL] = [1, 2, 1, 2];
const IP = { v4Source: 1, v4Destination: 2, v6Source: 3, v6Destination: 4 } as const;
const PROTOCOL = { number: 1, source: 2, destination: 3 } as const;
const [HEADER, FAMILY, NESTED] = [16, 4, 0x8000];
const BUFFER_BYTES = 8192;

/** One end of a connection. */
export interface End {
  readonly address: string;
  readonly port: number;
}

/** Asks the kernel of the network namespace in which it was made. */
export class ConnectionTracking implements Disposable {
  readonly #socket: Fd;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #sequence = 0;

  constructor() {
    const raw = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    this.#socket = new Fd(check(raw, "make a socket for ctnetlink"));
  }

  /**
   * Where a TCP connection that was redirected to `local` was meant to go.
   *
   * @param local The end that accepted it.
   * @param remote The end that made it.
   * @returns Nothing if the kernel does not know the connection, or it was not redirected.
   */
  originalDestination(local: End, remote: End): End | undefined {
    const answer = this.#ask(request(local, remote, ++this.#sequence));
    if (answer === undefined) return undefined;
    const original = find(answer, HEADER + FAMILY, TUPLE_ORIGINAL);
    const ip = original && find(original, 0, TUPLE_IP);
    const protocol = original && find(original, 0, TUPLE_PROTOCOL);
    const address = ip && (find(ip, 0, IP.v4Destination) ?? find(ip, 0, IP.v6Destination));
    const source = ip && (find(ip, 0, IP.v4Source) ?? find(ip, 0, IP.v6Source));
    const port = protocol && find(protocol, 0, PROTOCOL.destination);
    if (!address || !source || !port || addressText(source) !== remote.address) return undefined;
    const found = { address: addressText(address), port: port[0]! << 8 | port[1]! };
    return found.address === local.address && found.port === local.port ? undefined : found;
  }

  #ask(message: Uint8Array<ArrayBuffer>): Uint8Array | undefined {
    const does = "look up a connection";
    check(libc.write(this.#socket.raw, message, BigInt(message.length)), does);
    for (;;) {
      const length = check(libc.read(this.#socket.raw, this.#buffer, BigInt(BUFFER_BYTES)), does);
      const view = new DataView(this.#buffer.buffer, 0, length);
      if (view.getUint32(8, true) !== this.#sequence) continue; // of a question that failed
      if (view.getUint16(4, true) !== NLMSG_ERROR) {
        return this.#buffer.subarray(0, Math.min(view.getUint32(0, true), length));
      }
      const error = -view.getInt32(HEADER, true);
      if (error === ENOENT) return undefined;
      throw new SyscallError(does, error);
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

function request(local: End, remote: End, sequence: number): Uint8Array<ArrayBuffer> {
  const [from, to] = [addressBytes(local.address), addressBytes(remote.address)];
  if (!from || !to) {
    throw new TypeError(`Cannot look up a connection of "${local.address}" and "${remote.address}"`);
  }
  const isV4 = from.length === 4;
  const tuple = attribute(TUPLE_REPLY | NESTED, [
    ...attribute(TUPLE_IP | NESTED, [
      ...attribute(isV4 ? IP.v4Source : IP.v6Source, from),
      ...attribute(isV4 ? IP.v4Destination : IP.v6Destination, to),
    ]),
    ...attribute(TUPLE_PROTOCOL | NESTED, [
      ...attribute(PROTOCOL.number, [TCP]),
      ...attribute(PROTOCOL.source, [local.port >> 8, local.port & 0xff]),
      ...attribute(PROTOCOL.destination, [remote.port >> 8, remote.port & 0xff]),
    ]),
  ]);
  const message = new Uint8Array(HEADER + FAMILY + tuple.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, GET_CONNECTION, true);
  view.setUint16(6, NLM_F_REQUEST, true);
  view.setUint32(8, sequence, true);
  message[HEADER] = isV4 ? AF_INET : AF_INET6;
  message.set(tuple, HEADER + FAMILY);
  return message;
}

/** An attribute as netlink writes it; its length does not count the padding. */
function attribute(type: number, value: Iterable<number>): number[] {
  const data = [...value];
  const length = 4 + data.length;
  const padding = Array((4 - length % 4) % 4).fill(0);
  return [length & 0xff, length >> 8, type & 0xff, type >> 8, ...data, ...padding];
}

function find(bytes: Uint8Array, offset: number, type: number): Uint8Array | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = offset; at + 4 <= bytes.length;) {
    const size = view.getUint16(at, true);
    if (size < 4) return undefined;
    if ((view.getUint16(at + 2, true) & 0x3fff) === type) return bytes.subarray(at + 4, at + size);
    at += (size + 3) & ~3;
  }
  return undefined;
}
