import { basename } from "@std/path";
import {
  isPolicyName,
  learn,
  type LearnOptions,
  type Lesson,
  type Policy,
  POLICY_NAMES,
  prove,
  readPolicy,
  type Result,
  type RunToEnd,
  Sandbox,
  type Terminal,
  UsageError,
  writtenPolicy,
} from "../../mod.ts";
import { type Arguments, type CommandHelp, helpText, readArguments } from "../args.ts";
import { attachTerminal, forwardSignals } from "../attach.ts";
import { isBundle } from "../bundles.ts";
import { print } from "../print.ts";
import { ReplayedInput } from "../replayed_input.ts";
import { writeWhole } from "../result_file.ts";
import { command as runCommand, commandForm, commonOptions } from "./run.ts";

/** What of `run` is of use here. */
const OF_RUN = ["timeout", "cpu", "memory", "pids", "mount", "env", "workdir", "overlay", "terminal"];

const help: CommandHelp = {
  name: "policy learn",
  summary: "Runs a program, and writes the smallest policy that it needs.",
  usage: [
    "[FLAGS] -- PROGRAM [ARG…]   a program of this host",
    "[FLAGS] DIR                 a bundle",
  ],
  flags: [
    {
      name: "output",
      short: "o",
      value: "FILE",
      help: "write the policy there, as JSON or YAML by its ending",
    },
    {
      name: "base",
      value: "POLICY",
      help: "the most that can be learned: permissive, default (default) or strict",
    },
    {
      name: "from",
      value: "FILE",
      repeat: true,
      help: "add what was learned from another run, and say what is new",
    },
    { name: "allow-refused", value: "CALL", repeat: true, help: "let it make a call that the base refuses" },
    { name: "no-prove", help: "do not run it again under what was learned" },
    ...runCommand.help.flags.filter(({ name }) => OF_RUN.includes(name)),
  ],
  examples: [
    "runtime policy learn -o agent.yaml -- python3 agent.py",
    "runtime policy learn --from agent.yaml -o agent.yaml -- python3 agent.py --verbose",
    "runtime run --policy agent.yaml -- python3 agent.py",
  ],
};

/** Learns, and returns the exit code. */
export async function learnCommand(argv: readonly string[]): Promise<number> {
  const args = readArguments(help, argv, { stopEarly: true });
  if (args.has("help")) {
    await print(helpText(help));
    return 0;
  }
  const file = args.value("output");
  const options = await readOptions(args, file);
  using input = new ReplayedInput();
  const lesson = await learn(options, runner(input, file === undefined ? "stderr" : "stdout"));
  await tell(summary(lesson, options));
  if (!args.has("no-prove")) {
    if (input.isLost) {
      throw new UsageError("Cannot prove it: the input is too long to be given twice; use --no-prove");
    }
    await prove(lesson, options, runner(input, "nowhere"));
    await tell(["proved: the program ends in the same way under it"]);
  }
  const text = await policyText(lesson.policy, file);
  if (file === undefined) await print(text);
  else {
    await writeWhole("the policy", file, text, { keepsOld: true });
    await tell([`wrote ${file}`]);
  }
  return 0;
}

async function readOptions(args: Arguments, file: string | undefined): Promise<LearnOptions> {
  const base = args.value("base") ?? "default";
  if (!isPolicyName(base)) {
    throw new UsageError(`Cannot use "${base}" for --base: it is one of ${POLICY_NAMES.join(", ")}`);
  }
  return {
    ...await whatToRun(args),
    base,
    from: await Promise.all(args.values("from").map(readPolicy)),
    allowRefused: args.values("allow-refused"),
    ...(file !== undefined && { name: nameOf(file) }),
  };
}

async function whatToRun({ words, rest, ...args }: Arguments): Promise<LearnOptions> {
  const common = commonOptions({ ...args, words, rest });
  const command = [...words, ...rest ?? []];
  const [first, ...more] = command;
  if (first === undefined) {
    throw new UsageError(`Cannot learn from nothing: name a program; see "runtime policy learn --help"`);
  }
  if (rest === undefined && more.length === 0 && await isBundle(first)) return { ...common, bundle: first };
  return commandForm(command, { ...args, words, rest }, common);
}

/** The name of a policy from that of its file. */
function nameOf(file: string): string {
  const name = basename(file).toLowerCase().replace(/\.[^.]*$/, "").replaceAll(/[^a-z0-9]+/g, "-").replace(
    /^[^a-z]+/,
    "",
  );
  return name === "" || isPolicyName(name) ? "learned" : name.slice(0, 64);
}

/** Runs a sandbox with our input; it is the same each time. */
function runner(input: ReplayedInput, output: "stdout" | "stderr" | "nowhere"): RunToEnd {
  return async (options) => {
    const starting = Sandbox.run({
      ...options,
      stdin: "piped",
      stdout: output === "stdout" ? "inherit" : output === "stderr" ? "piped" : "null",
      stderr: output === "nowhere" ? "null" : "inherit",
    });
    using _signals = forwardSignals(starting);
    await using sandbox = await starting;
    if (sandbox.terminal) return await onTerminal(sandbox, sandbox.terminal, { input, output });
    void input.stream().pipeTo(sandbox.stdin!).catch(() => {}); // the program may end first
    const shown = sandbox.stdout?.pipeTo(Deno.stderr.writable, { preventClose: true });
    const result = await sandbox.wait();
    await shown;
    return result;
  };
}

async function onTerminal(
  sandbox: Sandbox,
  terminal: Terminal,
  { input, output }: { readonly input: ReplayedInput; readonly output: string },
): Promise<Result> {
  const hangUp = (): void => void sandbox.deliver("SIGHUP");
  await using _terminal = attachTerminal(terminal, hangUp, {
    input: input.stream(),
    ...(output === "nowhere" && { output: new WritableStream() }),
  });
  return await sandbox.wait();
}

function* summary(
  { policy, refused, added, left, result }: Lesson,
  { base }: LearnOptions,
): Iterable<string> {
  const { files, ports, seccomp } = policy;
  const calls =
    seccomp.groups.filter(({ action }) => action === "allow").flatMap(({ calls }) => calls).length;
  const paths = files ? files.read.length + files.list.length + files.write.length + files.execute.length : 0;
  const numbers = (ports?.connect.length ?? 0) + (ports?.bind.length ?? 0);
  yield `learned ${calls} system calls, ${paths} paths and ${numbers} TCP ports from a run with exit code ${result.exitCode}`;
  const counts = [...refused].map(([call, count]) => `${call} (${count}×)`).sort();
  if (counts.length > 0) yield `refused by ${base}, then as now: ${counts.join(", ")}`;
  if (added) yield added.length > 0 ? `new: ${added.join(", ")}` : "nothing new";
  for (const each of left) yield `left out ${each}`;
}

async function tell(lines: Iterable<string>): Promise<void> {
  const text = [...lines].map((line) => `runtime: ${line}\n`).join("");
  await Deno.stderr.write(new TextEncoder().encode(text));
}

async function policyText(policy: Policy, file = ""): Promise<string> {
  const written = writtenPolicy(policy);
  if (file.endsWith(".json")) return JSON.stringify(written, null, 2) + "\n";
  const { stringify } = await import("@std/yaml/stringify");
  const comment = `# ${
    policy.description.replaceAll(/\s+/g, " ")
  }\n# "runtime policy learn --from" adds to it.\n`;
  return comment + stringify(written, { lineWidth: 110, useAnchors: false });
}
