/** Numbers that look random and are the same in each run (mulberry32). */
export function randomOf(seed: number): {
  /** From 0 to below `end`, which is at most 2^32. */
  readonly integer: (end: number) => number;
  readonly pick: <T>(list: readonly T[]) => T;
  readonly chance: (part: number) => boolean;
} {
  let state = seed;
  const next = (): number => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
  const integer = (end: number): number => Math.floor(next() * end);
  return { integer, pick: (list) => list[integer(list.length)]!, chance: (part) => next() < part };
}
