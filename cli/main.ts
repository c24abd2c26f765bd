import { BUILD_ID, useNetworks } from "../mod.ts";
import type { CommandHelp } from "./args.ts";
import { refuseRemovedDirectory } from "./working_directory.ts";

/** A command: its help, and what it does; the number is the exit code. */
export interface Command {
  readonly help: CommandHelp;
  run(argv: readonly string[], global: Global): Promise<number> | number;
}

/** Flags before the command's name. */
export interface Global {
  /** File that errors are written to as well. */
  readonly log?: string;
  readonly logFormat: "text" | "json";
  /** Directory that containers are kept in. */
  readonly root?: string;
  /** Path of CRIU. */
  readonly criu?: string;
  /** Errors come with the places in the code that they come from. */
  readonly debug?: boolean;
  /** systemd makes the cgroups of containers. */
  readonly systemdCgroup?: boolean;
}

/** Loaded when they are called, so that none costs the others time. */
const COMMANDS: Record<string, () => Promise<{ command: Command }>> = {
  adopt: () => import("./commands/adopt.ts"),
  audit: () => import("./commands/audit.ts"),
  checkpoint: () => import("./commands/checkpoint.ts"),
  compile: () => import("./commands/compile.ts"),
  create: () => import("./commands/create.ts"),
  delete: () => import("./commands/delete.ts"),
  doctor: () => import("./commands/doctor.ts"),
  events: () => import("./commands/events.ts"),
  exec: () => import("./commands/exec.ts"),
  features: () => import("./commands/features.ts"),
  fork: () => import("./commands/fork.ts"),
  kill: () => import("./commands/kill.ts"),
  list: () => import("./commands/list.ts"),
  "network-proxy": () => import("./commands/network_proxy.ts"),
  pause: () => import("./commands/pause.ts"),
  plan: () => import("./commands/plan.ts"),
  policy: () => import("./commands/policy.ts"),
  ps: () => import("./commands/ps.ts"),
  restore: () => import("./commands/restore.ts"),
  resume: () => import("./commands/resume.ts"),
  run: () => import("./commands/run.ts"),
  snapshot: () => import("./commands/snapshot.ts"),
  spec: () => import("./commands/spec.ts"),
  start: () => import("./commands/start.ts"),
  state: () => import("./commands/state.ts"),
  update: () => import("./commands/update.ts"),
};

const SUMMARIES: Record<string, string> = {
  audit: "show what a container asked of the network, and what became of it",
  checkpoint: "write a running container to a directory, to be restored later",
  compile: "write an executable that is the sandbox",
  create: "make a container from a bundle, which start lets begin",
  delete: "remove a container with all that belongs to it",
  doctor: "say what this host lacks, what that costs and what mends it",
  events: "print what a container uses, and when it is out of memory",
  exec: "run one more program in a container",
  features: "print what this version can apply, as OCI's features document",
  fork: "make containers from one state, each of which goes on from there",
  kill: "send a signal to a container",
  list: "list all containers",
  pause: "stop all processes of a container where they are",
  plan: "show every system call that a run makes, or how two differ",
  policy: "show what policies allow and why, and how they differ",
  ps: "show the processes of a container",
  restore: "let a container go on from a checkpoint",
  resume: "let a paused container go on",
  run: "run a bundle or a program in a sandbox",
  snapshot: "keep, compare and go back to snapshots of containers",
  spec: "write a config.json to begin with",
  start: "let the program of a container begin",
  state: "print the state of a container",
  update: "change limits of a container",
};

/** Flags that take a value. */
const VALUED = ["criu", "log", "log-format", "root", "rootless"];

function usage(): string {
  const width = Math.max(...Object.keys(SUMMARIES).map((name) => name.length));
  return [
    "NAME:",
    "   runtime, in place of runc - Open Container Initiative runtime for untrusted programs",
    "",
    "Usage:",
    "  runtime [FLAGS] COMMAND …",
    "",
    "Commands:",
    ...Object.entries(SUMMARIES).map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "Flags:",
    "      --root DIR              where containers are kept (default /run/ai-sandbox/containers)",
    "      --criu PATH             the CRIU that checkpoints and restores (default the one of ./setup)",
    "      --log FILE              write errors to this file too",
    "      --log-format text|json  how they are written there (default text)",
    "      --debug                 say what is done, and where in the code an error comes from",
    "      --systemd-cgroup        let systemd make the cgroups of containers, each in a scope",
    "      --rootless true|auto    accepted for runc's sake: it is found out",
    "  -v, --version               print the version",
    "  -h, --help                  print this help; runtime COMMAND --help prints a command's",
    "",
  ].join("\n");
}

async function main(argv: readonly string[]): Promise<number> {
  refuseRemovedDirectory();
  let global: Global = { logFormat: "text" };
  let index = 0;
  try {
    for (; index < argv.length && argv[index]!.startsWith("-"); index++) {
      const [flag, inline] = argv[index]!.replace(/^-+/, "").split(/=(.*)/s);
      if (flag === "version" || flag === "v") {
        return print((await import("./version.ts")).versionText());
      }
      if (flag === "help" || flag === "h") return print(usage());
      if (flag === "debug" || flag === "systemd-cgroup") {
        if (inline !== undefined && inline !== "true") continue;
        global = { ...global, [flag === "debug" ? "debug" : "systemdCgroup"]: true };
        continue;
      }
      if (!VALUED.includes(flag!)) {
        throw new Error(`Cannot use "${argv[index]}": there is no such flag; see "runtime --help"`);
      }
      const value = inline ?? argv[++index];
      if (!value) throw new Error(`Cannot use "--${flag}": it needs a value`);
      if (flag === "log") global = { ...global, log: value };
      else if (flag === "root") global = { ...global, root: value };
      else if (flag === "criu") global = { ...global, criu: value };
      else if (flag === "rootless") {
        if (!["true", "false", "auto"].includes(value)) {
          throw new Error(`Cannot use "${value}" for --rootless: write true, false or auto`);
        }
      } else if (value === "text" || value === "json") global = { ...global, logFormat: value };
      else throw new Error(`Cannot use "${value}" for --log-format: write text or json`);
    }
    const name = argv[index];
    if (name === undefined) {
      await Deno.stderr.write(new TextEncoder().encode(usage()));
      return 1;
    }
    if (name === "help") return print(usage());
    const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (!load) throw new Error(`Cannot run "${name}": No help topic for '${name}'; see "runtime --help"`);
    useNetworks(() =>
      BUILD_ID === "" ? [Deno.execPath(), "run", "--quiet", "-A", Deno.mainModule] : [Deno.execPath()]
    );
    const { command } = await load();
    const rest = argv.slice(index + 1);
    const own = rest.slice(0, rest.includes("--") ? rest.indexOf("--") : undefined);
    if (own[0] === "--help" || own[0] === "-h") {
      const { helpText } = await import("./args.ts");
      return print(helpText(command.help));
    }
    if (!global.debug) return await command.run(rest, global);
    return await (await import("./debug.ts")).traced(
      name,
      global,
      async () => await command.run(rest, global),
    );
  } catch (error) {
    const { report } = await import("./report.ts");
    return report(error, global);
  }
}

function print(text: string): number {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
