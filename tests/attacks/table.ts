import { isShown, type Row } from "./rows.ts";
import { SURFACE } from "./surface.ts";
import type { Verdict } from "./verdict.ts";

/**
 * The results as the part of docs/security.md between its marks.
 *
 * @param rows In the order in which they are listed.
 */
export function resultsText(rows: readonly Row[]): string {
  const shown = rows.filter(isShown);
  const closed = shown.filter(({ name }) => !(name in SURFACE));
  const hidden = rows.filter((row) => !isShown(row));
  const kinds = [...new Set(shown.map(({ kind }) => kind))];
  return [
    `${shown.length} attacks have their effect on the control; ${closed.length} of them have none under \`default\` and ` +
    `\`strict\`, ${shown.length - closed.length} stay open.`,
    ...kinds.map((kind) => classText(kind, shown.filter((row) => row.kind === kind))),
    `### What stays open\n`,
    ...shown.filter(({ name }) => name in SURFACE).map(({ name, tries }) =>
      `- **${name}** (${tries}): ${SURFACE[name]}.`
    ).join("\n").split("\u0000"),
    `### Not shown\n\nThese have no effect on the control of the machine that wrote this table, so that they prove nothing ` +
    `there; they are refused all the same.\n`,
    table(
      ["Attack", "Tries to", "Needs", "Control", "default", "strict"],
      hidden.map((row) => [
        row.name,
        row.tries,
        row.needs ?? "",
        row.verdicts.control.why,
        cell(row.verdicts.default),
        cell(row.verdicts.strict),
      ]),
    ),
  ].join("\n\n").replaceAll(/\n{3,}/g, "\n\n");
}

function classText(kind: string, rows: readonly Row[]): string {
  const body = rows.map(({ name, tries, verdicts }) => [
    name,
    tries,
    "fires",
    cell(verdicts.default),
    cell(verdicts.strict),
  ]);
  return `### ${kind}\n\n${table(["Attack", "Tries to", "Control", "default", "strict"], body)}`;
}

function cell({ state, why }: Verdict): string {
  return state === "closed" ? why : `**${state}**`;
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(heads), `|${"---|".repeat(heads.length)}`, ...rows.map(line)].join("\n");
}

/** Which attack is open and which closed, whatever the errno: what must be the same on every machine. */
export function statesOf(text: string): Map<string, string> {
  const rows = text.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| Attack"));
  return new Map(rows.map((row) => {
    const cells = row.split("|").map((each) => each.trim()).filter((each) => each !== "");
    return [cells[0]!, cells.slice(-2).map((each) => each === "**open**" ? "open" : "closed").join()];
  }));
}
