import {
  parseResources,
  type Resources,
  updateContainer,
  updateNetworkPolicy,
  UsageError,
} from "../../mod.ts";
import type { Arguments, CommandHelp, Flag } from "../args.ts";
import { containerArguments } from "../containers.ts";
import type { Command, Global } from "../main.ts";
import { readFile } from "../network.ts";
import { warn } from "../report.ts";

/** Flags with a whole number or a size, and the limit that each sets. */
const NUMBERS = [
  ["blkio-weight", "blockIO", "weight", "weight of block I/O, from 10 to 1000"],
  ["cpu-period", "cpu", "period", "length of a period of CPU time in microseconds"],
  ["cpu-quota", "cpu", "quota", "CPU time in each period in microseconds, -1 for no limit"],
  ["cpu-burst", "cpu", "burst", "CPU time in microseconds that may be saved up beyond the quota"],
  ["cpu-share", "cpu", "shares", "weight against other containers; 1024 is usual"],
  ["cpu-rt-period", "cpu", "realtimePeriod", "length of a period of real-time tasks in microseconds (v1)"],
  ["cpu-rt-runtime", "cpu", "realtimeRuntime", "CPU time of real-time tasks in each of their periods (v1)"],
  ["cpu-idle", "cpu", "idle", "1 for the lowest weight of all, 0 for the usual"],
  ["pids-limit", "pids", "limit", "most processes and threads, -1 for no limit"],
] as const;
const TEXTS = [
  ["cpuset-cpus", "cpus", "processors, such as 0-3,7"],
  ["cpuset-mems", "mems", "memory nodes, such as 0,1"],
] as const;
const SIZES = [
  ["memory", "limit", "most memory, such as 64MB; -1 for no limit"],
  ["memory-reservation", "reservation", "memory that is left to it when the host runs short"],
  ["memory-swap", "swap", "memory and swap together; -1 for no limit"],
] as const;
const KERNEL_SIZES = ["kernel-memory", "kernel-memory-tcp"] as const;

const help: CommandHelp = {
  name: "update",
  summary: "Changes limits or the network policy of a container that runs or waits to be started.",
  usage: ["[FLAGS] ID", "--resources FILE|- ID"],
  flags: [
    {
      name: "resources",
      short: "r",
      value: "FILE",
      help: "the new limits as linux.resources of config.json; - for stdin; other flags are ignored then",
    },
    ...NUMBERS.map(([name, , , text]): Flag => ({ name, value: "N", help: text })),
    ...TEXTS.map(([name, , text]): Flag => ({ name, value: "LIST", help: text })),
    ...SIZES.map(([name, , text]): Flag => ({ name, value: "SIZE", help: text })),
    ...KERNEL_SIZES.map((name): Flag => ({
      name,
      value: "SIZE",
      help: "ignored with a warning: kernels have none",
    })),
    {
      name: "network-policy",
      value: "FILE",
      help: "what it reaches of the network from now on, without a gap",
    },
    { name: "l3-cache-schema", value: "LINE", help: "share of the L3 caches (Intel RDT)" },
    { name: "mem-bw-schema", value: "LINE", help: "memory bandwidth (Intel RDT)" },
  ],
  examples: [
    "runtime update --memory 64MB --pids-limit 20 box1",
    "runtime update --resources - box1 <new.json",
  ],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { args, id, store } = containerArguments(help, joined(argv), global);
  const file = args.value("resources");
  const policy = args.value("network-policy");
  if (policy !== undefined) {
    await updateNetworkPolicy(id, readFile(policy), store);
    if (file === undefined && !changesLimits(args)) return 0;
  }
  const asked = file === undefined ? fromFlags(args, global) : await fromFile(file, global);
  await updateContainer(id, asked, {
    ...store,
    ...(file === undefined && {
      l3CacheSchema: args.value("l3-cache-schema"),
      memBwSchema: args.value("mem-bw-schema"),
    }),
  });
  return 0;
}

/** Whether limits are to be changed, too. */
function changesLimits(args: Arguments): boolean {
  return help.flags.some(({ name }) => name !== "network-policy" && args.given(name));
}

/** `-r -` and flags with numbers below 0 in one word: a dash begins no flag there. */
function joined(argv: readonly string[]): string[] {
  const words: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const [word = "", next = ""] = argv.slice(index, index + 2);
    if (!/^-{1,2}[a-z][a-z0-9-]*$/.test(word) || !/^-\d*$/.test(next)) words.push(word);
    else words.push(`--${word === "-r" ? "resources" : word.replace(/^-+/, "")}=${argv[++index]}`);
  }
  return words;
}

async function fromFile(file: string, global: Global): Promise<Resources> {
  const bytes = file === "-"
    ? new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer())
    : await Deno.readFile(file);
  const read = parseResources(bytes, file === "-" ? "stdin" : file);
  const { kernel, kernelTCP, ...memory } = read.memory ?? {};
  if (kernel || kernelTCP) warnOfKernelMemory(global);
  return read.memory ? { ...read, memory } : read;
}

function fromFlags(args: Arguments, global: Global): Resources {
  const asked: Record<string, Record<string, unknown>> = {};
  const set = (group: string, field: string, value: unknown): void => {
    (asked[group] ??= {})[field] = value;
  };
  for (const [flag, group, field] of NUMBERS) {
    const text = args.value(flag);
    if (text !== undefined) set(group, field, wholeNumber(text, flag));
  }
  for (const [flag, field] of TEXTS) set("cpu", field, args.value(flag));
  for (const [flag, field] of SIZES) {
    const text = args.value(flag);
    if (text !== undefined) set("memory", field, size(text, flag));
  }
  if (KERNEL_SIZES.some((flag) => size(args.value(flag) ?? "0", flag) !== 0)) warnOfKernelMemory(global);
  return asked;
}

function warnOfKernelMemory(global: Global): void {
  warn("Kernel memory settings are ignored and will be removed", global);
}

function wholeNumber(text: string, flag: string): number {
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`invalid value for ${flag}: "${text}" is no whole number`);
}

/** Bytes as runc reads them: `64m`, `64MB` and `64MiB` are the same, and -1 stands for no limit. */
function size(text: string, flag: string): number {
  if (text === "-1") return -1;
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?(?:([kmgtp])i?b?|b)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * 1024 ** ("kmgtp".indexOf(unit.toLowerCase() || "-") + 1));
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new UsageError(`invalid value for ${flag}: invalid size: '${text}'`);
}

export const command: Command = { help, run };
