import { expect } from "./attest/expect.ts";
import type { Expected } from "./attest/expectation.ts";
import { assemble, type Image } from "./launch/image.ts";
import type { GroupRequest } from "./limits.ts";
import { type DefectiveOptions, EDIT_PLAN, type InnerOptions } from "./options.ts";
import type { PlanRequest } from "./plan/context.ts";
import { plan } from "./plan/plan.ts";
import { type Preparation, prepare, type Prepared } from "./prepare.ts";
import { findResctrl, planRdt, type RdtGroup } from "./rdt.ts";
import type { Hooks, Linux, Spec } from "./spec/config.ts";
import { hasHooks } from "./spec/state.ts";
import type { Cut } from "./untrusted/rule.ts";

/** A new image, and what it depends on besides its configuration. */
export interface Made {
  readonly image: Image;
  readonly kinds: Record<string, string>;
  /** Whether another sandbox with the same configuration can have it too. */
  readonly reusable: boolean;
  /** Whether it can be run without anything of ours beside it: no terminal, no ids that somebody hands out. */
  readonly isSimple: boolean;
  readonly listener?: Listener;
  /** What init must be like, if that is to be attested. */
  readonly expected?: Expected;
  /** The cgroup that must be there when the image runs. */
  readonly group?: GroupRequest;
  /** What an untrusted bundle asked for and does not get. */
  readonly cuts?: readonly Cut[];
  /** What was told of its bundle, and is told again wherever the image is used. */
  readonly warnings?: readonly string[];
  readonly hooked?: Hooked;
  /** What it has in resctrl, and where that is mounted. */
  readonly rdt?: Rdt;
  /** What it was planned from. */
  readonly request: PlanRequest;
}

/** What a sandbox has in resctrl. */
export interface Rdt {
  readonly root: string;
  readonly group: RdtGroup;
}

function rdtOf({ linux }: Spec, id: string): Rdt | undefined {
  if (linux?.intelRdt === undefined) return undefined;
  const root = findResctrl(Deno.readTextFileSync("/proc/self/mountinfo"));
  return { group: planRdt(root, id, linux.intelRdt), root: root! };
}

/** The hooks of a sandbox, and what they are told of it. */
export interface Hooked extends Pick<Spec, "annotations"> {
  readonly hooks: Hooks;
  readonly id: string;
  readonly bundle: string;
  /** Network devices that are moved to it first. */
  readonly netDevices?: Linux["netDevices"];
}

function hookedOf({ spec, bundle }: PlanRequest, id: string): Hooked {
  const { hooks = {}, annotations, linux } = spec;
  return {
    hooks,
    id,
    bundle,
    ...(annotations && { annotations }),
    ...(linux?.netDevices && { netDevices: linux.netDevices }),
  };
}

/** Where the listener of the sandbox's seccomp filter is to go. */
export interface Listener {
  readonly path: string;
  readonly metadata?: string;
  readonly bundle: string;
  readonly annotations?: Spec["annotations"];
}

/**
 * Plans and assembles the image for `options`.
 *
 * @param preparation Who is to run it, if not the calling process.
 * @throws {SpecError} with every problem of the bundle.
 */
export function imageOf(options: InnerOptions, preparation?: Preparation): Made {
  const request = prepare(options, preparation);
  const { [EDIT_PLAN]: edit }: DefectiveOptions = options;
  const planned = plan(request);
  const image = assemble(edit ? edit(planned) : planned);
  const rdt = rdtOf(request.spec, options.id ?? "");
  const made = {
    ...(rdt && { rdt }),
    image,
    request,
    kinds: kindsOf(request),
    reusable: isReusable(request) && !edit && !rdt,
    isSimple: isSimple(request, image),
    ...(request.attest && { expected: expect(request) }),
    ...(request.group && { group: request.group }),
    ...(request.cuts && { cuts: request.cuts }),
    ...(request.warnings && { warnings: request.warnings }),
    ...(request.hooked && { hooked: hookedOf(request, request.hooked.id) }),
  };
  const { listenerPath: path, listenerMetadata: metadata } = request.spec.linux?.seccomp ?? {};
  if (!request.filter?.notify || path === undefined) return made;
  const { annotations } = request.spec;
  const noted = annotations && Object.keys(annotations).length > 0 ? { annotations } : {};
  return {
    ...made,
    reusable: false,
    listener: { path, ...(metadata !== undefined && { metadata }), bundle: request.bundle, ...noted },
  };
}

/** Of what is reusable: what takes a supervisor that is Deno. */
function isSimple({ spec, attest, host, root, filter }: PlanRequest, { idsAt }: Image): boolean {
  return host.privileged && root.kind === "overlay" && !spec.process?.terminal && !attest &&
    !filter?.notify &&
    idsAt.length === 0;
}

function kindsOf({ root, sources, seen }: PlanRequest): Record<string, string> {
  const kinds: Record<string, string> = { ...Object.fromEntries(sources), ...seen };
  if (root.kind === "directory") kinds[root.path] = "root";
  if (root.kind === "overlay") { for (const lower of root.lowers) kinds[lower] = "root"; }
  return kinds;
}

/**
 * A cgroup mount, and the group of a sandbox without a pid namespace, lie in the caller's: another one next time. So
 * does a group for limits, which bears the sandbox's name too, as does what hooks are told. What an untrusted bundle names is looked at each time.
 */
function isReusable({ spec, group, cuts, hooked }: Prepared): boolean {
  const isHooked = hooked && (hasHooks(spec) || Object.keys(spec.linux?.netDevices ?? {}).length > 0);
  if (group || cuts || isHooked) return false;
  const ownPids = spec.linux?.namespaces?.some(({ type, path }) => type === "pid" && path === undefined) ??
    false;
  return ownPids && !spec.mounts?.some(({ type }) => type === "cgroup" || type === "cgroup2");
}
