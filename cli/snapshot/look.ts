import {
  type Condition,
  diffSnapshots,
  explainSnapshot,
  findSnapshot,
  listSnapshots,
  type Snapshot,
  type SnapshotDifference,
  UsageError,
  verifySnapshot,
} from "../../mod.ts";
import type { Arguments } from "../args.ts";
import { print } from "../print.ts";
import { report } from "../report.ts";
import type { Act } from "./parts.ts";

const TITLES = ["SNAPSHOT", "CONTAINER", "CREATED", "PARENT", "SIZE", "TAGS"];
const SPACE = 3;

/** What only looks at the store. */
export const act: Readonly<Record<string, Act>> = {
  async ls(args, global): Promise<number> {
    const { snapshots, errors } = listSnapshots({ store: args.value("store") });
    for (const error of errors) report(error, global);
    await print(
      isJson(args) ? json(snapshots) : table([
        TITLES,
        ...snapshots.map(({ id, container, created, parent, sizes, tags }) => {
          return [
            id,
            container,
            created,
            parent ?? "-",
            sizeText(sizes.kept ?? sizes.total),
            tags.join(", ") || "-",
          ];
        }),
      ]),
    );
    return 0;
  },
  async show(args): Promise<number> {
    await print(json(findSnapshot(args.words[0]!, { store: args.value("store") })));
    return 0;
  },
  async verify(args, global): Promise<number> {
    const options = { store: args.value("store") };
    const all = args.words.length === 0 ? listSnapshots(options) : undefined;
    let code = all?.errors.length ? 1 : 0;
    for (const error of all?.errors ?? []) report(error, global);
    for (const name of all?.snapshots.map(({ id }) => id) ?? args.words) {
      try {
        await print(`${(await verifySnapshot(name, options)).id} is whole\n`);
      } catch (error) {
        code = report(error, global);
      }
    }
    return code;
  },
  async explain(args, { root, criu }): Promise<number> {
    const found = await explainSnapshot(args.words[0]!, {
      store: args.value("store"),
      bundle: args.value("bundle"),
      id: args.value("id"),
      root,
      criu,
    });
    const { snapshot, canBeRestored, conditions } = found;
    await print(
      isJson(args)
        ? json({ snapshot: snapshot.id, canBeRestored, conditions })
        : table(conditions.map(({ what, is, why }: Condition) => [what, is, why])) +
          `Snapshot ${snapshot.id} ${canBeRestored ? "can" : "cannot"} be restored here.\n`,
    );
    return canBeRestored ? 0 : 1;
  },
  async diff(args): Promise<number> {
    const [first, second] = args.words;
    const found = await diffSnapshots(first!, second!, { store: args.value("store") });
    await print(isJson(args) ? json(found) : differenceText(found));
    return 0;
  },
};

function differenceText({ files, memory }: SnapshotDifference): string {
  const mark = { added: "A", removed: "D", changed: "C" } as const;
  const lines = files.map(({ path, how, what }) =>
    `${mark[how]} /${path}${what ? ` (${what.join(", ")})` : ""}\n`
  );
  const pages = memory.map(({ name, pagesThen, pagesNow, pagesChanged }) => {
    return [name, `${pagesThen} → ${pagesNow} pages`, `${pagesChanged} of those in both changed`];
  });
  return lines.join("") + table(pages);
}

function isJson(args: Arguments): boolean {
  const format = args.value("format") ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UsageError(`Cannot use "${format}" for --format: write text or json`);
  }
  return format === "json";
}

function json(value: readonly Snapshot[] | object): string {
  return JSON.stringify(value, null, 2) + "\n";
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)) + SPACE) ??
    [];
  const last = widths.length - 1;
  return rows.map((row) => {
    return row.map((cell, column) => column === last ? cell : cell.padEnd(widths[column]!)).join("") + "\n";
  }).join("");
}

function sizeText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}
