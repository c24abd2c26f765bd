import { readConfig } from "./config_file.ts";
import { LifecycleError, UnsupportedError, UsageError } from "./errors.ts";
import type { Hooked } from "./image_of.ts";
import type { SandboxOptions } from "./options.ts";
import type { UnreachableBlock } from "./plan/context.ts";
import type { Mount, Spec } from "./spec/config.ts";
import type { NetworkRecord } from "./state/record.ts";

/** What a sandbox asks of the network. */
export interface NetworkOptions {
  /**
   * `none`: loopback only; `host`: the host's; `bridge`: all that the host reaches, behind its addresses;
   * `pasta`: the same for users without root; `netns:PATH`: one that somebody else has made. With a policy there is none
   * to be chosen.
   * @default {"none"}
   */
  readonly mode?: "none" | "host" | "bridge" | "pasta" | `netns:${string}`;
  /** What it reaches: the text of a network policy in YAML or JSON, or its document. */
  readonly policy?: string | object;
  /** More that it reaches, as `host[:port][/protocol]`. */
  readonly allow?: readonly string[];
  /** Ports of the host that lead to it: `[address:]host:container[/udp]`. */
  readonly publish?: readonly string[];
  /** The directory of containers that the network is kept beside. @default for root `/run/ai-sandbox/containers` */
  readonly root?: string | undefined;
  /** Hears of each attempt and what became of it, as a record of the audit log. */
  readonly onVerdict?: (record: object) => void;
}

/** What a bundle says of its network: the mode, and what follows here for the policy and for published ports. */
const ANNOTATION = "dev.ai-sandbox.network";
const [POLICY, ALLOW, PUBLISH] = [`${ANNOTATION}.policy`, `${ANNOTATION}.allow`, `${ANNOTATION}.publish`];

/** A place on the network for one sandbox. */
export interface Connection extends AsyncDisposable {
  /** Files that the sandbox sees. */
  readonly mounts: readonly Mount[];
  /** More environment, as `NAME=value`. */
  readonly env: readonly string[];
  /** What it does not reach, although what it is connected with leads there. */
  readonly unreachable?: readonly UnreachableBlock[];
  /** By what it can be taken away by others. */
  readonly record: NetworkRecord;
  /** Does what takes no process, while there is none yet; if that fails, attaching does it again. Not all can do this. */
  expect?(): void;
  /** Connects the namespace of a process. When this returns, all that restricts it is in place. */
  attach(pid: number): Promise<void>;
  /** Resolves when whoever decides over its traffic knows it. */
  ready(): Promise<void>;
  /** The rest of {@linkcode attach}, for a moment in which nobody can wait. */
  attachNow(pid: number): void;
}

/** An init that is being launched, and that waits for its network and for hooks. */
interface Launched {
  onBirth(act: (pid: number) => void): void;
  /** Lets it not wait. */
  letOn(): void;
}

/**
 * Connects a sandbox while it is built, as far as that can be done then. If it has no hooks, it need not ask whether it may
 * go on.
 *
 * @param child Its init, which was launched just now.
 * @returns What is left to do before its program may begin.
 */
export function connectWhileBuilt(
  connection: Connection | undefined,
  child: Launched,
  { hooks, netDevices = {} }: Pick<Hooked, "hooks" | "netDevices">,
): (pid: number) => Promise<void> {
  if (!connection?.expect) return async (pid) => await connection?.attach(pid);
  const isAlone = Object.keys(hooks).length + Object.keys(netDevices).length === 0;
  connection.expect();
  child.onBirth((pid) => {
    connection.attachNow(pid);
    // Why it is not ready is heard of by whoever it asks then.
    if (isAlone) void connection.ready().then(() => child.letOn(), () => {});
  });
  return () => connection.ready();
}

/** Whoever makes networks. */
export interface NetworkProvider {
  /** Takes a place on the network for a sandbox. Nothing reaches it yet. */
  connect(id: string, options: NetworkOptions): Promise<Connection>;
  /** Takes away all that there is of a place, if it is there. */
  disconnect(record: NetworkRecord): Promise<void>;
}

let load: (() => Promise<NetworkProvider>) | undefined;

/** Says who makes networks; it is loaded when the first sandbox needs one. */
export function provideNetwork(loader: () => Promise<NetworkProvider>): void {
  load = loader;
}

/** Whoever makes networks. @throws {LifecycleError} if nobody does. */
export async function networkProvider(): Promise<NetworkProvider> {
  if (!load) throw new LifecycleError("Cannot connect a sandbox: nobody provides a network");
  return await load();
}

/** Whether a sandbox is to have a place on a network of ours. */
export function needsConnection({ mode, policy, allow, publish }: NetworkOptions): boolean {
  const isAlone = mode === "none" || mode === undefined;
  const hasPolicy = policy !== undefined || allow !== undefined;
  if (hasPolicy && mode !== undefined) {
    throw new UsageError(
      `Cannot use network "${mode}" with a network policy: a policy is a network of its own`,
    );
  }
  if (hasPolicy || mode === "bridge" || mode === "pasta") return true;
  if (publish && publish.length > 0) {
    throw new UsageError(
      `Cannot publish ports of a sandbox ${
        isAlone ? "without a network" : `on network "${mode}"`
      }: use bridge, pasta or a policy`,
    );
  }
  return false;
}

/** Refuses what is no mode. */
export function readNetworkMode(text: string): NonNullable<NetworkOptions["mode"]> {
  if (text === "none" || text === "host" || text === "bridge" || text === "pasta") return text;
  const [, path] = /^netns:(\/.+)$/.exec(text) ?? [];
  if (path !== undefined) return `netns:${path}`;
  throw new UsageError(`Cannot use network "${text}": write none, host, bridge, pasta or netns:/PATH`);
}

/** What annotations say of the network. */
export function annotatedNetwork({ annotations }: Pick<Spec, "annotations">): NetworkOptions | undefined {
  const { [ANNOTATION]: mode, [POLICY]: policy, [ALLOW]: allow, [PUBLISH]: publish } = annotations ?? {};
  if ([mode, policy, allow, publish].every((each) => each === undefined)) return undefined;
  return {
    ...(mode !== undefined && { mode: readNetworkMode(mode) }),
    ...(policy !== undefined && { policy }),
    ...(allow !== undefined && { allow: wordsOf(allow) }),
    ...(publish !== undefined && { publish: wordsOf(publish) }),
  };
}

function wordsOf(list: string): string[] {
  return list.split(",").map((each) => each.trim());
}

/** The spec with annotations that say what was asked of the network: whoever goes on from it later asks for the same. */
export function withNetworkAnnotations(
  spec: Spec,
  { mode, policy, allow, publish }: NetworkOptions,
): Spec {
  const { [ANNOTATION]: _mode, [POLICY]: _policy, [ALLOW]: _allow, [PUBLISH]: _publish, ...others } =
    spec.annotations ?? {};
  return {
    ...spec,
    annotations: {
      ...others,
      ...(mode !== undefined && { [ANNOTATION]: mode }),
      ...(policy !== undefined && { [POLICY]: typeof policy === "string" ? policy : JSON.stringify(policy) }),
      ...(allow !== undefined && { [ALLOW]: allow.join(",") }),
      ...(publish !== undefined && { [PUBLISH]: publish.join(",") }),
    },
  };
}

/** Whether a config.json might say something of the network: to find out takes no parsing. */
function mayNameNetwork(bundle: string): boolean {
  return readConfig(bundle).includes(ANNOTATION);
}

/** Whether a sandbox has something to do with networks: nothing more is loaded for others. */
export function isConnected({ network, bundle, untrusted }: SandboxOptions): boolean {
  if (network !== undefined) return true;
  if (bundle === undefined || untrusted) return false;
  return typeof bundle === "string" ? mayNameNetwork(bundle) : annotatedNetwork(bundle.spec) !== undefined;
}

/** The spec with the namespace that the options ask for. */
export function withNetwork(spec: Spec, { mode, policy, allow }: NetworkOptions): Spec {
  const { namespaces = [] } = spec.linux ?? {};
  const others = namespaces.filter(({ type }) => type !== "network");
  const isOurs = mode === "bridge" || mode === "pasta" || policy !== undefined || allow !== undefined;
  if (mode === undefined && !isOurs) return spec;
  if (isOurs && namespaces.some(({ type, path }) => type === "network" && path !== undefined)) {
    throw new UnsupportedError(
      "a network policy",
      "config.json names a network namespace that others have made",
      "take its path out",
    );
  }
  const own = mode === "host"
    ? []
    : mode?.startsWith("netns:")
    ? [{ type: "network" as const, path: mode.slice("netns:".length) }]
    : [{ type: "network" as const }];
  return { ...spec, linux: { ...spec.linux, namespaces: [...others, ...own] } };
}

/** The mounts that are not there already. */
export function missingMounts(spec: Spec, mounts: readonly Mount[]): readonly Mount[] {
  const taken = new Set(spec.mounts?.map(({ destination }) => destination));
  return mounts.filter(({ destination }) => !taken.has(destination));
}
