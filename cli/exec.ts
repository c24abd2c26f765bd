import {
  type ConsoleSize,
  execContainer,
  type ExecContainerOptions,
  execDetached,
  type Execution,
  isCapability,
  isInherited,
  isTerminal,
  terminalSize,
  UsageError,
} from "../mod.ts";
import { type Arguments, type CommandHelp, readArguments } from "./args.ts";
import { attachTerminal, forwardSignals } from "./attach.ts";
import type { Global } from "./main.ts";
import { report, warn } from "./report.ts";
import { writePid } from "./result_file.ts";

/** What engines tell a failure of ours from the program's by. */
const FAILED = 255;

/** Runs one more program in a container; its exit code. */
export async function exec(help: CommandHelp, argv: readonly string[], global: Global): Promise<number> {
  const { args, id, command, line } = read(help, argv);
  try {
    const options = { ...await optionsOf(args, command, global), ...(line && { line }) };
    if (args.has("detach")) {
      await execDetached(id, { ...options, consoleSocket: args.value("console-socket") });
      return 0;
    }
    if (args.given("console-socket")) {
      throw new UsageError("cannot use console socket if runc will not detach or allocate tty");
    }
    return await attached(id, options);
  } catch (error) {
    report(error, global, "exec failed: ");
    return FAILED;
  }
}

interface Words {
  readonly args: Arguments;
  readonly id: string;
  readonly command: readonly string[];
  /** What stands before the id, if the program's words are all that stands behind it. */
  readonly line?: readonly string[];
}

/** Flags may stand before and behind the id; what follows is the program's. */
function read(help: CommandHelp, argv: readonly string[]): Words {
  const args = readArguments(help, argv, { stopEarly: true });
  const [id, ...command] = [...args.words, ...args.rest ?? []];
  if (id === undefined) {
    throw new UsageError('"exec" requires a minimum of 1 argument(s); see "runtime exec --help"');
  }
  if (args.rest === undefined && command[0]?.startsWith("-") && command[0] !== "--" && command[0] !== "-") {
    const behind = readArguments(help, argv.toSpliced(argv.length - command.length - 1, 1), {
      stopEarly: true,
    });
    return { args: behind, id, command: withoutSeparator([...behind.words, ...behind.rest ?? []]) };
  }
  const at = argv.length - command.length - 1;
  const line = args.rest === undefined && argv[at] === id ? { line: argv.slice(0, at) } : {};
  return { args, id, command: withoutSeparator(command), ...line };
}

function withoutSeparator(command: readonly string[]): readonly string[] {
  return command[0] === "--" ? command.slice(1) : command;
}

async function optionsOf(
  args: Arguments,
  command: readonly string[],
  global: Global,
): Promise<ExecContainerOptions> {
  const { root } = global;
  const [cwd, file, pidFile, user] = ["cwd", "process", "pid-file", "user"].map((name) => args.value(name));
  const process = file === undefined ? undefined : { text: await readText(file), path: file };
  const [apparmorProfile, selinuxLabel] = ["apparmor", "process-label"].map((name) => args.value(name));
  return {
    ...(root !== undefined && { root }),
    args: command,
    process,
    env: args.values("env"),
    ...(cwd !== undefined && { cwd }),
    ...(user !== undefined && { user: readUser(user) }),
    additionalGids: args.values("additional-gids").map((gid) => readId(gid, "gid")),
    capabilities: knownCapabilities(args.values("cap"), global),
    ...(args.has("no-new-privs") && { noNewPrivileges: true }),
    ...(apparmorProfile !== undefined && { apparmorProfile }),
    ...(selinuxLabel !== undefined && { selinuxLabel }),
    terminal: args.has("tty"),
    ...(isTerminal(1) && !args.has("detach") && { consoleSize: ownSize() }),
    cgroups: args.values("cgroup"),
    ignorePaused: args.has("ignore-paused"),
    preserveFds: preservedFds(readId(args.value("preserve-fds") ?? "0", "--preserve-fds")),
    pidfdSocket: args.value("pidfd-socket"),
    ...(global.debug && (await import("./debug.ts")).stepsOf(global)),
    ...(pidFile !== undefined && { onPid: (pid: number) => writePid(pidFile, pid) }),
  };
}

/** What Linux does not have it cannot grant: that is warned of, as with runc. */
function knownCapabilities(names: readonly string[], global: Global): readonly string[] {
  const unknown = names.filter((name) => !isCapability(name));
  if (unknown.length > 0) {
    warn(`ignoring unknown or unavailable capabilities: [${[...new Set(unknown)].sort().join(" ")}]`, global);
  }
  return names.filter(isCapability);
}

function ownSize(): ConsoleSize {
  const { rows, columns } = terminalSize(1);
  return { height: rows, width: columns };
}

async function readText(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(`open ${file}: no such file or directory`);
    }
    throw error;
  }
}

function readUser(text: string): { uid: number; gid?: number } {
  const [uid = "", gid] = text.split(/:(.*)/s);
  return { uid: readId(uid, "uid"), ...(gid !== undefined && { gid: readId(gid, "gid") }) };
}

function readId(text: string, what: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new UsageError(
    `parsing ${text} as int for ${what} failed: strconv.Atoi: parsing ${
      JSON.stringify(text)
    }: invalid syntax`,
  );
}

/** Our descriptors from 3 on; what we have opened ourselves is nobody's to be given away. */
function preservedFds(count: number): number[] {
  return Array.from({ length: count }, (_, index) => {
    if (isInherited(3 + index)) return 3 + index;
    throw new UsageError(`unable to stat preserved-fd ${index} (of ${count}): no such file or directory`);
  });
}

async function attached(id: string, options: ExecContainerOptions): Promise<number> {
  const streams = { stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
  const starting = execContainer(id, { ...options, ...streams, newlines: "plain" });
  using _signals = forwardSignals(starting); // before the program can do anything that somebody answers
  const program = await starting;
  const { exitCode } = await supervise(program);
  return exitCode;
}

async function supervise(program: Execution): ReturnType<Execution["wait"]> {
  if (!program.terminal) return await program.wait();
  await using _terminal = attachTerminal(program.terminal, () => void program.kill("SIGHUP"));
  return await program.wait();
}
