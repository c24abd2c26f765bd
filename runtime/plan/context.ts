import type { Host } from "../host/facts.ts";
import type { NamespaceType, Spec } from "../spec/config.ts";
import type { Kind } from "./files.ts";
import type { LandlockRules } from "./landlock.ts";
import type { Op } from "./op.ts";
import type { Beneath } from "./sources.ts";

/** Where the root file system of a sandbox comes from. */
export type Root =
  /** The directories as they are, or under an overlay whose upper layer is a tmpfs of `sizeBytes`. */
  | { readonly kind: "directory"; readonly path: string }
  | {
    readonly kind: "overlay";
    readonly lowers: readonly string[];
    readonly sizeBytes: number;
    /** Whether that tmpfs comes by a descriptor behind all others, with files in it already. */
    readonly isKept?: boolean;
  }
  /** A new tmpfs with these entries in it, in order: nothing of it exists on the host. */
  | { readonly kind: "scratch"; readonly sizeBytes: number; readonly entries: readonly Entry[] };

/** What a scratch root begins with. */
export type Entry =
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | { readonly kind: "link"; readonly path: string; readonly to: string }
  | { readonly kind: "file"; readonly path: string; readonly text: string };

/** A seccomp filter in compiled form. */
export interface Filter {
  /** `struct sock_filter[]` */
  readonly program: Uint8Array;
  /** `SECCOMP_FILTER_FLAG_*` */
  readonly flags: number;
  /** A decision is asked for in user space: the listener's descriptor must reach the one who asked. */
  readonly notify: boolean;
}

/** What a policy adds that no spec can say. */
export interface Confinement {
  /** Installed before the start gate, in this order: they let through what init does until it is the program. */
  readonly filters: readonly Filter[];
  /** Upper bounds; a caller whose own are lower keeps those. */
  readonly rlimits: NonNullable<NonNullable<Spec["process"]>["rlimits"]>;
  /** Limits of the sandbox's own user namespace, files of /proc/sys/user. */
  readonly userLimits: Readonly<Record<string, number>>;
}

/**
 * The host id in a spec's id maps that stands for the first of a range which the launch finds: the range differs from
 * one sandbox to the next, the image does not. As a number it is refused by the kernel: a range would reach -1.
 */
export const UNASSIGNED_ID = 0xffff0000;

/** What a plan is made from. */
export interface PlanRequest {
  readonly spec: Spec;
  /** Absolute path of the bundle; relative mount sources begin there. */
  readonly bundle: string;
  readonly root: Root;
  readonly host: Host;
  /** What lies at the source of each bind mount. */
  readonly sources: ReadonlyMap<string, Kind>;
  /** The sources of mounts and of the root that must lie beneath a directory, by path. */
  readonly beneath?: ReadonlyMap<string, Beneath> | undefined;
  /** Whether a bind that names flags has only those: without it flags of the source stay unless they are cleared by name. */
  readonly clearsFlags?: boolean | undefined;
  /** How files looked that the spec was completed from, by their paths. */
  readonly seen?: Readonly<Record<string, string>>;
  readonly filter?: Filter | undefined;
  /** What Landlock keeps the program from, beside everything else. */
  readonly landlock?: LandlockRules | undefined;
  readonly confinement?: Confinement | undefined;
  /** The cgroup directories that init joins, on the host; nobody else is in them. */
  readonly groups?: readonly GroupDirectory[] | undefined;
  /** Whether init is looked at when it waits at the start gate: its filter is installed by then. */
  readonly attest?: boolean | undefined;
  /** What hooks are told of the sandbox; without it none run. */
  readonly hooked?: {
    readonly id: string;
    readonly version: string;
    /** Whether its network namespace is connected first. */
    readonly connected?: boolean;
    /** What it does not reach, whatever it is connected with. */
    readonly unreachable?: readonly UnreachableBlock[];
  } | undefined;
  /** How many descriptors the program gets beside stdin, stdout and stderr: they are its 3 and those above. */
  readonly preserved?: number | undefined;
  /**
   * Mounts the root over the host's in place of pivot_root, which a root in the kernel's first file system forbids; these
   * are the mounts on the host's root, in the order in which they go.
   */
  readonly noPivot?: { readonly leaves: readonly string[] } | undefined;
  /** Leaves the program the keys of the caller. */
  readonly keepKeys?: boolean | undefined;
  /** Whether the terminal passes newlines on as they are written. */
  readonly plainNewlines?: boolean | undefined;
  /** Without any namespace: the program stays in the host's, under Landlock and a filter alone. */
  readonly bare?: boolean;
  /**
   * `supervised`: another process watches and reports. `detached`: another process starts it and goes away, and whoever
   * inherits init waits for it. `standalone`: the image is all there is.
   */
  readonly form: "supervised" | "detached" | "standalone";
  /** Whether somebody waits for a detached init, and takes it along when it ends. */
  readonly attended?: boolean | undefined;
}

/** Addresses that a sandbox is kept from. */
export interface UnreachableBlock {
  /** How it is written. */
  readonly text: string;
  readonly family: 4 | 6;
  /** The first address, as its 4 or 16 bytes. */
  readonly address: readonly number[];
  readonly prefixLength: number;
}

/** A cgroup that init is to be in, by its directory on the host. */
export interface GroupDirectory {
  readonly directory: string;
  /** Of the hierarchy that it lies in. */
  readonly version: 1 | 2;
}

/** Steps of one part of the work, by the time and the process they belong to. */
export interface Steps {
  /** By the launcher, with the host's rights and view. */
  readonly launcher?: readonly Op[];
  /** By the launcher, when init's user namespace is there: slot `init:userns` is its descriptor. */
  readonly mapped?: readonly Op[];
  /** By the launcher with the host's rights, when init asks for it. */
  readonly served?: readonly Op[];
  /** By init, while the host's files can still be reached. */
  readonly before?: readonly Op[];
  /** By init after that, in its network namespace. */
  readonly connected?: readonly Op[];
  /** By init, inside the new root. */
  readonly inside?: readonly Op[];
}

/** The request with the answers that several planners need. */
export interface Context extends PlanRequest {
  readonly arch: Host["arch"];
  /** How each namespace comes about. */
  readonly namespace: (type: NamespaceType) => "new" | "joined" | "shared";
  /** Whether the launcher opens what is mounted (it may), or init has to (an unprivileged user's). */
  readonly launcherOpens: boolean;
  /** Whether the ids of the sandbox are a range of the host's that the launch finds: files are mapped to it. */
  readonly idRange: boolean;
  /**
   * Whether the new process writes itself into its group of version 2 too, in place of being born there: a cgroup namespace
   * that its launcher has entered forbids that, but the files count as from where they were opened (cgroups(7)). A limit of
   * no process at all forbids it too, but not to move there.
   */
  readonly writesGroups?: boolean;
  /** Whether the program's words are known only when it runs: see plan/given.ts. */
  readonly given?: boolean | undefined;
}

/**
 * Whether a sandbox without a mount namespace of its own has mounts all the same, or a root that nobody may write to: its root is
 * a tree of mounts that lies in no namespace. Nobody else sees anything of it, and the last process takes it along.
 */
export function hasDetachedRoot({ spec, namespace }: Pick<Context, "spec" | "namespace">): boolean {
  if (namespace("mount") === "joined") return true;
  return namespace("mount") === "shared" && (spec.mounts?.length ?? 0) > 0;
}

/** Answers the common questions about a request once. */
export function context(request: PlanRequest): Context {
  const ways = new Map(
    request.spec.linux?.namespaces?.map(({ type, path }) =>
      [type, path === undefined ? "new" : "joined"] as const
    ),
  );
  const namespace = (type: NamespaceType): "new" | "joined" | "shared" => ways.get(type) ?? "shared";
  const { host, spec } = request;
  const idRange = spec.linux?.uidMappings?.some(({ hostID }) => hostID === UNASSIGNED_ID) ?? false;
  // In a namespace that is joined paths lead where they lead in there, and only its mounts can be copied.
  const launcherOpens = host.privileged && namespace("mount") !== "joined";
  const isFull = Number(spec.linux?.resources?.pids?.limit ?? -1) === 0;
  const writesGroups = namespace("cgroup") === "joined" || isFull;
  return { ...request, arch: host.arch, namespace, launcherOpens, idRange, writesGroups };
}
