import { type AllowedBind, type Cut, cutLine, type SandboxOptions, UsageError } from "../mod.ts";
import type { Arguments, Flag } from "./args.ts";

/** How many cuts are told on the terminal; the record of a run has all. */
const MOST_LINES = 50;

/** The flags about bundles that nobody vouches for. */
export const UNTRUSTED_FLAGS: readonly Flag[] = [
  { name: "untrusted", help: "take the bundle's config.json for a request, and cut it down" },
  { name: "strict-request", help: "with --untrusted: refuse what asks for more instead" },
  {
    name: "allow-bind",
    value: "DIR",
    repeat: true,
    help: "with --untrusted: it may bind what lies in DIR, read-only unless DIR:rw",
  },
];

/**
 * What the flags say.
 *
 * @throws {UsageError} for those that mean nothing without `--untrusted`.
 */
export function readUntrusted(args: Arguments): Pick<SandboxOptions, "untrusted"> {
  const strict = args.has("strict-request");
  const binds = args.values("allow-bind").map(readAllowed);
  if (args.has("untrusted")) return { untrusted: { strict, ...(binds.length > 0 && { binds }) } };
  const flag = strict ? "--strict-request" : binds.length > 0 ? "--allow-bind" : undefined;
  if (flag) throw new UsageError(`Cannot use ${flag} on its own: it says how far --untrusted goes`);
  return {};
}

function readAllowed(text: string): AllowedBind {
  const [, path = text, mode] = /^(.+?):(rw|ro)$/.exec(text) ?? [];
  return { path, ...(mode === "rw" && { writable: true }) };
}

/** The same options; `onCuts` hears what is cut before anything is started. */
export function hearing(options: SandboxOptions, onCuts: (cuts: readonly Cut[]) => void): SandboxOptions {
  const { untrusted } = options;
  return typeof untrusted === "object" ? { ...options, untrusted: { ...untrusted, onCuts } } : options;
}

/** Says on stderr what was cut, a line each. */
export function reportCuts(cuts: readonly Cut[]): void {
  const lines = cuts.slice(0, MOST_LINES).map((cut) => `runtime: cut ${cutLine(cut)}\n`);
  if (cuts.length > MOST_LINES) lines.push(`runtime: cut ${cuts.length - MOST_LINES} more\n`);
  const bytes = new TextEncoder().encode(lines.join(""));
  for (let done = 0; done < bytes.length;) done += Deno.stderr.writeSync(bytes.subarray(done));
}
