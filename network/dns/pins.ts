/** Names and addresses that a sandbox may hold at once. */
const MOST_NAMES = 4096;
const MOST_ADDRESSES = 16384;

/** Which names an address was told for: what a connection to it may be about. */
export class Pins {
  /** By address, the time at which each name ends. */
  readonly #names = new Map<string, Map<string, number>>();
  #count = 0;

  /** Adds a name of these addresses; with too many, those that were told longest ago end first. */
  add(name: string, addresses: readonly string[], untilMs: number): void {
    for (const address of addresses) {
      const names = this.#names.get(address) ?? new Map<string, number>();
      this.#names.delete(address); // to stand last
      this.#names.set(address, names);
      if (!names.has(name)) this.#count++;
      names.set(name, Math.max(untilMs, names.get(name) ?? 0));
      if (names.size > MOST_NAMES) this.#drop(address, names.keys().next().value!);
    }
    while (this.#count > MOST_ADDRESSES) {
      const [address, names] = this.#names.entries().next().value!;
      this.#drop(address, names.keys().next().value!);
    }
  }

  /** The names that an address stands for now. */
  namesOf(address: string, nowMs: number): string[] {
    const names = this.#names.get(address);
    if (names === undefined) return [];
    for (const [name, untilMs] of names) if (untilMs < nowMs) this.#drop(address, name);
    return [...names.keys()];
  }

  /** Each name with its addresses, and when the first of them ends. */
  all(nowMs: number): [name: string, addresses: string[], untilMs: number][] {
    const byName = new Map<string, [string, string[], number]>();
    for (const [address, names] of this.#names) {
      for (const [name, untilMs] of names) {
        if (untilMs < nowMs) continue;
        const one = byName.get(name) ?? [name, [], untilMs];
        one[1].push(address);
        one[2] = Math.min(one[2], untilMs);
        byName.set(name, one);
      }
    }
    return [...byName.values()];
  }

  #drop(address: string, name: string): void {
    const names = this.#names.get(address);
    if (names?.delete(name)) this.#count--;
    if (names?.size === 0) this.#names.delete(address);
  }
}
