import { BUILD_ID } from "./build_id.ts";
import { readConfig } from "./config_file.ts";
import { probeCaller } from "./host/probe.ts";
import { readCached, writeCached } from "./image_cache.ts";
import type { Expected } from "./attest/expectation.ts";
import { INHERITED } from "./inherited.ts";
import { stillThere } from "./seen.ts";
import type { Bundle } from "./bundle.ts";
import type { Hooked, Listener, Rdt } from "./image_of.ts";
import type { Image } from "./launch/image.ts";
import type { KeptContainer } from "./lifecycle/kept_source.ts";
import type { Template } from "./lifecycle/template.ts";
import type { GroupRequest, Limits } from "./limits.ts";
import { EDIT_PLAN, type InnerOptions, OBSERVE, type SandboxOptions } from "./options.ts";
import type { PlanRequest } from "./plan/context.ts";
import type { Cut } from "./untrusted/rule.ts";

/** How many images a process keeps at hand. */
const MOST_IMAGES = 64;

/** An image, with everything that it was made from. */
export interface KeyedImage {
  /** Whatever decides over the content of the image, but for `kinds`: the same key makes the same image. */
  readonly key: string;
  /** What lay at the paths that the plan depends on, `directory` or `file`. */
  readonly kinds: Readonly<Record<string, string>>;
  readonly image: Image;
  /** What init must be like, if that is to be attested. */
  readonly expected?: Expected | undefined;
  /** What it was planned from; not known of an image that another process has made. */
  readonly request?: PlanRequest | undefined;
  /** Whether it can be run without anything of ours beside it: no terminal, no ids that somebody hands out. */
  readonly isSimple?: boolean | undefined;
  /** What is told of its bundle each time. */
  readonly warnings?: readonly string[] | undefined;
  /** Who else has a part in its start. */
  readonly hooked?: Hooked | undefined;
  /** What else is known of the container that it was made for. */
  readonly container?: KeptContainer | undefined;
  /** How others are made that differ from it in names. */
  readonly template?: Template | undefined;
}

/** An image, and how to keep it for later commands: to be called when the sandbox is on its way, so that nobody waits. */
export interface Found {
  readonly image: Image;
  readonly keep?: () => void;
  readonly listener?: Listener;
  readonly hooked?: Hooked;
  readonly rdt?: Rdt;
  readonly expected?: Expected | undefined;
  /** What it was planned from; not known of an image that another process has made. */
  readonly request?: PlanRequest | undefined;
  /** The cgroup that must be there when the image runs. */
  readonly group?: GroupRequest;
  /** What an untrusted bundle asked for and does not get. */
  readonly cuts?: readonly Cut[];
}

const images = new Map<string, KeyedImage>();

/**
 * The launcher image for `options`: one that was made before from exactly the same configuration, or a new one. The
 * planner is loaded only when it is needed.
 *
 * @throws {SpecError} with every problem of the bundle.
 */
export async function imageFor(options: InnerOptions): Promise<Found> {
  const { bundle, command } = options;
  const isOdd = options.untrusted || options.bare || EDIT_PLAN in options || OBSERVE in options;
  if (!isOdd && options.connection && command !== undefined) return await imageForConnected(options);
  if (isOdd || options.network) {
    return (await import("./image_of.ts")).imageOf(options);
  }
  if (typeof bundle === "object") return await imageForLoaded(options, bundle);
  const name = nameOf(options, bundle ?? command?.join("\0") ?? "");
  const key = bundle === undefined ? commandKey(options) : `${name}\n${readConfig(bundle)}`;
  const known = images.get(name) ?? readCached(name);
  if (known?.key === key && stillThere(known.kinds)) {
    remember(name, known);
    tell(known, options);
    const { image, expected, request } = known;
    return { image, expected, request, keep: () => keepSteps(options, name, known) };
  }
  const made = (await import("./image_of.ts")).imageOf(options);
  if (!made.reusable) return made;
  const { image, kinds, expected, request, isSimple, warnings } = made;
  const keyed = { key, kinds, image, expected, request, isSimple, warnings };
  remember(name, keyed);
  const keep = (): void => {
    writeCached(name, keyed);
    keepSteps(options, name, keyed);
  };
  return { image, expected, request, keep };
}

/** The same for a program with a place on the network: its image depends on the files that it has of it, too. */
async function imageForConnected(options: InnerOptions): Promise<Found> {
  const { id = "", network, connection } = options;
  const key = JSON.stringify([
    commandKey(options),
    network?.mode,
    connection!.mounts,
    connection!.unreachable,
  ]);
  const known = images.get(key);
  if (known?.hooked && known.request && stillThere(known.kinds)) {
    remember(key, known);
    const { image, expected, hooked, request } = known;
    return { image, expected, hooked: { ...hooked, id }, request: named(request, id) };
  }
  const made = (await import("./image_of.ts")).imageOf(options);
  if (made.reusable) remember(key, { key, ...made });
  return made;
}

/** What the planner has told before. */
function tell({ warnings = [] }: KeyedImage, { onWarning }: SandboxOptions): void {
  for (const warning of warnings) onWarning?.(warning);
}

function named(request: PlanRequest, id: string): PlanRequest {
  return { ...request, ...(request.hooked && { hooked: { ...request.hooked, id } }) };
}

/** What `runtime run DIR` asks for, and nothing else. */
const PLAIN = ["bundle", "id", "newlines", "onWarning", "stdin", "stdout", "stderr"];

/** Keeps the steps that need no Deno, behind what else is to be done now. */
function keepSteps(options: InnerOptions, name: string, keyed: KeyedImage): void {
  const { bundle, newlines, stdin, stdout, stderr } = options;
  if (BUILD_ID === "" || !keyed.isSimple || typeof bundle !== "string" || newlines !== "plain") return;
  if (Object.keys(options).some((each) => !PLAIN.includes(each))) return;
  if ([stdin, stdout, stderr].some((each) => each !== "inherit")) return;
  const keyOf = (config: string): string => `${name}\n${config}`;
  void import("./rerun.ts").then(({ keepRerun }) => keepRerun(absolute(bundle), keyed, keyOf));
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

const loaded = new WeakMap<Bundle, Map<string, KeyedImage>>();

/** The same for a bundle that the caller has loaded: it stays what it is, so that its identity is the key. */
async function imageForLoaded(options: SandboxOptions, bundle: Bundle): Promise<Found> {
  const key = nameOf(options, bundle.path);
  const known = loaded.get(bundle)?.get(key);
  if (known && stillThere(known.kinds)) {
    tell(known, options);
    return { image: known.image, expected: known.expected, request: known.request };
  }
  const made = (await import("./image_of.ts")).imageOf(options);
  if (!made.reusable) return made;
  let images = loaded.get(bundle);
  if (!images) loaded.set(bundle, images = new Map());
  if (images.size >= MOST_IMAGES) images.clear();
  images.set(key, { key, ...made });
  return made;
}

/** A program's sandbox depends on its options and on what it inherits. */
function commandKey(options: SandboxOptions): string {
  const { command, share } = options;
  return JSON.stringify([nameOf(options, ""), command, share, INHERITED.map((name) => Deno.env.get(name))]);
}

function nameOf(options: SandboxOptions, bundle: string): string {
  const { env, cwd, mounts, terminal, overlay, landlock, policy, attest, newlines } = options;
  const { preserveFds, pivot, newKeyring } = options;
  const { cpus, cpuset, memoryBytes, memorySwapBytes, pids, ioMax, cgroupManager }: Limits = options;
  const limits = [cpus, cpuset, memoryBytes, memorySwapBytes, pids, ioMax, cgroupManager];
  const path = absolute(bundle);
  const parts = [path, env, cwd, mounts, terminal, overlay, ...limits, landlock, policy, attest, newlines];
  if (preserveFds || pivot === false || newKeyring === false) {
    parts.push(preserveFds?.length, pivot, newKeyring);
  }
  if (pivot === false) parts.push(Deno.readTextFileSync("/proc/self/mountinfo")); // the image takes the host's mounts away
  const digits = (_: string, value: unknown): unknown => typeof value === "bigint" ? `${value}` : value;
  return JSON.stringify([probeCaller(), ...parts], digits);
}

function remember(name: string, keyed: KeyedImage): void {
  images.delete(name);
  images.set(name, keyed);
  if (images.size > MOST_IMAGES) images.delete(images.keys().next().value!);
}
