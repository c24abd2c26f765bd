import { SyscallError } from "../ffi/errno.ts";
import { isChain } from "../ffi/nft_chain.ts";
import { changeElements } from "../ffi/nft_elements.ts";
import { Nftables, NftablesError } from "../ffi/nftables.ts";
import { admit, type Admitted, dismiss, type Pin, pins, unpins } from "./firewall_elements.ts";
import { noTables, proxyPorts, tables } from "./firewall_rules.ts";
import type { NetworkSettings } from "./settings.ts";

/** How many pins go to the kernel at once. */
const MOST_AT_ONCE = 256;
const [ENOENT, EEXIST] = [2, 17];

/** The packet filter of a network, in the network namespace of this process. */
export class Firewall {
  constructor(readonly settings: NetworkSettings) {}

  /** For what takes words: tables and rules. Elements of sets go to the kernel as they are. */
  get #nft(): Nftables {
    return Nftables.kept;
  }

  /**
   * Puts the tables into the kernel, in place of those that are there.
   *
   * @param sandboxes Those that are on the network.
   */
  install(sandboxes: readonly Admitted[]): void {
    this.#nft.run(tables(this.settings));
    try {
      changeElements(sandboxes.flatMap((each) => admit(this.settings, each)));
    } catch (error) {
      this.uninstall(); // the next one tries again
      throw error;
    }
  }

  /** Whether the tables are there; somebody may flush all of nftables. */
  get isInstalled(): boolean {
    const { table } = this.settings;
    return isChain("inet", table, "input") && isChain("bridge", table, "own");
  }

  /** Takes the tables out of the kernel. */
  uninstall(): void {
    this.#nft.run(noTables(this.settings));
  }

  /** Lets a sandbox be on the network. @throws {SyscallError} */
  admit(sandbox: Admitted): void {
    changeElements(admit(this.settings, sandbox));
  }

  /** Takes away all that was added for a sandbox but its pins: it sends nothing more. Harmless if it is not there. */
  dismiss(sandbox: Admitted): void {
    unlessMissing(() => changeElements(dismiss(this.settings, sandbox)));
  }

  /** Tells the kernel where the proxy listens: from now on connections go there. */
  usePorts(ports: { readonly tcpPort: number; readonly dnsPort: number }): void {
    this.#nft.run(proxyPorts(this.settings, ports));
  }

  /** Lets a sandbox reach addresses: TCP by way of the proxy, UDP directly. A pin that is there lasts longer by this. */
  pin(...all: readonly Pin[]): void {
    for (const some of portions(all)) changeElements(pins(this.settings, some));
  }

  /** Takes pins away; harmless if they are not there. */
  unpin(...all: readonly Omit<Pin, "ttlS">[]): void {
    for (const some of portions(all)) unlessMissing(() => changeElements(unpins(this.settings, some)));
  }

  /** Takes all pins of one of a sandbox's addresses away; harmless if there are none. */
  unpinAll(address: string): void {
    unlessMissing(() => this.unpin(...this.pinsOf(address)));
  }

  /** Puts pins in place of all that some of a sandbox's addresses have: at no moment is one missing that stays. */
  repin(addresses: readonly string[], all: readonly Pin[]): void {
    const before = addresses.flatMap((address) => this.pinsOf(address));
    if (before.length + all.length === 0) return;
    changeElements([...unpins(this.settings, before), ...pins(this.settings, all)]);
  }

  /** The pins of one of a sandbox's addresses. */
  pinsOf(sandbox: string): Omit<Pin, "ttlS">[] {
    return ["exact", "pins"].flatMap((name) => {
      const set = `${name}${sandbox.includes(":") ? 6 : 4}`;
      const found = this.#nft.list(`list set inet ${this.settings.table} ${set}`) as Listing;
      const elements = found.nftables?.find((each) => each.set)?.set?.elem ?? [];
      return elements.flatMap((each) => pinOf("elem" in each ? each.elem.val : each) ?? []);
    }).filter((pin) => pin.sandbox === sandbox);
  }
}

/** Whether the firewall refused something because it is there already, for this sandbox or another. */
export function isThere(error: unknown): boolean {
  return error instanceof SyscallError && error.errno === EEXIST;
}

/** Where there are no tables, nothing is in them. */
function unlessMissing(act: () => void): void {
  try {
    act();
  } catch (error) {
    const isMissing = error instanceof NftablesError
      ? error.isMissing
      : error instanceof SyscallError && error.errno === ENOENT;
    if (!isMissing) throw error;
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
