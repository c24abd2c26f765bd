import {
  type ChoiceOptions,
  deleteContainer,
  FORWARDED,
  killContainer,
  nameProcess,
  type ProcessName,
  restoreContainer,
  type RestoredContainer,
  UnsupportedError,
  UsageError,
} from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import { attachTerminal } from "../attach.ts";
import { containerArguments } from "../containers.ts";
import { CRIU_FLAGS, criuOptions, LAZY } from "../criu.ts";
import type { Command, Global } from "../main.ts";
import { NETWORK_FLAGS, readNetwork } from "../network.ts";
import { warn } from "../report.ts";
import { writePid } from "../result_file.ts";

const help: CommandHelp = {
  name: "restore",
  summary: "Lets a container go on from the images of a checkpoint, under what its bundle asks for now.",
  usage: ["[FLAGS] ID"],
  flags: [
    { name: "bundle", short: "b", value: "DIR", help: "the bundle (default: the working directory)" },
    { name: "detach", short: "d", help: "leave it to itself" },
    { name: "pid-file", value: "FILE", help: "write the pid of its first process to FILE" },
    { name: "console-socket", value: "PATH", help: "the Unix socket that gets the program's terminal" },
    ...NETWORK_FLAGS,
    ...CRIU_FLAGS,
    LAZY,
    { name: "snapshot", value: "NAME", help: "a snapshot of the store, in place of --image-path" },
    { name: "store", value: "DIR", help: "where snapshots are kept, with --snapshot" },
    {
      name: "fallback",
      value: "light|cold",
      help:
        "where it cannot be restored, begin its program anew: with its files and environment, or also without",
    },
    { name: "lsm-profile", value: "TYPE:LABEL", help: "another AppArmor profile or SELinux label" },
    { name: "lsm-mount-context", value: "CONTEXT", help: "another SELinux context of mounts" },
    { name: "no-pivot", help: "refused: this version always changes the root" },
    { name: "no-subreaper", help: "accepted for runc's sake: there never is one" },
  ],
  examples: [
    "runtime restore --detach --bundle /srv/box --image-path /srv/snap box1",
    "runtime restore --detach --snapshot before box1",
  ],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { args, id, store: place } = containerArguments(help, argv, global);
  if (args.has("no-pivot")) {
    throw new UnsupportedError("--no-pivot", "this version has no support for it", "leave it out");
  }
  const consoleSocket = args.value("console-socket");
  const detach = args.has("detach");
  if (consoleSocket !== undefined && !detach) {
    throw new UsageError("cannot use console socket if runtime will not detach or allocate tty");
  }
  const pidFile = args.value("pid-file");
  const store: { root?: string | undefined; init?: ProcessName } = { ...place };
  const { snapshot, imagePath, ...criu } = { ...criuOptions(args, global), snapshot: args.value("snapshot") };
  const options = {
    ...criu,
    pages: args.has("lazy") ? "lazy" as const : "eager" as const,
    fallback: fallbackOf(args.value("fallback")),
    bundle: args.value("bundle"),
    consoleSocket,
    detach,
    lsmProfile: args.value("lsm-profile"),
    lsmMountContext: args.value("lsm-mount-context"),
    ...readNetwork(args, global),
    onPid: async (pid: number): Promise<void> => {
      if (pidFile !== undefined) await writePid(pidFile, pid);
      store.init = nameProcess(pid); // the name may be another container's before we are done with this one
    },
  };
  if (snapshot === undefined && args.given("store")) {
    throw new UsageError("Cannot use --store without --snapshot");
  }
  if (snapshot !== undefined && imagePath !== undefined) {
    throw new UsageError("Cannot use both --snapshot and --image-path: name one");
  }
  const restored = snapshot === undefined
    ? await restoreContainer(id, { ...options, imagePath })
    : await (await import("../snapshot/restore.ts")).restoreSnapshot(snapshot, id, {
      ...options,
      store: args.value("store"),
    });
  for (const { rung, error } of restored.fallen) {
    warn(`Restored ${restored.rung}, not ${rung}: ${error.message}`, global);
  }
  if (detach) return 0;
  const exitCode = await attend(id, restored, store);
  await deleteContainer(id, { ...store, force: true });
  return exitCode;
}

function fallbackOf(word: string | undefined): "light" | "cold" | undefined {
  if (word === undefined || word === "light" || word === "cold") return word;
  throw new UsageError(`Cannot use "${word}" for --fallback: write light or cold`);
}

/** Stays with the container until it ends, with its signals and its terminal. */
async function attend(
  id: string,
  restored: RestoredContainer,
  store: ChoiceOptions,
): Promise<number> {
  using stack = new DisposableStack();
  for (const signal of FORWARDED) {
    const pass = (): void => void killContainer(id, signal, store).catch(() => {});
    Deno.addSignalListener(signal, pass);
    stack.defer(() => Deno.removeSignalListener(signal, pass));
  }
  if (!restored.terminal) return await restored.wait();
  await using _attached = attachTerminal(restored.terminal, () => void killContainer(id, "SIGHUP", store));
  return await restored.wait();
}

export const command: Command = { help, run };
