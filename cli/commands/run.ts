import {
  checkId,
  type Cut,
  isPolicyName,
  isShareable,
  isTerminal,
  LaunchError,
  NOT_APART,
  type Policy,
  type PolicyName,
  readOverlay,
  readPolicy,
  type Result,
  Sandbox,
  type SandboxOptions,
  terminalSize,
  UsageError,
} from "../../mod.ts";
import { type Arguments, type CommandHelp, durationMs, readArguments, readFallback } from "../args.ts";
import { attachTerminal, forwardSignals } from "../attach.ts";
import { isBundle, looksLikeSpec } from "../bundles.ts";
import { CREATE_FLAGS } from "../create.ts";
import { INHERITANCE_FLAGS, readInheritance } from "../inheritance.ts";
import type { Command, Global } from "../main.ts";
import { readLimits } from "../limits.ts";
import { warn } from "../report.ts";
import { readMount } from "../mounts.ts";
import { NETWORK_FLAGS, readNetwork } from "../network.ts";
import { hearing, readUntrusted, reportCuts, UNTRUSTED_FLAGS } from "../untrusted.ts";
import { exitCode } from "../report.ts";
import { writeError, writePid, writeResult } from "../result_file.ts";
import { whyEnded } from "../why_ended.ts";

const DETACHED_FLAGS = CREATE_FLAGS.filter(({ name }) => ["console-socket", "pidfd-socket"].includes(name));

const help: CommandHelp = {
  name: "run",
  summary: "Runs a bundle, or a program in a sandbox made for it, and ends with its exit code.",
  usage: [
    "[FLAGS] DIR                     a bundle: a directory with a config.json",
    "[FLAGS] [--] PROGRAM [ARG…]     a program of this host, the working directory read-only",
    "[FLAGS] --bundle DIR ID         a bundle as runc runs it: its rootfs is used as it is",
    "--detach [--bundle DIR] ID      the same, as create and start do",
  ],
  flags: [
    { name: "bundle", short: "b", value: "DIR", help: "the bundle, in runc's form of the command" },
    { name: "id", value: "ID", help: "name of the sandbox (default: made up)" },
    { name: "timeout", value: "TIME", help: "kill it after this time: 500ms, 30s, 5m; exit code 124" },
    { name: "cpu", value: "N", help: "at most N CPUs: 1, 0.5" },
    { name: "cpuset", value: "CPUS", help: "only on these CPUs: 0-2,7" },
    { name: "memory", value: "SIZE", help: "at most this much memory: 512MB, 1GiB; no swap" },
    { name: "memory-swap", value: "SIZE", help: "at most this much memory and swap together; -1: any swap" },
    { name: "pids", value: "N", help: "at most N processes and threads" },
    {
      name: "io-max",
      value: "DEV:RATES",
      repeat: true,
      help: "at most so much disk: /dev/sda:rbps=10MB,wbps=1MB,riops=500,wiops=100",
    },
    { name: "cgroup-manager", value: "WHO", help: "who makes its cgroup: cgroupfs, or disabled: nobody" },
    {
      name: "policy",
      value: "POLICY",
      help: "permissive, default (for a program), strict, or a file of yours",
    },
    ...UNTRUSTED_FLAGS,
    {
      name: "mount",
      short: "m",
      value: "MOUNT",
      repeat: true,
      help: "SOURCE:TARGET[:rw], or type=bind|tmpfs,source=…,target=…",
    },
    {
      name: "env",
      short: "e",
      value: "NAME=VALUE",
      repeat: true,
      help: "more environment; NAME alone takes ours",
    },
    { name: "workdir", short: "w", value: "DIR", help: "working directory inside" },
    { name: "overlay", value: "KIND", help: "what lies over the rootfs: none, tmpfs or tmpfs:size=64m" },
    {
      name: "fallback",
      value: "landlock",
      help: "run a program by Landlock alone where user namespaces are forbidden",
    },
    { name: "landlock", help: "keep it in its place by Landlock too" },
    {
      name: "attest",
      help: "compare the sandbox with what was asked for before it begins",
    },
    { name: "no-attest", help: "do not compare it" },
    { name: "terminal", short: "t", help: "give the program a terminal (default where ours is one)" },
    { name: "result", value: "FILE", help: "write what is known of the run to FILE, as JSON" },
    { name: "pid-file", value: "FILE", help: "write the program's pid to FILE" },
    { name: "detach", short: "d", help: "with --bundle: create and start it, and leave it to itself" },
    ...DETACHED_FLAGS,
    ...INHERITANCE_FLAGS,
    ...NETWORK_FLAGS,
    { name: "keep", help: "with --bundle: wait for its end, and leave it to delete" },
    { name: "no-subreaper", help: "accepted for runc's sake: there never is one" },
  ],
  examples: [
    "runtime run bundles/hello",
    "runtime run --timeout 30s -- python3 agent.py",
    "runtime run --mount ./out:/out:rw --env MODE=test -- node build.js",
    "runtime run --bundle /srv/box box1",
  ],
};

/** Flags that a sandbox which nobody else knows has no use for. */
const CONTAINER_FLAGS = [...DETACHED_FLAGS, { name: "keep" }];
const ID = /^[\w+.-]+$/;
/** What a container's first process of runc ends with if it has not become the program. */
const LEFT = 255;

async function run(argv: readonly string[], global: Global): Promise<number> {
  const args = readArguments(help, argv, { stopEarly: true });
  const detached = await detachedForm(argv);
  if (detached) return await (await import("../detach.ts")).runDetached(help, detached, global);
  const container = await containerForm(args, argv);
  if (container) {
    const { isContainer, runForeground } = await import("../foreground.ts");
    const [id] = container.words;
    if (isContainer(container, help.flags)) {
      return await runForeground(id!, container, global).catch((error) => tellOfProgram(error, LEFT));
    }
  }
  if (global.systemdCgroup) {
    throw new UsageError(
      "Cannot use --systemd-cgroup for a sandbox: only containers, as create makes them, have a unit",
    );
  }
  for (const { name } of CONTAINER_FLAGS) {
    if (args.given(name)) throw new UsageError(`Cannot use --${name} without --detach`);
  }
  const { options: plain, resultFile, pidFile } = await readRun(args, argv);
  const options = { ...plain, ...withRoot(plain, global) };
  let sandbox: Sandbox | undefined;
  let cuts: readonly Cut[] = [];
  const heard = hearing(options, (all) => reportCuts(cuts = all));
  try {
    const onWarning = (warning: string): void => warn(warning, global);
    const starting = begin(
      { ...heard, onWarning, stdin: "inherit", stdout: "inherit", stderr: "inherit" },
      pidFile,
    );
    using _signals = forwardSignals(starting); // before the program can do anything that somebody answers
    sandbox = await starting;
    const result = await supervise(sandbox);
    const why = whyEnded(result);
    if (why !== undefined) await Deno.stderr.write(new TextEncoder().encode(`runtime: ${why}\n`));
    await sandbox[Symbol.asyncDispose](); // nothing of it is left when we end
    if (resultFile !== undefined) await writeResult(resultFile, result, cuts);
    return result.exitCode;
  } catch (error) {
    await sandbox?.[Symbol.asyncDispose]();
    if (resultFile !== undefined) await writeError(resultFile, options.id, error, cuts);
    if (args.value("bundle") === undefined && options.overlay?.kind !== "none") throw error;
    return tellOfProgram(error, exitCode(error));
  }
}

/** Says of a program that cannot be executed what runc says; other errors stay errors. */
function tellOfProgram(error: unknown, code: number): number {
  const said = programError(error);
  if (said === undefined) throw error;
  Deno.stderr.writeSync(new TextEncoder().encode(said));
  return code;
}

/** What runc says, and nothing else, of a program that the kernel does not run although it is there. */
function programError(error: unknown): string | undefined {
  if (!(error instanceof LaunchError) || error.op.call !== "execve") return undefined;
  const words = {
    ENOENT: "no such file or directory",
    EACCES: "permission denied",
    ENOEXEC: "exec format error",
  };
  const known = Object.entries(words).find(([name]) => error.message.includes(`: ${name}`))?.[1];
  return known && `exec ${error.op.does.replace(/^run "|"$/g, "")}: ${known}\n`;
}

/** The program finds its terminal as large as ours, and others its pid, from its first moment. */
async function begin(options: SandboxOptions, pidFile: string | undefined): Promise<Sandbox> {
  const hasTerminal = isTerminal(1);
  const { fallback } = options;
  if (!hasTerminal && pidFile === undefined && !fallback) return await Sandbox.run(options);
  const sandbox = await Sandbox.create(options);
  try {
    if (sandbox.isolation === "landlock") {
      Deno.stderr.writeSync(
        new TextEncoder().encode(`runtime: without namespaces, under Landlock: ${NOT_APART}\n`),
      );
    }
    if (hasTerminal) sandbox.terminal?.resize(terminalSize(1));
    if (pidFile !== undefined) await writePid(pidFile, sandbox.pid);
    sandbox.start();
    return sandbox;
  } catch (error) {
    await sandbox[Symbol.asyncDispose]();
    throw error;
  }
}

async function supervise(sandbox: Sandbox): Promise<Result> {
  if (!sandbox.terminal) return await sandbox.wait();
  await using _terminal = attachTerminal(sandbox.terminal, () => void sandbox.deliver("SIGHUP"));
  return await sandbox.wait();
}

interface Run {
  readonly options: SandboxOptions;
  readonly resultFile: string | undefined;
  readonly pidFile: string | undefined;
}

/** Tells the three forms of the command apart. */
async function readRun(args: Arguments, argv: readonly string[]): Promise<Run> {
  const { words, rest } = args;
  const policy = args.value("policy");
  const common = {
    ...commonOptions(args),
    ...(policy !== undefined && { policy: await findPolicy(policy) }),
  };
  const [first, ...more] = words;
  let options: SandboxOptions;
  if (args.value("bundle") !== undefined) {
    options = runcForm(args, common);
  } else if (rest !== undefined && rest.length > 0 && first === undefined) {
    options = commandForm(rest, args, common);
  } else if (first === undefined) {
    throw new UsageError(`Cannot run nothing: name a bundle or a program; see "runtime run --help"`);
  } else if (more.length === 0 && rest === undefined && await isBundle(first)) {
    options = { ...common, bundle: first };
  } else if (more.length > 0 && await isBundle(first)) {
    // A directory is no program: what stands behind it is ours.
    const all = readArguments(help, argv);
    const [, second = all.rest && "--"] = all.words;
    if (second !== undefined) {
      throw new UsageError(
        `Cannot use "${second}" behind "${first}": a bundle's program is in its config.json, only flags may follow`,
      );
    }
    return readRun(all, argv);
  } else if (more[0]?.startsWith("-") && await namesBundle(more)) {
    // Some engines put the id first.
    return readRun(readArguments(help, argv), argv);
  } else if (
    more.length === 0 && rest === undefined && ID.test(first) && await looksLikeSpec("config.json")
  ) {
    options = runcForm(args, common);
  } else if (more.length === 0 && rest === undefined && await isDirectory(first)) {
    options = { ...common, bundle: first }; // its error says what is missing
  } else {
    options = commandForm([first, ...more], args, common);
  }
  return { options, resultFile: args.value("result"), pidFile: args.value("pid-file") };
}

/** The arguments, if they say `--detach`; engines may put the id first. */
async function detachedForm(argv: readonly string[]): Promise<Arguments | undefined> {
  const { has, words } = readArguments(help, argv, { stopEarly: true });
  const isOurs = has("detach") || (words[1]?.startsWith("-") && await namesBundle(words.slice(1)));
  const args = isOurs ? readArguments(help, argv) : undefined;
  return args?.has("detach") ? args : undefined;
}

/** The arguments, if they name a bundle and an id as runc has it, and containers can be kept. */
async function containerForm(args: Arguments, argv: readonly string[]): Promise<Arguments | undefined> {
  if (Deno.uid() !== 0 && !Deno.env.get("XDG_RUNTIME_DIR")) return undefined;
  const [first, ...more] = args.words;
  if (first === undefined || args.rest !== undefined) return undefined;
  const whole = more[0]?.startsWith("-") && await namesBundle(more) ? readArguments(help, argv) : args;
  if (whole.words.length !== 1 || !ID.test(first)) return undefined;
  if (whole.value("bundle") !== undefined) return whole;
  return !await isBundle(first) && await looksLikeSpec("config.json") ? whole : undefined;
}

/** The names stay names: then a kept image needs nothing of the policies' code. */
async function findPolicy(nameOrFile: string): Promise<PolicyName | Policy> {
  return isPolicyName(nameOrFile) ? nameOrFile : await readPolicy(nameOrFile);
}

/** What the flags say about any sandbox. */
export function commonOptions(args: Arguments): SandboxOptions {
  const [id, timeout, cwd, overlay] = ["id", "timeout", "workdir", "overlay"].map((name) => args.value(name));
  const mounts = args.values("mount").map(readMount);
  const env = args.values("env").map(environment);
  const fallback = readFallback(args.value("fallback"));
  if (fallback && args.has("terminal")) {
    throw new UsageError("Cannot use --terminal with --fallback: a terminal takes a mount namespace");
  }
  if (id !== undefined) checkId(id);
  const { env: listening = [], ...inherited } = readInheritance(args);
  env.push(...listening);
  return {
    ...inherited,
    newlines: "plain",
    ...readUntrusted(args),
    ...(id !== undefined && { id }),
    ...(timeout !== undefined && { timeoutMs: durationMs(timeout, "timeout") }),
    ...(cwd !== undefined && { cwd }),
    ...(overlay !== undefined && { overlay: readOverlay(overlay, "--overlay") }),
    ...(mounts.length > 0 && { mounts }),
    ...(env.length > 0 && { env }),
    ...(args.has("terminal") && { terminal: true }),
    ...(fallback && { fallback }),
    ...(args.has("landlock") && { landlock: true }),
    ...(args.has("attest") && { attest: true }),
    ...(args.has("no-attest") && { attest: false }),
    ...readLimits(args),
    ...readNetwork(args, {}),
  };
}

/** The network is beside the containers. */
function withRoot({ network }: SandboxOptions, { root }: Global): SandboxOptions {
  return network && root !== undefined ? { network: { ...network, root } } : {};
}

/** A program in a sandbox made for it. */
export function commandForm(
  command: readonly string[],
  args: Arguments,
  common: SandboxOptions,
): SandboxOptions {
  if (common.overlay) {
    throw new UsageError("Cannot use --overlay with a program: its root is in memory already");
  }
  const here = Deno.cwd();
  const terminal = args.has("terminal") || (isTerminal(0) && isTerminal(1));
  return { ...common, command, terminal, ...(isShareable(here) && { share: here }) };
}

function runcForm(args: Arguments, common: SandboxOptions): SandboxOptions {
  const [id, ...more] = args.words;
  if (id === undefined || more.length > 0) {
    throw new UsageError(`Cannot run "${args.words.join(" ")}": --bundle takes exactly one id behind it`);
  }
  checkId(id);
  // What a hostile program leaves in a rootfs, a program of the host could run.
  const overlay = common.untrusted ? {} : { overlay: { kind: "none" } as const };
  return { ...overlay, ...common, id, bundle: args.value("bundle") ?? "." };
}

function environment(text: string): string {
  if (text.startsWith("=")) throw new UsageError(`Cannot use "${text}" for --env: the name is missing`);
  return text.includes("=") ? text : `${text}=${Deno.env.get(text) ?? ""}`;
}

async function namesBundle(argv: readonly string[]): Promise<boolean> {
  const index = argv.findIndex((arg) => /^--?b(undle)?(=|$)/.test(arg));
  if (index < 0) return false;
  // Few programs have the long flag; the short one is believed if a bundle is behind it.
  const [flag, inline] = argv[index]!.split(/=(.*)/s);
  if (/^--?bundle$/.test(flag!)) return true;
  return await isBundle(inline ?? argv[index + 1] ?? "");
}

async function isDirectory(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isDirectory, () => false);
}

export const command: Command = { help, run };
