import { containerEvents, containerStats, exactJson, UsageError } from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import { containerArguments } from "../containers.ts";
import type { Command, Global } from "../main.ts";
import { print } from "../print.ts";

const help: CommandHelp = {
  name: "events",
  summary: "Prints what a container uses, and when it is out of memory, as lines of JSON until it ends.",
  usage: ["[FLAGS] ID"],
  flags: [
    { name: "interval", value: "TIME", help: "how often there are figures, such as 500ms (default 5s)" },
    { name: "stats", help: "print the figures once, and end" },
  ],
  examples: ["runtime events --stats box1", "runtime events --interval 1s box1"],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { args, id, store } = containerArguments(help, argv, global);
  const intervalMs = milliseconds(args.value("interval") ?? "5s");
  if (args.has("stats")) {
    await print(exactJson({ type: "stats", id, data: containerStats(id, store) }) + "\n");
    return 0;
  }
  for await (const event of containerEvents(id, { ...store, intervalMs })) {
    await print(exactJson(event) + "\n");
  }
  return 0;
}

const UNIT_MS = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** A duration as Go's programs read it: `1m30s`, `1.5s`, `100ms`. */
function milliseconds(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length > 0 && parts.map(([all]) => all).join("") === text) {
    return parts.reduce(
      (sum, [, number, unit]) => sum + Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS],
      0,
    );
  }
  if (/^[-+]?0$/.test(text) || text.startsWith("-")) {
    throw new UsageError("duration interval must be greater than 0");
  }
  throw new UsageError(`invalid value "${text}" for flag -interval: parse error`);
}

export const command: Command = { help, run };
