import {
  type CallGroup,
  differences,
  exceptionText,
  outcomes,
  outcomeText,
  type Policy,
  POLICY_NAMES,
  readPolicy,
  UsageError,
} from "../../mod.ts";
import { type Arguments, type CommandHelp, readArguments } from "../args.ts";
import type { Command } from "../main.ts";
import { print } from "../print.ts";

const help: CommandHelp = {
  name: "policy",
  summary: "Shows what policies allow and why, and how they differ; checks and tries those of the network.",
  usage: [
    "                                        the policies that come along",
    "show [--format text|json] POLICY        what one allows, with the reasons",
    "diff [--format text|json] POLICY POLICY what they see differently",
    "learn [FLAGS] -- PROGRAM [ARG…]         the smallest one that a program needs",
    "check FILE…                             whether these are policies of the network",
    "test [FLAGS] FILE URL…                  what such a policy says about requests, and by which rule",
  ],
  flags: [
    { name: "format", value: "FORMAT", help: "text (default) or json" },
    { name: "method", value: "METHOD", help: "test: the method of the requests (default GET)" },
    {
      name: "header",
      value: "HEADER",
      repeat: true,
      help: 'test: one of their headers, as "Name: value"; may be repeated',
    },
    { name: "address", value: "ADDRESS", help: "test: what their names are resolved to" },
  ],
  examples: [
    "runtime policy show strict",
    "runtime policy diff default strict",
    "runtime policy show --format json default > mine.json",
    "runtime policy learn -o agent.yaml -- python3 agent.py",
    "runtime policy test net.yaml https://api.example.com/v1 --method POST",
    "runtime policy learn --from agent.yaml -o agent.yaml -- python3 agent.py --verbose",
  ],
};

const WIDTH = 100;

async function run(argv: readonly string[]): Promise<number> {
  if (argv[0] === "learn") return await (await import("./policy_learn.ts")).learnCommand(argv.slice(1));
  const args = readArguments(help, argv);
  const [what, ...names] = args.words;
  if (args.rest) throw new UsageError(`Cannot use "--": see "runtime policy --help"`);
  switch (what) {
    case undefined:
    case "list":
      await print((await Promise.all(POLICY_NAMES.map(readPolicy))).map(summary).join(""));
      return 0;
    case "show":
      return await show(args, names);
    case "diff":
      return await diff(args, names);
    case "check":
      return await (await import("../network_policy.ts")).check(names);
    case "test":
      return await (await import("../network_policy.ts")).test(args, names, formatOf(args));
    default:
      throw new UsageError(
        `Cannot do "policy ${what}": it is show, diff, learn, check or test; see "runtime policy --help"`,
      );
  }
}

function summary({ name, description }: Policy): string {
  return `${name.padEnd(12)}${description}\n`;
}

async function show(args: Arguments, names: readonly string[]): Promise<number> {
  const [name, ...more] = names;
  if (name === undefined || more.length > 0) throw new UsageError("Cannot show that: name one policy");
  const policy = await readPolicy(name);
  await print(formatOf(args) === "json" ? json(policy) : text(policy));
  return 0;
}

async function diff(args: Arguments, names: readonly string[]): Promise<number> {
  const [first, second, ...more] = names;
  if (first === undefined || second === undefined || more.length > 0) {
    throw new UsageError("Cannot compare that: name two policies");
  }
  const found = differences(await readPolicy(first), await readPolicy(second));
  const width = Math.max(0, ...found.map(({ about }) => about.length));
  const lines = found.map(({ about, first, second }) => `${about.padEnd(width)}  ${first} → ${second}\n`);
  await print(formatOf(args) === "json" ? json({ differences: found }) : lines.join(""));
  return 0;
}

function formatOf(args: Arguments): "text" | "json" {
  const format = args.value("format") ?? "text";
  if (format === "text" || format === "json") return format;
  throw new UsageError(`Cannot use "${format}" for --format: write text or json`);
}

/** Policies can be read back from it: the numbers of conditions are written as they are in files. */
function json(value: unknown): string {
  const hex = (_: string, each: unknown): unknown =>
    typeof each === "bigint" ? `0x${each.toString(16)}` : each;
  return JSON.stringify(value, hex, 2) + "\n";
}

function text(policy: Policy): string {
  const { capabilities, sockets, namespaces, userNamespace, maskedPaths, readonlyPaths } = policy;
  const { rlimits, userLimits, landlock, attest, seccomp, files, ports, oomScoreAdj, resources } = policy;
  const limits = Object.entries(userLimits?.limits ?? {}).map(([key, value]) => `user.${key} ${value}`);
  return [
    `${policy.name}: ${policy.description}\n`,
    part("user namespace", userNamespace.own ? ["its own"] : ["as the bundle says"], userNamespace.reason),
    part("own namespaces", namespaces.own, namespaces.reason),
    part("capabilities at most", capabilities.allow, capabilities.reason),
    sockets ? part("sockets", [...sockets.families, ...sockets.netlink], sockets.reason) : "",
    part("masked paths", maskedPaths.paths, maskedPaths.reason),
    part("read-only paths", readonlyPaths.paths, readonlyPaths.reason),
    part("limits", rlimits.limits.map(({ type, soft, hard }) => `${type} ${soft}:${hard}`), rlimits.reason),
    resources ? part("of the machine at most", resourceWords(resources), resources.reason) : "",
    oomScoreAdj ? part("oom_score_adj at least", [String(oomScoreAdj.least)], oomScoreAdj.reason) : "",
    userLimits ? part("limits of its users", limits, userLimits.reason) : "",
    ...(files ? (["read", "list", "write", "execute"] as const) : []).map((use) =>
      part(`files to ${use}`, files![use], files!.reason)
    ),
    ...(ports ? (["connect", "bind"] as const) : []).map((use) =>
      part(`TCP ports to ${use}`, ports![use].map(String), ports!.reason)
    ),
    part("Landlock", [landlock ? "on, where the kernel has it" : "off"], ""),
    part("attestation before the program begins", [attest ? "on" : "off"], ""),
    part("system calls that no group names", [seccomp.unlisted], ""),
    ...callGroups(policy),
  ].join("");
}

function resourceWords({ reason: _, ...limits }: NonNullable<Policy["resources"]>): string[] {
  return Object.entries(limits).map(([key, value]) => `${key} ${value}`);
}

/** The groups as they hold in the end: what a later group decides is not shown with an earlier one. */
function* callGroups(policy: Policy): Iterable<string> {
  const { calls, exceptions } = outcomes(policy);
  const groups = new Map<string, string[]>();
  const reasons = new Map<string, string>();
  for (const [call, outcome] of calls) {
    const title = `${outcomeText(outcome)}: ${outcome.group}`;
    groups.set(title, [...groups.get(title) ?? [], call]);
    reasons.set(title, outcome.reason);
  }
  for (const [title, names] of groups) yield part(title, names.sort(), reasons.get(title)!);
  const title = (group: CallGroup): string => `${exceptionText(group)}: ${group.name}`;
  for (const group of exceptions) yield part(title(group), group.calls, group.reason);
}

function part(title: string, items: readonly string[], reason: string): string {
  const lines = [""];
  for (const item of items.length > 0 ? items : ["none"]) {
    const last = lines.length - 1;
    if (lines[last]!.length + item.length > WIDTH) lines.push(item);
    else lines[last] += `${lines[last] && " "}${item}`;
  }
  return `\n${title}${reason && ` (${reason})`}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

export const command: Command = { help, run };
