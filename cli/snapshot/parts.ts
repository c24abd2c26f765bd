import type { Arguments, CommandHelp, Flag } from "../args.ts";
import { CRIU_FLAGS, LIGHT } from "../criu.ts";
import type { Global } from "../main.ts";

/** What a part of `snapshot` does; the number is the exit code. */
export type Act = (args: Arguments, global: Global) => Promise<number>;

/** A part of `snapshot`, loaded when it is called. */
export interface Part extends CommandHelp {
  /** How few and how many words there may be. */
  readonly words: readonly [least: number, most: number];
  readonly load: () => Promise<{ readonly act: Readonly<Record<string, Act>> }>;
}

const STORE: Flag = {
  name: "store",
  value: "DIR",
  help: "where snapshots are kept (default /var/lib/ai-sandbox/snapshots)",
};
const FORMAT: Flag = { name: "format", value: "text|json", help: "how the result is printed (default text)" };
const TAG: Flag = { name: "tag", value: "TAG", help: "a name for it, which another loses by that" };
const BUNDLE: Flag = {
  name: "bundle",
  short: "b",
  value: "DIR",
  help: "the bundle (default the one that it was taken under)",
};
/** Those that are about where images are do not go with a store. */
const CRIU = CRIU_FLAGS.filter(({ name }) => !["image-path", "auto-dedup", "lazy-pages"].includes(name));
const take = (): ReturnType<Part["load"]> => import("./take.ts");
const keep = (): ReturnType<Part["load"]> => import("./keep.ts");
const look = (): ReturnType<Part["load"]> => import("./look.ts");

function part(
  name: string,
  usage: string,
  summary: string,
  { flags = [], words, load, examples = [] }: Pick<Part, "words" | "load"> & Partial<CommandHelp>,
): [string, Part] {
  return [name, {
    name: `snapshot ${name}`,
    usage: [usage],
    summary,
    flags: [STORE, ...flags],
    examples,
    words,
    load,
  }];
}

/** The parts of `snapshot` by their names. */
export const PARTS: Readonly<Record<string, Part>> = Object.fromEntries([
  part(
    "create",
    "[FLAGS] ID",
    "Takes a snapshot of a running container; unless it is left running, it is gone then.",
    {
      flags: [
        TAG,
        LIGHT,
        { name: "leave-running", help: "let the container go on" },
        { name: "incremental", help: "keep only the pages of memory that its parent has not" },
        { name: "compress", help: "compress its memory: a fourth of the room, but slower to restore" },
        { name: "tcp-skip-in-flight", help: "leave out TCP connections that are not accepted yet" },
        { name: "link-remap", help: "keep files that have other names than the open one, which is gone" },
        ...CRIU,
      ],
      words: [1, 1],
      load: take,
      examples: ["runtime snapshot create --leave-running --tag before box1"],
    },
  ),
  part("ls", "[FLAGS]", "Lists all snapshots, the oldest first.", {
    flags: [FORMAT],
    words: [0, 0],
    load: look,
  }),
  part("show", "SNAPSHOT", "Prints what is known of a snapshot, as JSON.", { words: [1, 1], load: look }),
  part("tag", "SNAPSHOT TAG | --remove TAG", "Gives a snapshot one more name, or takes a name away.", {
    flags: [{ name: "remove", help: "take TAG away; the snapshot stays" }],
    words: [1, 2],
    load: keep,
  }),
  part("rm", "SNAPSHOT…", "Removes snapshots.", { words: [1, 1000], load: keep }),
  part(
    "prune",
    "[FLAGS]",
    "Removes the snapshots without a tag, and what commands that were killed have left.",
    {
      flags: [
        { name: "keep", value: "N", help: "let the N newest of each container stay" },
        { name: "dry-run", help: "only say which" },
      ],
      words: [0, 0],
      load: keep,
    },
  ),
  part(
    "verify",
    "[SNAPSHOT…]",
    "Compares all files of snapshots with what was written; of all without a name.",
    {
      words: [0, 1000],
      load: look,
    },
  ),
  part(
    "explain",
    "[FLAGS] SNAPSHOT",
    "Says whether a snapshot can be restored here, and why not; 1 if it cannot.",
    {
      flags: [
        FORMAT,
        BUNDLE,
        {
          name: "id",
          value: "ID",
          help: "the container that it would become (default the one it was taken of)",
        },
      ],
      words: [1, 1],
      load: look,
    },
  ),
  part("diff", "[FLAGS] SNAPSHOT SNAPSHOT", "Says how two snapshots differ: files first, then memory.", {
    flags: [FORMAT],
    words: [2, 2],
    load: look,
  }),
  part("export", "SNAPSHOT FILE", "Writes a snapshot to one file, a tar archive.", {
    words: [2, 2],
    load: keep,
  }),
  part(
    "import",
    "[FLAGS] FILE",
    "Takes a snapshot from a file that export has written, if all of it is right.",
    {
      flags: [TAG],
      words: [1, 1],
      load: keep,
    },
  ),
  part(
    "rewind",
    "[FLAGS] ID SNAPSHOT",
    "Takes a container back to a snapshot: what it has done since is lost.",
    {
      flags: [
        BUNDLE,
        { name: "pid-file", value: "FILE", help: "write the pid of its first process to FILE" },
        ...CRIU,
      ],
      words: [2, 2],
      load: take,
      examples: ["runtime snapshot rewind box1 before"],
    },
  ),
]);

/** The flags of all parts, each once. */
export function uniqueFlags(): Flag[] {
  const all = Object.values(PARTS).flatMap(({ flags }) => flags);
  return [...new Map(all.map((flag) => [flag.name, flag])).values()];
}
