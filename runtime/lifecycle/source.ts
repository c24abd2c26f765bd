import { forbidden } from "../attest/permits.ts";
import { type Bundle, loadBundle } from "../bundle.ts";
import { UnsupportedError, UsageError } from "../errors.ts";
import type { Fd } from "../../ffi/fd.ts";
import { imageOf, type Made } from "../image_of.ts";
import {
  annotatedNetwork,
  type Connection,
  needsConnection,
  type NetworkOptions,
  withNetworkAnnotations,
} from "../network.ts";
import type { SandboxOptions } from "../options.ts";
import { annotatedOverlay } from "../overlay_choice.ts";
import type { Spec } from "../spec/config.ts";
import { exactJson } from "../spec/exact_json.ts";
import type { Record } from "../state/record.ts";
import type { Entry } from "../state/store.ts";
import type { ChildOptions, CreateOptions } from "./create.ts";
import { keepSource } from "./keep_source.ts";
import { keepTemplate } from "./keep_template.ts";
import type { Asked } from "./kept_source.ts";

/** All that a container is made from. */
export interface Source {
  readonly bundle: Pick<Bundle, "path"> & { readonly spec: Pick<Spec, "root" | "annotations"> };
  readonly made: Pick<Made, "image" | "group" | "hooked" | "rdt" | "listener">;
  /** The config.json that is kept beside its record. */
  readonly specText: string;
  /** Whether the program has the caller's keys. */
  readonly keepsKeys: boolean;
  readonly filterFlags?: number | undefined;
  /** What is told of its bundle each time, if nobody has told it yet. */
  readonly warnings?: readonly string[] | undefined;
  /** Its place on the network. */
  readonly connection?: Connection | undefined;
  /** Its entry in the store, if that was taken already. */
  readonly entry?: Entry | undefined;
  /** The file system of the upper layer of its overlay. */
  readonly upper?: () => Fd | undefined;
  /**
   * Keeps it for other containers: called while this one is being built, it gives what is called when it is made, of which
   * there is this record.
   */
  readonly keep?: () => (entry: Entry, record: Omit<Record, "version">) => void | Promise<void>;
}

/** What the making of a container is given. */
export interface Making {
  readonly given: Omit<ChildOptions, "attached" | "stdio">;
  readonly attached: boolean;
  /** What may be kept. */
  readonly asked?: Asked | undefined;
  /** Takes its entry in the store. */
  readonly claim: () => Entry;
  /** What goes again if it does not come to be. */
  readonly parts: AsyncDisposableStack;
}

/** Loads a bundle, plans what is made from it, and assembles that; throws as `createContainer` does. */
export async function newSource(
  id: string,
  options: CreateOptions,
  { given, attached, asked, claim, parts }: Making,
): Promise<Source> {
  const first = given.bundle && claim();
  const bundle = first ? given.bundle!(first) : loadBundle(options.bundle ?? ".", asked?.config);
  const overlay = annotatedOverlay(bundle.spec.annotations);
  // What is mounted must be there when it is looked at.
  const network = options.network ?? annotatedNetwork(bundle.spec);
  const isPlaced = network !== undefined && needsConnection(network);
  const entry = first ?? (options.notify || isPlaced ? claim() : undefined);
  const { onWarning } = options;
  const { cgroupManager = "cgroupfs" } = options;
  const wanted = {
    bundle,
    id,
    overlay,
    ...(onWarning && { onWarning }),
    cgroupManager,
    ...(attached && { newlines: "plain" as const }),
    ...(given.upper && { keptUpper: true }),
    ...await inherited(options, options.notify ? entry : undefined),
  };
  const connection = isPlaced ? await connect(id, network, options, parts) : undefined;
  const made = imageOf({ ...wanted, ...(network && { network, connection }) }, {
    form: "detached",
    attended: attached,
  });
  refuse(made, options, attached);
  const { spec } = bundle;
  const specText = exactJson(options.network ? withNetworkAnnotations(spec, options.network) : spec);
  const { request } = made;
  return {
    bundle,
    made,
    specText,
    keepsKeys: request.keepKeys ?? false,
    filterFlags: request.filter?.flags,
    connection,
    entry,
    ...(given.upper && { upper: () => given.upper!(request) }),
    ...(asked && !network && {
      keep: () =>
        bundle.spec.linux?.cgroupsPath
          ? () => keepTemplate(asked, bundle, specText, made)
          : keepSource(asked, bundle, specText, made),
    }),
  };
}

/** Takes a place on the network, which is given back with the other parts of what does not come to be. */
async function connect(
  id: string,
  network: NetworkOptions,
  { root }: CreateOptions,
  parts: AsyncDisposableStack,
): Promise<Connection> {
  const { placed } = await import("../connect.ts");
  return parts.use(await placed(id, { ...network, root }));
}

/** What the program gets from who creates it, beside the bundle. */
async function inherited(
  { env = [], preserveFds, pivot, newKeyring }: CreateOptions,
  entry: Entry | undefined,
): Promise<Partial<SandboxOptions>> {
  const same = { preserveFds, pivot, newKeyring };
  if (!entry) return { ...(env.length > 0 && { env }), ...same };
  const { NOTIFY_ENV, notifyMount } = await import("./notify.ts");
  return { env: [...env, NOTIFY_ENV], mounts: [notifyMount(entry)], ...same };
}

/** What takes somebody who stays. */
function refuse(
  { image, listener, request }: Made,
  { consoleSocket }: CreateOptions,
  attached: boolean,
): void {
  const hasTerminal = request.spec.process?.terminal ?? false;
  if (hasTerminal && consoleSocket === undefined && !attached) {
    throw new UsageError(
      "Cannot give the program a terminal: name a socket that takes it by --console-socket",
    );
  }
  if (!hasTerminal && consoleSocket !== undefined) {
    throw new UsageError(
      "Cannot use --console-socket: the program has no terminal, process.terminal is not true",
    );
  }
  const call = listener && request.filter && forbidden(request.filter, request.host.arch, true);
  if (call !== undefined) {
    throw new UnsupportedError(
      "/linux/seccomp",
      `the filter does not allow ${call}, by which the container waits to be started when the agent has its listener`,
      `allow ${call}`,
    );
  }
  if (image.idsAt.length > 0) {
    throw new UnsupportedError(
      "a range of user ids",
      "nobody would keep it for a detached container",
      "use run",
    );
  }
}
