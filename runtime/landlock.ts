import { UnsupportedError } from "./errors.ts";
import { probeLandlock } from "./host/probe.ts";
import type { SandboxOptions } from "./options.ts";
import type { PlanRequest } from "./plan/context.ts";
import { DEFAULT_DEVICES } from "./plan/devices.ts";
import { type Access, type LandlockRule, type LandlockRules, type Scope, SINCE } from "./plan/landlock.ts";
import { mountOptions } from "./plan/mount_options.ts";
import type { Mount, NamespaceType, Spec } from "./spec/config.ts";

/** Version 1 forbids every rename between directories, which programs do not expect. */
const LEAST_ABI = SINCE.write;

/**
 * The request with Landlock's rules if the options ask for them.
 *
 * @throws {UnsupportedError} if they are required and this kernel cannot have them.
 */
export function withLandlock<Request extends PlanRequest>(
  request: Request,
  { landlock = false }: Pick<SandboxOptions, "landlock">,
): Request {
  if (!landlock) return request;
  const abi = probeLandlock() ?? 0;
  if (abi >= LEAST_ABI) return { ...request, landlock: defaultLandlock(request, abi) };
  if (landlock === "available") return request;
  throw new UnsupportedError(
    "Landlock",
    abi === 0
      ? "this kernel does not have it, or did not enable it when it started"
      : `this kernel has version ${abi} of its interface, which forbids every rename between directories`,
    abi === 0 ? "add landlock to the kernel parameter lsm= and restart" : "use Linux 5.19 or newer",
  );
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
