import { fromFileUrl } from "@std/path";
import type { Choice, Outcome } from "./sweep.ts";

const PART = fromFileUrl(import.meta.resolve("./part.ts"));
const CONFIG = fromFileUrl(import.meta.resolve("../../deno.json"));

/** Options of {@linkcode sweepInParts}. */
export interface PartsOptions extends Omit<Choice, "part"> {
  /** The runtime that is tried. */
  readonly program: readonly string[];
  /** Hears what came of each point. */
  readonly hear: (outcome: Outcome) => void;
}

/** Tries points in several processes at once. What the runtime keeps for later commands is kept apart from the host's. */
export async function sweepInParts({ hear, ...options }: PartsOptions): Promise<void> {
  const parts = Array.from({ length: options.parts }, (_, part) => sweepPart({ ...options, part }, hear));
  await Promise.all(parts);
}

async function sweepPart(
  choice: Choice & Pick<PartsOptions, "program">,
  hear: PartsOptions["hear"],
): Promise<void> {
  const script = 'mkdir -p /run/ai-sandbox && mount -t tmpfs tmpfs /run/ai-sandbox && exec "$@"';
  const deno = [Deno.execPath(), "run", "--quiet", "--no-check", "--config", CONFIG, "-A", PART];
  const child = new Deno.Command("unshare", {
    args: ["--mount", "/bin/sh", "-c", script, "sh", ...deno, JSON.stringify(choice)],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(child.stderr).text();
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) hear(JSON.parse(line));
  }
  const { code } = await child.status;
  if (code !== 0) throw new Error(`A part of the sweep ended with ${code}: ${(await stderr).trim()}`);
}
