import {
  auditLogPath,
  type AuditRecord,
  followAudit,
  LifecycleError,
  readAudit,
  UsageError,
  verifyAudit,
} from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import type { Command, Global } from "../main.ts";
import { print } from "../print.ts";

const help: CommandHelp = {
  name: "audit",
  summary:
    "Shows what a container asked of the network: each attempt, the verdict, and the rule that decided.",
  usage: ["[--follow] [--format text|json] ID", "--verify [--format text|json] ID"],
  flags: [
    { name: "follow", short: "f", help: "go on with what comes, until it is interrupted" },
    { name: "verify", help: "say whether anything is missing or changed; 1 if so" },
    { name: "format", value: "FORMAT", help: "text (default) or json: the lines of the log" },
  ],
  examples: [
    "runtime audit box1",
    "runtime audit --follow --format json box1",
    "runtime audit --verify box1",
  ],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const args = readArguments(help, argv);
  const [id, ...more] = args.words;
  if (id === undefined || more.length > 0 || args.rest) {
    throw new UsageError("Cannot show that: name one container");
  }
  if (args.has("follow") && args.has("verify")) throw new UsageError("Cannot follow and verify at once");
  const format = args.value("format") ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UsageError(`Cannot use "${format}" for --format: write text or json`);
  }
  const path = auditLogPath(id, global.root);
  try {
    if (args.has("verify")) return await verify(path, format);
    const records = args.has("follow") ? followAudit(path) : readAudit(path);
    for await (const record of records) {
      await print(format === "json" ? `${JSON.stringify(record)}\n` : line(record));
    }
    return 0;
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new LifecycleError(`Cannot show the audit of "${id}": it has none, for it has no network policy`, {
      cause,
    });
  }
}

async function verify(path: string, format: "text" | "json"): Promise<number> {
  const found = await verifyAudit(path);
  if (format === "json") await print(`${JSON.stringify(found)}\n`);
  else if (found.whole) await print(`whole: ${found.records} records, the last is ${found.sequence}\n`);
  else await print(`broken at ${found.sequence}: ${found.reason}\n`);
  return found.whole ? 0 : 1;
}

/** What a person wants to know of a record, in one line. */
function line(record: AuditRecord): string {
  const { time, verdict, kind, rule, reason, method, path, status, count } = record;
  const where = [method, `${aim(record)}${path ?? ""}`].filter(Boolean).join(" ");
  const words = [
    time,
    verdict.padEnd(5),
    kind.padEnd(7),
    ...(where ? [where] : []),
    ...(status === undefined ? [] : [String(status)]),
    `(${rule}${reason === undefined ? "" : `: ${reason}`})`,
    ...(count === undefined ? [] : [`×${count}`]),
  ];
  return `${harmless(words.join("  "))}\n`;
}

function aim({ name, address, port, protocol }: AuditRecord): string {
  const host = name ?? (address?.includes(":") ? `[${address}]` : address) ?? "";
  return `${protocol ? `${protocol}://` : ""}${host}${port === undefined ? "" : `:${port}`}`;
}

/** A name must not steer the reader's terminal. */
function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`);
}

export const command: Command = { help, run };
