import type { Pin } from "./firewall_elements.ts";
import { type Cidr, isWithin, parseCidr } from "./policy/cidr.ts";
import { portsWithout } from "./policy/ports.ts";

/**
 * The same ways in pieces that do not overlap, as the firewall wants them: it takes none that shares something with one
 * that it has. What lasts longer and what leads to more addresses stays whole.
 *
 * @param there What is in the firewall already; what that lets through is left out.
 */
export function apart<Each extends Pin>(all: readonly Each[], there: readonly Pin[] = []): Each[] {
  const known = there.flatMap((pin) => blocked(pin) ?? []);
  const pieces: Each[] = [];
  for (const each of all.flatMap((pin) => blocked(pin) ?? []).sort(widestFirst)) {
    const { pin, block } = each;
    const covering = known.filter((one) => isAlike(one.pin, pin) && isWithin(block, one.block));
    const left = portsWithout([pin], covering.map((one) => one.pin));
    known.push(...left.map(({ first, last }) => ({ pin: { ...pin, first, last }, block })));
    pieces.push(...left.map(({ first, last }) => ({ ...pin, first, last })));
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

function isAlike(one: Pin, other: Pin): boolean {
  return one.sandbox === other.sandbox && one.protocol === other.protocol;
}
