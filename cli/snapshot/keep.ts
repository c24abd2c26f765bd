import {
  exportSnapshot,
  importSnapshot,
  pruneSnapshots,
  removeSnapshot,
  tagSnapshot,
  untagSnapshot,
  UsageError,
} from "../../mod.ts";
import { count } from "../args.ts";
import { print } from "../print.ts";
import type { Act } from "./parts.ts";

/** What changes the store. */
export const act: Readonly<Record<string, Act>> = {
  async tag(args): Promise<number> {
    const options = { store: args.value("store") };
    const [first, second] = args.words;
    if (args.has("remove") !== (second === undefined)) {
      throw new UsageError(`Cannot tag that: write SNAPSHOT TAG, or --remove TAG`);
    }
    if (second === undefined) await untagSnapshot(first!, options);
    else await tagSnapshot(first!, second, options);
    return 0;
  },
  async rm(args): Promise<number> {
    for (const name of args.words) {
      await print(`${(await removeSnapshot(name, { store: args.value("store") })).id}\n`);
    }
    return 0;
  },
  async prune(args): Promise<number> {
    const keep = args.value("keep");
    const removed = await pruneSnapshots({
      store: args.value("store"),
      keep: keep === undefined ? 0 : count(keep, "keep", 1),
      dryRun: args.has("dry-run"),
    });
    await print(removed.map(({ id }) => `${id}\n`).join(""));
    return 0;
  },
  async export(args): Promise<number> {
    await exportSnapshot(args.words[0]!, args.words[1]!, { store: args.value("store") });
    return 0;
  },
  async import(args): Promise<number> {
    const { id } = await importSnapshot(args.words[0]!, {
      store: args.value("store"),
      tag: args.value("tag"),
    });
    await print(`${id}\n`);
    return 0;
  },
};
