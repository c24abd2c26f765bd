import { type ContainerState, listContainers, UsageError } from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import type { Command, Global } from "../main.ts";
import { print } from "../print.ts";

const help: CommandHelp = {
  name: "list",
  summary: "Lists all containers.",
  usage: ["[FLAGS]"],
  flags: [
    { name: "format", short: "f", value: "FORMAT", help: "table or json (default table)" },
    { name: "quiet", short: "q", help: "only the names" },
  ],
  examples: ["runtime list", "runtime list --format json"],
};

async function run(argv: readonly string[], { root }: Global): Promise<number> {
  const args = readArguments(help, argv);
  if (args.words.length > 0) throw new UsageError(`"list" requires no arguments; see "runtime list --help"`);
  const format = args.value("format") ?? "table";
  if (format !== "table" && format !== "json") throw new UsageError("invalid format option");
  const { containers, errors } = listContainers(root === undefined ? {} : { root });
  for (const { message } of errors) Deno.stderr.writeSync(new TextEncoder().encode(`runtime: ${message}\n`));
  if (args.has("quiet")) await print(containers.map(({ id }) => `${id}\n`).join(""));
  else await print(format === "json" ? json(containers) : table(containers));
  return 0;
}

function json(containers: readonly ContainerState[]): string {
  const owners = new Owners();
  const rows = containers.map(({ ownerId, ...state }) => ({ ...state, owner: owners.name(ownerId) }));
  return JSON.stringify(rows.length > 0 ? rows : null) + "\n";
}

const TITLES = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
/** Columns have at least this width, the space between them included. */
const [WIDTH, SPACE] = [12, 3];

function table(containers: readonly ContainerState[]): string {
  const owners = new Owners();
  const rows = containers.map(({ id, pid, status, bundle, created, ownerId }) => {
    return [id, String(pid), status, bundle, created, owners.name(ownerId)];
  });
  const all = [TITLES, ...rows];
  const widths = TITLES.map((_, column) => {
    return Math.max(WIDTH, ...all.map((row) => row[column]!.length + SPACE));
  });
  const last = TITLES.length - 1;
  return all.map((row) => {
    return row.map((cell, column) => column === last ? cell : cell.padEnd(widths[column]!)).join("") + "\n";
  }).join("");
}

/** Names of users, looked up once. */
class Owners {
  #names: Map<number, string> | undefined;

  /** The name of a user, `#` and the number if there is none. */
  name(id: number): string {
    return (this.#names ??= readNames()).get(id) ?? `#${id}`;
  }
}

function readNames(): Map<number, string> {
  try {
    const lines = Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":"));
    return new Map(lines.reverse().map(([name = "", , uid]) => [Number(uid), name]));
  } catch {
    return new Map();
  }
}

export const command: Command = { help, run };
