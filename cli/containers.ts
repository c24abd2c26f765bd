import { type Arguments, type CommandHelp, readArguments } from "./args.ts";
import { type StoreOptions, UsageError } from "../mod.ts";
import type { Global } from "./main.ts";

/** The arguments of a command that takes the name of a container. */
export interface ContainerArguments {
  readonly args: Arguments;
  readonly id: string;
  readonly more: readonly string[];
  readonly store: StoreOptions;
}

/**
 * Reads the arguments of a command on one container; its name may stand before or after the flags.
 *
 * @param most How many words there may be, the name included.
 * @throws {UsageError} if the name is missing, or there are more words.
 */
export function containerArguments(
  help: CommandHelp,
  argv: readonly string[],
  { root }: Global,
  most = 1,
): ContainerArguments {
  const args = readArguments(help, argv);
  const [id, ...more] = args.words;
  if (id === undefined || more.length >= most) {
    const wanted = most === 1 ? "exactly 1 argument" : `1 to ${most} arguments`;
    throw new UsageError(`"${help.name}" requires ${wanted}; see "runtime ${help.name} --help"`);
  }
  return { args, id, more, store: root === undefined ? {} : { root } };
}
