import { median, quantile, type Ratio, ratio } from "./stats.ts";

/** One table; cells are aligned, numbers to the right. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Something measured that must not exceed `limit`. */
export interface Target {
  readonly what: string;
  readonly measured: number;
  readonly limit: number;
  readonly unit: "×" | "ms" | "ns" | "KiB";
  /** More that should be known of it. */
  readonly aside?: string;
}

/** What one bench found. */
export interface Section {
  readonly title: string;
  readonly tables: readonly Table[];
  readonly targets: readonly Target[];
  readonly notes: readonly string[];
}

/** `a` measured against `b`, in turns; the ratio of the medians must not exceed `limit`. */
export function ratioTarget(what: string, a: readonly number[], b: readonly number[], limit: number): Target {
  const found: Ratio = ratio(a, b);
  return { what, measured: found.ofMedians, limit, unit: "×", aside: `paired ${found.paired.toFixed(2)}×` };
}

/** Median, 95th percentile and least of times in milliseconds, as cells. */
export function timeCells(values: readonly number[]): string[] {
  return [median(values), quantile(values, 0.95), Math.min(...values)].map(ms);
}

export function ms(value: number): string {
  return value.toFixed(value < 1 ? 3 : 2);
}

/** A section as markdown that also reads well as plain text. */
export function markdown({ title, tables, targets, notes }: Section): string {
  const parts = [`## ${title}`, ...tables.map(tableText)];
  if (targets.length > 0) {
    const rows = targets.map(({ what, measured, limit, unit, aside }) => [
      measured <= limit ? "met" : "MISSED",
      what,
      amount(measured, unit),
      `≤ ${amount(limit, unit)}`,
      aside ?? "",
    ]);
    parts.push(tableText({ head: ["target", "what", "measured", "limit", "aside"], rows }));
  }
  if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join("\n"));
  return parts.join("\n\n") + "\n";
}

function amount(value: number, unit: Target["unit"]): string {
  return unit === "×"
    ? `${value.toFixed(2)}×`
    : unit === "ms"
    ? `${ms(value)} ms`
    : `${value.toFixed(0)} ${unit}`;
}

function tableText({ head, rows }: Table): string {
  const all = [head, ...rows];
  const numeric = head.map((_, column) => rows.every((row) => /^[−\d.]*$/.test(row[column] ?? "")));
  // As narrow as `deno fmt` wants it.
  const widths = head.map((_, column) =>
    Math.max(...all.map((row) => [...row[column] ?? ""].length), numeric[column] ? 2 : 1)
  );
  const line = (row: readonly string[]): string => {
    const cells = widths.map((width, column) => {
      const cell = row[column] ?? "";
      const gap = " ".repeat(width - [...cell].length);
      return numeric[column] ? gap + cell : cell + gap;
    });
    return `| ${cells.join(" | ")} |`;
  };
  const rule = widths.map((width, column) => "-".repeat(width - 1) + (numeric[column] ? ":" : "-"));
  return [line(head), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n");
}
