import { UnsupportedError } from "./errors.ts";
import { probeLandlock } from "./host/probe.ts";
import type { SandboxOptions } from "./options.ts";
import type { PlanRequest } from "./plan/context.ts";
import { DEFAULT_DEVICES } from "./plan/devices.ts";
import { type Access, type LandlockRule, type LandlockRules, type Scope, SINCE } from "./plan/landlock.ts";
import type { FileRules, Policy } from "./policy/policy.ts";
import { mountOptions } from "./plan/mount_options.ts";
import type { Mount, NamespaceType, Spec } from "./spec/config.ts";

/** Version 1 forbids every rename between directories, which programs do not expect. */
const LEAST_ABI = SINCE.write;

/** What is asked of Landlock. */
export interface Asked extends Pick<SandboxOptions, "landlock"> {
  /** The policy in force: one with files or ports needs Landlock. */
  readonly policy?: Policy | undefined;
}

/**
 * The request with Landlock's rules if the options ask for them, or the policy names files or ports.
 *
 * @throws {UnsupportedError} if they are required and this kernel cannot have them.
 */
export function withLandlock<Request extends PlanRequest>(request: Request, asked: Asked): Request {
  const { policy, landlock = policy?.landlock ? "available" : false } = asked;
  const named = (["files", "ports"] as const).find((each) => policy?.[each]);
  if (!landlock && !named) return request;
  const abi = probeLandlock() ?? 0;
  if (abi >= LEAST_ABI) {
    return { ...request, landlock: narrowed(defaultLandlock(request, abi), policy ?? {}) };
  }
  if (landlock !== true && !named) return request;
  throw new UnsupportedError(
    named && landlock !== true ? `the ${named} of policy "${policy!.name}", by Landlock` : "Landlock",
    abi === 0
      ? "this kernel does not have it, or did not enable it when it started"
      : `this kernel has version ${abi} of its interface, which forbids every rename between directories`,
    abi === 0 ? "add landlock to the kernel parameter lsm= and restart" : "use Linux 5.19 or newer",
  );
}

/**
 * Rules under which only the files and ports of a policy can be used: what they allow to write everywhere is taken
 * back. The plan refuses what the kernel's interface has no word for.
 */
export function narrowed(
  rules: LandlockRules,
  { files, ports }: Pick<Policy, "files" | "ports">,
): LandlockRules {
  const net = ports && { net: { bind: ports.bind, connect: ports.connect } };
  if (!files) return { ...rules, ...net };
  const rest = rules.rules.map((rule) => ({
    ...rule,
    access: rule.access.filter((each) => !WRITES.includes(each)),
  }));
  return {
    ...rules,
    handled: [...rules.handled, "read", "execute"],
    rules: [...rest.filter(({ access }) => access.length > 0), ...fileRules(files, rules.handled)],
    ...net,
  };
}

const WRITES: readonly Access[] = ["write", "truncate"];

function fileRules(files: FileRules, handled: readonly Access[]): LandlockRule[] {
  const found = new Map<string, Set<Access>>();
  const allow = (paths: readonly string[], access: readonly Access[]): void => {
    for (const path of paths) found.set(path, new Set([...found.get(path) ?? [], ...access]));
  };
  allow(files.read, ["read"]);
  allow(files.list, ["list"]);
  allow(files.write, WRITES.filter((each) => handled.includes(each)));
  allow(files.execute, ["read", "execute"]);
  return [...found].map(([path, access]) => ({
    path,
    kind: path.endsWith("/") ? "directory" : "file",
    access: [...access],
    optional: true,
  }));
}

/**
 * What Landlock adds to a sandbox whose namespaces and mounts are in place, so that one hole in those is not enough:
 *
 * - files change only on mounts that are writable, even for a program that finds a way to remount;
 * - no mount changes any more, and what joins the sandbox from outside cannot be traced (both come with any rule);
 * - device files can be made only with CAP_MKNOD, and ioctl works only on the devices of the sandbox;
 * - where the network or the pids are shared, abstract sockets and signals do not reach beyond the sandbox.
 *
 * Reading and executing stay free: what is in the root is there to be read. What this kernel's interface has no word
 * for is left out.
 *
 * @param abi The version of the kernel's interface, 2 at least.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * import { defaultLandlock } from "./landlock.ts";
 * const spec = { ociVersion: "1.3.0", root: { path: "rootfs" }, linux: { namespaces: [{ type: "pid" as const }] } };
 * deepEqual(defaultLandlock({ spec, bundle: "/b", sources: new Map() }, 7).scoped, ["abstract sockets"]);
 * ```
 */
export function defaultLandlock(
  request: Pick<PlanRequest, "spec" | "bundle" | "sources">,
  abi: number,
): LandlockRules {
  const { spec } = request;
  const knows = (each: Access | Scope): boolean => SINCE[each] <= abi;
  const handled: Access[] = (["write", "truncate", "devices", "ioctl"] as const).filter(knows);
  const rules = [...writable(request), ...devices(spec)].map((rule) => ({
    ...rule,
    access: rule.access.filter(knows),
  }));
  const shares = (type: NamespaceType): boolean => !isNew(spec, type);
  const scoped: Scope[] = [
    ...(shares("network") ? ["abstract sockets" as const] : []),
    ...(shares("pid") ? ["signals" as const] : []),
  ];
  return {
    abi,
    handled,
    rules: rules.filter(({ access }) => access.length > 0),
    scoped: scoped.filter(knows),
  };
}

function isNew({ linux }: Spec, wanted: NamespaceType): boolean {
  return linux?.namespaces?.some(({ type, path }) => type === wanted && path === undefined) ?? false;
}

/** The root if it is writable; else the mounts that are, and the devices, which a read-only mount does not stop. */
function* writable(request: Pick<PlanRequest, "spec" | "bundle" | "sources">): Iterable<LandlockRule> {
  const { root, mounts = [], process } = request.spec;
  const canMake = process?.capabilities?.bounding?.includes("CAP_MKNOD") ?? false;
  const access: Access[] = ["write", "truncate", ...(canMake ? ["devices" as const] : [])];
  if (!root.readonly) {
    yield { path: "/", kind: "directory", access };
    // mq_open(3) goes through a mount of the kernel's own, from which no way leads up to "/".
    for (const { destination, type, options = [] } of mounts) {
      const writable = type === "mqueue" && !("RDONLY" in mountOptions(options, type).set);
      if (writable) yield { path: destination, kind: "directory", access: ["write", "truncate"] };
    }
    return;
  }
  yield { path: "/dev", kind: "directory", access, optional: true };
  for (const mount of mounts) {
    const { set, setAll } = mountOptions(mount.options ?? [], mount.type);
    if ("RDONLY" in set || "RDONLY" in setAll) continue;
    yield { path: mount.destination, kind: kindOf(request, mount), access };
  }
}

function kindOf(
  { bundle, sources }: Pick<PlanRequest, "bundle" | "sources">,
  { source = "" }: Mount,
): LandlockRule["kind"] {
  return sources.get(source.startsWith("/") ? source : `${bundle}/${source}`) ?? "directory";
}

/** The devices that the sandbox is meant to have: all in a /dev of its own, else the usual ones, and those asked for. */
function* devices({ mounts = [], linux, process }: Spec): Iterable<LandlockRule> {
  const own = mounts.some(({ destination, type, options = [] }) => {
    return destination.replace(/\/+$/, "") === "/dev" && type === "tmpfs" &&
      !mountOptions(options, type).bind;
  });
  if (own) yield { path: "/dev", kind: "directory", access: ["ioctl"] };
  const asked = linux?.devices ?? [];
  const console = process?.terminal ? [{ path: "/dev/console" }] : [];
  for (const { path } of own ? asked : [...DEFAULT_DEVICES, ...console, ...asked]) {
    if (own && path.startsWith("/dev/")) continue;
    yield { path, kind: "file", access: ["ioctl"], optional: true };
  }
  if (!own) yield { path: "/dev/pts", kind: "directory", access: ["ioctl"], optional: true };
}
