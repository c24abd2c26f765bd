import { attempt, check, SyscallError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";

/** Packets that rules of the firewall log, by nfnetlink_log (linux/netfilter/nfnetlink_log.h). */

const [AF_NETLINK, SOCK_RAW, SOCK_CLOEXEC, SOCK_NONBLOCK, NETLINK_NETFILTER] = [16, 3, 0o2000000, 0o4000, 12];
const [NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR, EAGAIN, ENOBUFS] = [1, 4, 2, 11, 105];
const [CONFIG, PACKET] = [4 << 8 | 1, 4 << 8];
const [ATTRIBUTE_COMMAND, ATTRIBUTE_MODE, ATTRIBUTE_PAYLOAD] = [1, 2, 9];
const [BIND, COPY_PACKET] = [1, 2];
const [HEADER, FAMILY] = [16, 4];
const BUFFER_BYTES = 1 << 16;

/** Receives what is logged to one group in the network namespace in which it was made. */
export class PacketLog implements Disposable {
  readonly #socket: Fd;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);

  /**
   * @param group As the rules name it.
   * @param copiedBytes How much of each packet is wanted.
   * @throws {SyscallError} When another process receives that group.
   */
  constructor(group: number, copiedBytes: number) {
    const raw = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
    this.#socket = new Fd(check(raw, "make a socket for nfnetlink_log"));
    try {
      this.#configure(group, [5, 0, ATTRIBUTE_COMMAND, 0, BIND, 0, 0, 0]);
      const range = [copiedBytes >>> 24, copiedBytes >>> 16, copiedBytes >>> 8, copiedBytes].map((each) =>
        each & 0xff
      );
      this.#configure(group, [10, 0, ATTRIBUTE_MODE, 0, ...range, COPY_PACKET, 0, 0, 0]);
    } catch (error) {
      this.#socket[Symbol.dispose]();
      throw error;
    }
  }

  /** The packets that came, each from its IP header on, at most `most`; never waits. */
  take(most: number): Uint8Array<ArrayBuffer>[] {
    const packets: Uint8Array<ArrayBuffer>[] = [];
    while (packets.length < most) {
      const read = (): bigint | number => libc.read(this.#socket.raw, this.#buffer, BigInt(BUFFER_BYTES));
      const length = attempt(read, EAGAIN);
      if (length === -ENOBUFS) continue; // there were more than the socket holds
      if (length === -EAGAIN) break;
      if (length < 0) throw new SyscallError("receive a logged packet", -length);
      packets.push(...this.#packets(length));
    }
    return packets;
  }

  #configure(group: number, attribute: readonly number[]): void {
    const does = `receive packets that are logged to the group ${group}`;
    const message = new Uint8Array(HEADER + FAMILY + attribute.length);
    const view = new DataView(message.buffer);
    view.setUint32(0, message.length, true);
    view.setUint16(4, CONFIG, true);
    view.setUint16(6, NLM_F_REQUEST | NLM_F_ACK, true);
    view.setUint16(HEADER + 2, group); // in the order of the network
    message.set(attribute, HEADER + FAMILY);
    check(libc.write(this.#socket.raw, message, BigInt(message.length)), does);
    const length = Number(check(libc.read(this.#socket.raw, this.#buffer, BigInt(BUFFER_BYTES)), does));
    const answer = new DataView(this.#buffer.buffer, 0, length);
    const error = answer.getUint16(4, true) === NLMSG_ERROR ? -answer.getInt32(HEADER, true) : 0;
    if (error !== 0) throw new SyscallError(does, error);
  }

  *#packets(length: number): Iterable<Uint8Array<ArrayBuffer>> {
    const view = new DataView(this.#buffer.buffer, 0, length);
    for (let at = 0; at + HEADER <= length;) {
      const size = view.getUint32(at, true);
      if (size < HEADER || at + size > length) return;
      if (view.getUint16(at + 4, true) === PACKET) {
        for (let inner = at + HEADER + FAMILY; inner + 4 <= at + size;) {
          const bytes = view.getUint16(inner, true);
          if (bytes < 4) break;
          if ((view.getUint16(inner + 2, true) & 0x3fff) === ATTRIBUTE_PAYLOAD) {
            yield this.#buffer.slice(inner + 4, inner + bytes);
          }
          inner += bytes + 3 & ~3;
        }
      }
      at += size + 3 & ~3;
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
