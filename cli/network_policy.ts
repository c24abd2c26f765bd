/** The two words of `runtime policy` that are about the network. */

import { loadNetworkPolicy, SpecError, type Trial, type TrialOptions, tryUrl, UsageError } from "../mod.ts";
import type { Arguments } from "./args.ts";
import { print } from "./print.ts";

/** `policy check FILE…`: every problem of every file, each on its line; 1 if there is any. */
export async function check(files: readonly string[]): Promise<number> {
  if (files.length === 0) throw new UsageError("Cannot check that: name at least one file");
  let wrong = 0;
  for (const file of files) {
    try {
      const { allow, deny } = await loadNetworkPolicy(file);
      await print(`${file}: ${counted(allow.length, "rule")} to allow, ${deny.length} to deny\n`);
    } catch (error) {
      if (!(error instanceof SpecError)) throw error;
      wrong++;
      await print(
        error.issues.map(({ pointer, message }) => `${file}: ${pointer || "/"}: ${message}\n`).join(""),
      );
    }
  }
  return wrong > 0 ? 1 : 0;
}

/** `policy test FILE URL…`: a verdict a line; 1 if any is to deny. */
export async function test(
  args: Arguments,
  words: readonly string[],
  format: "text" | "json",
): Promise<number> {
  const [file, ...urls] = words;
  if (file === undefined || urls.length === 0) throw new UsageError("Cannot test that: name a file and URLs");
  const [method, address] = [args.value("method"), args.value("address")];
  const options: TrialOptions = {
    ...(method === undefined ? {} : { method }),
    ...(address === undefined ? {} : { address }),
    headers: args.values("header").map(headerOf),
  };
  const policy = await loadNetworkPolicy(file);
  const trials = urls.map((url) => tryUrl(policy, url, options));
  await print(format === "json" ? JSON.stringify({ trials }, null, 2) + "\n" : trials.map(line).join(""));
  return trials.some(({ verdict }) => verdict === "deny") ? 1 : 0;
}

function line({ verdict, url, rule, reason, decidedAt, inspect }: Trial): string {
  return `${verdict.padEnd(5)}  ${url}  ${rule} at ${decidedAt}: ${reason}${
    inspect ? ", TLS is opened" : ""
  }\n`;
}

function headerOf(text: string): readonly [string, string] {
  const [, name, value] = /^([^:\s]+):[ \t]*(.*?)[ \t]*$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new UsageError(`Cannot use "${text}" for --header: write "Name: value"`);
  }
  return [name, value];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
