import {
  diffPlans,
  isShareable,
  type PlanDifference,
  planOf,
  readOverlay,
  readPolicy,
  type SandboxOptions,
  UsageError,
} from "../../mod.ts";
import { type CommandHelp, readArguments, readFallback } from "../args.ts";
import type { Command } from "../main.ts";
import { print } from "../print.ts";
import { hearing, readUntrusted, reportCuts, UNTRUSTED_FLAGS } from "../untrusted.ts";

const help: CommandHelp = {
  name: "plan",
  summary: "Shows every system call that a run of a bundle makes, in order, without making them.",
  usage: [
    "[--format text|json] DIR            the steps of one bundle",
    "[--format text|json] DIR DIR        how two bundles differ",
    "[--format text|json] -- PROGRAM …   the steps of a program's sandbox",
  ],
  flags: [
    { name: "format", value: "FORMAT", help: "text (default) or json" },
    { name: "policy", value: "POLICY", help: "permissive, default, strict or a file, as for run" },
    { name: "overlay", value: "KIND", help: "what lies over the rootfs: none, tmpfs or tmpfs:size=64m" },
    ...UNTRUSTED_FLAGS,
    { name: "fallback", value: "landlock", help: "the steps where user namespaces are forbidden" },
    { name: "landlock", help: "keep the program in its place by Landlock too" },
  ],
  examples: [
    "runtime plan bundles/hello",
    "runtime plan bundles/hello bundles/python",
    "runtime plan --format json bundles/hello",
  ],
};

async function run(argv: readonly string[]): Promise<number> {
  const args = readArguments(help, argv);
  const format = args.value("format") ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UsageError(`Cannot use "${format}" for --format: write text or json`);
  }
  const { words, rest } = args;
  const overlay = args.value("overlay");
  const fallback = readFallback(args.value("fallback"));
  const policyName = args.value("policy");
  const common: SandboxOptions = {
    ...readUntrusted(args),
    ...(args.has("landlock") && { landlock: true }),
    ...(policyName !== undefined && { policy: await readPolicy(policyName) }),
    ...(fallback && { fallback }),
  };
  const bundle = (path: string): SandboxOptions => ({
    ...hearing(common, format === "text" ? reportCuts : () => {}),
    bundle: path,
    ...(overlay !== undefined && { overlay: readOverlay(overlay, "--overlay") }),
  });
  if (rest && rest.length > 0 && words.length === 0) {
    const here = Deno.cwd();
    return await show(
      planOf({ ...common, command: rest, ...(isShareable(here) && { share: here }) }),
      format,
    );
  }
  const [first, second, ...more] = words;
  if (first === undefined || more.length > 0 || rest) {
    throw new UsageError(
      `Cannot plan "${argv.join(" ")}": name one bundle or two; see "runtime plan --help"`,
    );
  }
  if (second === undefined) return await show(planOf(bundle(first)), format);
  return await showDifference(diffPlans(planOf(bundle(first)), planOf(bundle(second))), format);
}

async function show(planned: ReturnType<typeof planOf>, format: string): Promise<number> {
  const { steps, text, imageBytes, cuts } = planned;
  const json = { imageBytes, ...(cuts.length > 0 && { cuts }), steps };
  await print(format === "json" ? JSON.stringify(json, null, 2) + "\n" : text);
  return 0;
}

async function showDifference(differences: readonly PlanDifference[], format: string): Promise<number> {
  const changed = differences.filter((each) => each.in !== "both");
  const marks = { first: "-", second: "+", both: " " } as const;
  const text = changed.map(({ in: where, step }) =>
    `${marks[where]} ${step.by.padEnd(9)} ${step.call}  # ${step.does}\n`
  ).join("");
  await print(format === "json" ? JSON.stringify({ differences: changed }, null, 2) + "\n" : text);
  return 0;
}

export const command: Command = { help, run };
