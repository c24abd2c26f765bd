import { checkpointContainer, UsageError } from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import { containerArguments } from "../containers.ts";
import { CRIU_FLAGS, criuOptions, LIGHT } from "../criu.ts";
import type { Command, Global } from "../main.ts";
import { warn } from "../report.ts";

const help: CommandHelp = {
  name: "checkpoint",
  summary: "Writes a running container to a directory, to be restored later; it is gone then.",
  usage: ["[FLAGS] ID"],
  flags: [
    ...CRIU_FLAGS,
    LIGHT,
    { name: "leave-running", help: "let the container go on" },
    { name: "parent-path", value: "DIR", help: "images of a pre-dump, relative to --image-path" },
    { name: "pre-dump", help: "write only the memory, and let the container go on" },
    { name: "tcp-skip-in-flight", help: "leave out TCP connections that are not accepted yet" },
    { name: "link-remap", help: "keep files that have other names than the open one, which is gone" },
    {
      name: "page-server",
      value: "ADDRESS:PORT",
      help: "send the pages of memory to a criu page-server; with --lazy-pages, serve them there",
    },
    { name: "status-fd", value: "FD", help: "with --lazy-pages: gets a zero byte when pages are served" },
  ],
  examples: [
    "runtime checkpoint --image-path /srv/snap box1",
    "runtime checkpoint --leave-running --image-path /srv/snap box1",
  ],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { args, id } = containerArguments(help, argv, global);
  const statusFd = args.value("status-fd");
  if (statusFd !== undefined && !/^\d+$/.test(statusFd)) {
    throw new UsageError(`Cannot use "${statusFd}" for --status-fd: write the number of a descriptor`);
  }
  await checkpointContainer(id, {
    ...criuOptions(args, global),
    light: args.has("light"),
    leaveRunning: args.has("leave-running"),
    parentPath: args.value("parent-path"),
    onWarning: (warning) => warn(warning, global),
    preDump: args.has("pre-dump"),
    tcpSkipInFlight: args.has("tcp-skip-in-flight"),
    linkRemap: args.has("link-remap"),
    pageServer: args.value("page-server"),
    ...(statusFd !== undefined && { statusFd: Number(statusFd) }),
  });
  return 0;
}

export const command: Command = { help, run };
