import { type NetworkOptions, readNetworkMode, UsageError } from "../mod.ts";
import type { Arguments, Flag } from "./args.ts";
import type { Global } from "./main.ts";

/** What of the network `run` and `create` take. */
export const NETWORK_FLAGS: readonly Flag[] = [
  {
    name: "network",
    value: "MODE",
    help: "none (default for a program), host, bridge, pasta (without root) or netns:PATH",
  },
  { name: "network-policy", value: "FILE", help: "what it reaches of the network, in YAML or JSON" },
  {
    name: "allow",
    value: "WHERE",
    repeat: true,
    help: "let it reach HOST[:PORT], and nothing else that is not named",
  },
  {
    name: "publish",
    value: "PORTS",
    repeat: true,
    help: "[IP:]PORT:PORT[/udp]: a port of the host leads to it",
  },
];

/** What the flags say of the network; nothing if they say nothing. */
export function readNetwork(
  args: Arguments,
  { root }: Pick<Global, "root">,
): { readonly network?: NetworkOptions } {
  const [mode, file] = [args.value("network"), args.value("network-policy")];
  const [allow, publish] = [args.values("allow"), args.values("publish")];
  if (mode === undefined && file === undefined && allow.length === 0 && publish.length === 0) return {};
  const policy = file === undefined ? undefined : readFile(file);
  return {
    network: {
      ...(mode !== undefined && { mode: readNetworkMode(mode) }),
      ...(policy !== undefined && { policy }),
      ...(allow.length > 0 && { allow }),
      ...(publish.length > 0 && { publish }),
      ...(root !== undefined && { root }),
    },
  };
}

/** The text of a file with a network policy. */
export function readFile(file: string): string {
  try {
    return Deno.readTextFileSync(file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`Cannot read the network policy "${file}": ${why}`);
  }
}
