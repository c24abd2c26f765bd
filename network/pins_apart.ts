import type { Pin } from "./firewall_elements.ts";
import { type Cidr, cidrOf, parseCidr } from "./policy/cidr.ts";
import { portsWithout } from "./policy/ports.ts";

/**
 * The same ways in pieces that do not overlap, as the firewall wants them: it takes none that shares something with one
 * that it has. What lasts longer and what leads to more addresses stays whole.
 *
 * @param there What is in the firewall already; what that lets through is left out.
 */
export function apart<Each extends Pin>(all: readonly Each[], there: readonly Pin[] = []): Each[] {
  const known = new Known();
  for (const pin of there) known.add(pin, parseCidr(pin.address));
  const pieces: Each[] = [];
  for (const each of all.flatMap((pin) => blocked(pin) ?? []).sort(widestFirst)) {
    const { pin, block } = each;
    for (const { first, last } of portsWithout([pin], known.covering(pin, block))) {
      const piece = { ...pin, first, last };
      known.add(piece, block);
      pieces.push(piece);
    }
  }
  return pieces;
}

interface Blocked<Each> {
  readonly pin: Each;
  readonly block: Cidr;
}

function blocked<Each extends Pin>(pin: Each): Blocked<Each> | undefined {
  const block = parseCidr(pin.address);
  return block && { pin, block };
}

/** One that comes later is never wider than what it is compared with. */
function widestFirst(one: Blocked<Pin>, other: Blocked<Pin>): number {
  return one.block.prefix - other.block.prefix ||
    (other.pin.ttlS ?? Number.MAX_VALUE) - (one.pin.ttlS ?? Number.MAX_VALUE);
}

/** Ways by their blocks: to look at each of them for each other one would take seconds where there are thousands. */
class Known {
  readonly #prefixes = new Set<number>();
  readonly #pins = new Map<string, Pin[]>();

  add(pin: Pin, block: Cidr | undefined): void {
    if (!block) return;
    this.#prefixes.add(block.prefix);
    const key = keyOf(pin, block);
    const pins = this.#pins.get(key);
    if (pins) pins.push(pin);
    else this.#pins.set(key, [pin]);
  }

  /** Those of the same sandbox and protocol that lead to all of a block. */
  covering(pin: Pin, block: Cidr): Pin[] {
    const wider = [...this.#prefixes].filter((prefix) => prefix <= block.prefix);
    return wider.flatMap((prefix) =>
      this.#pins.get(keyOf(pin, cidrOf({ ...block, text: "" }, prefix))) ?? []
    );
  }
}

function keyOf({ sandbox, protocol }: Pin, { family, value, prefix }: Cidr): string {
  return `${sandbox} ${protocol} ${family} ${value}/${prefix}`;
}
