/** The value that the fraction `part` of `values` does not exceed, between neighbours by proportion. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const [low = NaN, high = low] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Ratios of two series that were measured in turns: noise that lasts longer than a turn cancels out in the second. */
export interface Ratio {
  readonly ofMedians: number;
  /** The median of the ratios within each turn. */
  readonly paired: number;
}

export function ratio(values: readonly number[], others: readonly number[]): Ratio {
  const turns = Math.min(values.length, others.length);
  const each = Array.from({ length: turns }, (_, turn) => values[turn]! / others[turn]!);
  return { ofMedians: median(values) / median(others), paired: median(each) };
}
