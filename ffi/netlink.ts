import { check, SyscallError, unless } from "./errno.ts";
import { Fd, open } from "./fd.ts";
import { libc } from "./libc.ts";
import {
  aligned,
  attribute,
  attributesOf,
  info,
  INFO_BYTES,
  int32,
  joined,
  text,
} from "./netlink_message.ts";

/** Network devices and addresses by rtnetlink(7). */

const [AF_NETLINK, SOCK_RAW, SOCK_CLOEXEC, NETLINK_ROUTE] = [16, 3, 0o2000000, 0];
const [NLMSG_ERROR, NLMSG_DONE] = [2, 3];
const [RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_GETADDR] = [16, 18, 20, 22];
const NLM_F = { REQUEST: 1, ACK: 4, EXCL: 0x200, DUMP: 0x300, CREATE: 0x400 } as const;
const IFLA = { IFNAME: 3, NET_NS_FD: 28 } as const;
const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, FLAGS: 8 } as const;
const IFA_F = { NODAD: 2, HOMEADDRESS: 0x10, PERMANENT: 0x80, MANAGETEMPADDR: 0x100, NOPREFIXROUTE: 0x200 };
const [IFF_UP, RT_SCOPE_UNIVERSE, CLONE_NEWNET] = [1, 0, 0x40000000];
const [HEADER, ADDRESS_INFO] = [16, 8];
/** The kernel sends no more at once. */
const BUFFER_BYTES = 1 << 15;
/** Where answers are read to. Nobody waits between that and a look at them, so that one is enough for all sockets. */
const BUFFER = new Uint8Array(BUFFER_BYTES);
const ENODEV = 19;
/** `struct ifreq` (netdevice(7)), and where the index is in it. */
const [SIOCGIFINDEX, IFREQ_BYTES, IFREQ_INDEX] = [0x8933n, 40, 16];
/** No answer, and no error either: one takes a tenth of a millisecond to make. */
const REFUSED: readonly Uint8Array<ArrayBuffer>[] = [];

/** A network device of one namespace. */
export interface NetworkDevice {
  readonly index: number;
  readonly name: string;
}

/** A request that is sent with others. */
interface Waiting {
  readonly does: string;
  readonly type: number;
  readonly body: Uint8Array;
  readonly how: number;
}

/** A permanent address that others can reach, as the kernel tells it. */
export interface NetworkAddress {
  readonly family: number;
  readonly prefixLength: number;
  readonly flags: number;
  /** Its attributes `IFA_ADDRESS`, `IFA_LOCAL` and `IFA_BROADCAST`. */
  readonly attributes: readonly [type: number, value: Uint8Array<ArrayBuffer>][];
}

/** Talks to the kernel about the devices of the network namespace in which it was made. */
export class RouteSocket implements Disposable {
  readonly #socket: Fd;
  #sequence = 0;
  /** Requests that wait to be sent with others. */
  #waiting: Waiting[] | undefined;

  constructor() {
    const raw = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    this.#socket = new Fd(check(raw, "make a socket for rtnetlink"));
  }

  /** All devices. */
  devices(): NetworkDevice[] {
    const found = this.#ask("list network devices", RTM_GETLINK, NLM_F.DUMP, new Uint8Array(INFO_BYTES));
    return found.map((body) => {
      const index = new DataView(body.buffer, body.byteOffset).getInt32(4, true);
      const name = attributesOf(body, INFO_BYTES).find(([type]) => type === IFLA.IFNAME)?.[1] ??
        new Uint8Array(0);
      return { index, name: new TextDecoder().decode(name).replace(/\0.*$/s, "") };
    });
  }

  /** The addresses of a device that it keeps, and that are valid beyond the host. */
  addresses(device: number): NetworkAddress[] {
    const found = this.#ask("list network addresses", RTM_GETADDR, NLM_F.DUMP, new Uint8Array(ADDRESS_INFO));
    return found.flatMap((body) => {
      const view = new DataView(body.buffer, body.byteOffset, body.length);
      const all = attributesOf(body, ADDRESS_INFO);
      const wide = all.find(([type]) => type === IFA.FLAGS)?.[1];
      const flags = wide ? new DataView(wide.buffer, wide.byteOffset).getUint32(0, true) : body[2]!;
      const isWanted = view.getUint32(4, true) === device && body[3] === RT_SCOPE_UNIVERSE &&
        (flags & IFA_F.PERMANENT) !== 0;
      const kept: number[] = [IFA.ADDRESS, IFA.LOCAL, IFA.BROADCAST];
      const attributes = all.filter(([type]) => kept.includes(type));
      return isWanted ? [{ family: body[0]!, prefixLength: body[1]!, flags, attributes }] : [];
    });
  }

  /** Moves a device to another network namespace, under this name; with `%d` in it the kernel finds a free one. */
  move(device: number, namespace: Fd, name: string): void {
    const body = [
      info(device),
      attribute(IFLA.NET_NS_FD, int32(namespace.raw)),
      attribute(IFLA.IFNAME, text(name)),
    ];
    this.#ask(`move a network device to be "${name}"`, RTM_NEWLINK, NLM_F.ACK, joined(body));
  }

  /** Brings a device up; by its index, or by a name that it gets in the same {@linkcode together}. */
  bringUp(device: number | string): void {
    this.request("bring a network device up", RTM_NEWLINK, ofDevice(device, IFF_UP));
  }

  /** Gives a device an address. */
  addAddress(device: number, { family, prefixLength, flags, attributes }: NetworkAddress): void {
    const kept = flags & (IFA_F.NODAD | IFA_F.HOMEADDRESS | IFA_F.MANAGETEMPADDR | IFA_F.NOPREFIXROUTE);
    const head = new Uint8Array(ADDRESS_INFO);
    head.set([family, prefixLength, kept & 0xff, RT_SCOPE_UNIVERSE]);
    new DataView(head.buffer).setUint32(4, device, true);
    const parts = attributes.map(([type, value]) => attribute(type, value));
    const body = joined([head, ...parts, attribute(IFA.FLAGS, int32(kept))]);
    const how = NLM_F.ACK | NLM_F.CREATE | NLM_F.EXCL;
    this.#ask("give a network device its address", RTM_NEWADDR, how, body);
  }

  /** Sends a request that the kernel only does or refuses. `how` are flags beside those of every request. */
  request(does: string, type: number, body: Uint8Array, how: number = 0): void {
    if (this.#waiting) this.#waiting.push({ does, type, body, how });
    else this.#ask(does, type, how | NLM_F.ACK, body);
  }

  /** The same, at once; false if it is refused with this error, for which no error is made. */
  tryRequest(does: string, type: number, body: Uint8Array, unless: number): boolean {
    return this.#ask(does, type, NLM_F.ACK, body, unless) !== REFUSED;
  }

  /**
   * Sends all requests that `act` makes in one message; the kernel does them in their order.
   *
   * @throws {SyscallError} for the first that it refuses; those behind it may be done.
   */
  together(act: () => void): void {
    const waiting: Waiting[] = this.#waiting = [];
    try {
      act();
    } finally {
      this.#waiting = undefined;
    }
    const last = waiting.at(-1);
    if (!last) return;
    const first = this.#sequence + 1;
    // Only the last is answered, unless one is refused.
    const messages = waiting.map((each) =>
      this.#message(each.type, each === last ? each.how | NLM_F.ACK : each.how, each.body)
    );
    const all = joined(messages);
    check(libc.write(this.#socket.raw, all, BigInt(all.length)), last.does);
    let refused: SyscallError | undefined;
    for (;;) {
      const length = check(libc.read(this.#socket.raw, BUFFER, BigInt(BUFFER_BYTES)), last.does);
      const view = new DataView(BUFFER.buffer);
      for (let at = 0; at + HEADER <= length; at += aligned(Math.max(view.getUint32(at, true), HEADER))) {
        const index = view.getUint32(at + 8, true) - first;
        const error = view.getUint16(at + 4, true) === NLMSG_ERROR ? -view.getInt32(at + HEADER, true) : 0;
        if (error !== 0) refused ??= new SyscallError(waiting[index]?.does ?? last.does, error);
        if (index !== waiting.length - 1) continue;
        if (refused) throw refused;
        return;
      }
    }
  }

  /** The index of the device of this name; nothing if there is none. */
  find(name: string): number | undefined {
    const body = joined([info(0), attribute(IFLA.IFNAME, text(name))]);
    const does = `look for network device "${name}"`;
    const [found] = this.#ask(does, RTM_GETLINK, NLM_F.ACK, body, ENODEV);
    return found && new DataView(found.buffer, found.byteOffset).getInt32(4, true);
  }

  /**
   * The index of a device that is there. Unlike {@linkcode find} it does not wait for whoever changes devices meanwhile,
   * but of one that is not there the kernel asks whether a module makes it.
   */
  indexOf(name: string): number | undefined {
    const request = new Uint8Array(IFREQ_BYTES);
    request.set(text(name));
    const ask = (): number => libc.ioctl(this.#socket.raw, SIOCGIFINDEX, request);
    if (unless([ENODEV], ask, "look for network device", name) === undefined) return undefined;
    return new DataView(request.buffer).getInt32(IFREQ_INDEX, true);
  }

  /** Sends a request and takes the answers, without their headers; {@linkcode REFUSED} if it is with the error `unless`. */
  #ask(
    does: string,
    type: number,
    flags: number,
    body: Uint8Array,
    unless?: number,
  ): readonly Uint8Array<ArrayBuffer>[] {
    const message = this.#message(type, flags, body);
    check(libc.write(this.#socket.raw, message, BigInt(message.length)), does);
    const answers: Uint8Array<ArrayBuffer>[] = [];
    for (;;) {
      const length = check(libc.read(this.#socket.raw, BUFFER, BigInt(BUFFER_BYTES)), does);
      const view = new DataView(BUFFER.buffer);
      for (let at = 0; at + HEADER <= length;) {
        const size = view.getUint32(at, true);
        const answer = view.getUint16(at + 4, true);
        if (answer === NLMSG_DONE) return answers;
        if (answer === NLMSG_ERROR) {
          const error = -view.getInt32(at + HEADER, true);
          if (error !== 0 && error === unless) return REFUSED;
          if (error !== 0) throw new SyscallError(does, error);
          return answers;
        }
        answers.push(BUFFER.slice(at + HEADER, at + size));
        at += aligned(Math.max(size, HEADER));
      }
    }
  }

  #message(type: number, flags: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
    const message = new Uint8Array(aligned(HEADER + body.length));
    const head = new DataView(message.buffer);
    head.setUint32(0, HEADER + body.length, true);
    head.setUint16(4, type, true);
    head.setUint16(6, flags | NLM_F.REQUEST, true);
    head.setUint32(8, ++this.#sequence, true);
    message.set(body, HEADER);
    return message;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** `struct ifinfomsg` for a device by its index or its name. */
export function ofDevice(device: number | string, flags?: number): Uint8Array {
  if (typeof device === "number") return info(device, flags);
  return joined([info(0, flags), attribute(IFLA.IFNAME, text(device))]);
}

/** The network namespace at a path such as `/proc/7/ns/net`. */
export function openNetwork(path: string): Fd {
  return open(path, 0);
}

/** The network namespace of this thread. */
export function ownNetwork(): Fd {
  return openNetwork("/proc/thread-self/ns/net");
}

/**
 * A socket for the devices of another network namespace. Only the calling thread enters it, and only for that moment:
 * nothing else can run on it meanwhile.
 */
export function routesOf(network: Fd): RouteSocket {
  using own = ownNetwork();
  check(libc.setns(network.raw, CLONE_NEWNET), "enter a network namespace");
  try {
    return new RouteSocket();
  } finally {
    check(libc.setns(own.raw, CLONE_NEWNET), "come back from a network namespace");
  }
}
