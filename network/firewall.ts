import { Nftables, NftablesError } from "../ffi/nftables.ts";
import {
  admit,
  type Admitted,
  dismiss,
  noTables,
  type Pin,
  pins,
  proxyPorts,
  tables,
  unpins,
} from "./firewall_rules.ts";
import type { NetworkSettings } from "./settings.ts";

/** How many pins go to the kernel at once. */
const MOST_AT_ONCE = 256;

/** The packet filter of a network, in the network namespace of this process. */
export class Firewall implements Disposable {
  readonly #nft = new Nftables();
  constructor(readonly settings: NetworkSettings) {}

  /**
   * Puts the tables into the kernel, in place of those that are there.
   *
   * @param sandboxes Those that are on the network.
   */
  install(sandboxes: readonly Admitted[]): void {
    const elements = sandboxes.map((each) => admit(this.settings, each));
    this.#nft.run([tables(this.settings), ...elements].join("\n"));
  }

  /** Whether the tables are there; somebody may flush all of nftables. */
  get isInstalled(): boolean {
    try {
      this.#nft.list(`list chain inet ${this.settings.table} input`);
      this.#nft.list(`list chain bridge ${this.settings.table} own`);
      return true;
    } catch (error) {
      if (error instanceof NftablesError) return false;
      throw error;
    }
  }

  /** Takes the tables out of the kernel. */
  uninstall(): void {
    this.#nft.run(noTables(this.settings));
  }

  /** Lets a sandbox be on the network. @throws {NftablesError} */
  admit(sandbox: Admitted): void {
    this.#nft.run(admit(this.settings, sandbox));
  }

  /** Takes away all that was added for a sandbox, pins of UDP included; harmless if it is not there. */
  dismiss(sandbox: Admitted): void {
    try {
      this.#nft.run(dismiss(this.settings, sandbox));
      for (const address of [sandbox.address, sandbox.ipv6]) if (address) this.unpinAll(address);
    } catch (error) {
      if (!(error instanceof NftablesError && error.isMissing)) throw error; // no tables: nothing is in them
    }
  }

  /** Tells the kernel where the proxy listens: from now on connections go there. */
  usePorts(ports: { readonly tcpPort: number; readonly dnsPort: number }): void {
    this.#nft.run(proxyPorts(this.settings, ports));
  }

  /** Lets a sandbox reach addresses: TCP by way of the proxy, UDP directly. A pin that is there lasts longer by this. */
  pin(...all: readonly Pin[]): void {
    for (const some of portions(all)) this.#nft.run(pins(this.settings, some));
  }

  /** Takes pins away; harmless if they are not there. */
  unpin(...all: readonly Omit<Pin, "ttlS">[]): void {
    for (const some of portions(all)) this.#nft.run(unpins(this.settings, some));
  }

  /** The pins of one of a sandbox's addresses. */
  pinsOf(sandbox: string): Omit<Pin, "ttlS">[] {
    const set = `pins${sandbox.includes(":") ? 6 : 4}`;
    const found = this.#nft.list(`list set inet ${this.settings.table} ${set}`) as Listing;
    const elements = found.nftables?.find((each) => each.set)?.set?.elem ?? [];
    return elements.flatMap((each) => pinOf("elem" in each ? each.elem.val : each) ?? [])
      .filter((pin) => pin.sandbox === sandbox);
  }

  /** Takes all pins of one of a sandbox's addresses away. */
  unpinAll(sandbox: string): void {
    this.unpin(...this.pinsOf(sandbox));
  }

  [Symbol.dispose](): void {
    this.#nft[Symbol.dispose]();
  }
}

type Part = string | number | { prefix: { addr: string; len: number } } | {
  range: [number | string, number | string];
};
interface Value {
  readonly concat: readonly Part[];
}
interface Listing {
  readonly nftables?: readonly {
    readonly set?: { readonly elem?: readonly (Value | { elem: { val: Value } })[] };
  }[];
}

function pinOf({ concat }: Value): Omit<Pin, "ttlS"> | undefined {
  if (!Array.isArray(concat) || concat.length !== 4) return undefined;
  const [sandbox, address, protocol, ports] = concat as [Part, Part, Part, Part];
  if (typeof ports === "string") return undefined;
  const [first, last] = typeof ports === "number"
    ? [ports, ports]
    : "range" in ports
    ? ports.range.map(Number)
    : [0, 65535];
  return {
    sandbox: plain(sandbox),
    address: plain(address),
    protocol: protocol === "udp" ? "udp" : "tcp",
    first: first!,
    last: last!,
  };
}

function plain(part: Part): string {
  if (typeof part !== "object") return String(part);
  return "prefix" in part ? `${part.prefix.addr}/${part.prefix.len}` : part.range.join("-");
}

function* portions<Each>(all: readonly Each[]): Iterable<readonly Each[]> {
  for (let at = 0; at < all.length; at += MOST_AT_ONCE) yield all.slice(at, at + MOST_AT_ONCE);
}
