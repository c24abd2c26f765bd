import { UsageError } from "../errors.ts";

/** The unit of a container: a scope, or the slice that `cgroupsPath` names. */
export interface Unit {
  /** Such as `docker-1234.scope`. */
  readonly name: string;
  /** The slice that it lies in, such as `system.slice`; `-.slice` is the root of all. */
  readonly slice: string;
  /** Its cgroup, from the root of the hierarchy. */
  readonly path: string;
}

/** The longest name of a unit (systemd.unit(5)). */
const MOST_CHARACTERS = 255;

/**
 * The unit that `cgroupsPath` asks for, in the form `slice:prefix:name`; each may be empty.
 *
 * @param base The cgroup of systemd itself: `/`, or that of the user's instance.
 * @throws {UsageError} if it has another form, or names what is no unit.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * const unit = unitOf("a-b.slice:docker:1", { id: "1", base: "/", slice: "system.slice" });
 * deepEqual(unit, { name: "docker-1.scope", slice: "a-b.slice", path: "/a.slice/a-b.slice/docker-1.scope" });
 * ```
 */
export function unitOf(
  cgroupsPath: string | undefined,
  { id, base, slice: usual }: { readonly id: string; readonly base: string; readonly slice: string },
): Unit {
  const parts = cgroupsPath ? cgroupsPath.split(":") : ["", "ai-sandbox", id];
  const [asked = "", prefix = "", name = ""] = parts;
  if (parts.length !== 3) {
    throw new UsageError(
      `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got ${
        JSON.stringify(cgroupsPath)
      } instead`,
    );
  }
  const slice = asked === "" ? usual : asked === "-" ? "-.slice" : asked;
  const unit = name.endsWith(".slice") ? name : prefix === "" ? `${name}.scope` : `${prefix}-${name}.scope`;
  if (!isUnitName(unit)) throw new UsageError(`Cannot use "${unit}" as the name of a unit of systemd`);
  return { name: unit, slice, path: `${base === "/" ? "" : base}${slicePath(slice)}/${unit}` };
}

/** Where a slice is: each part of its name is a slice in the one before (systemd.slice(5)). */
function slicePath(slice: string): string {
  if (slice === "-.slice") return "";
  const name = /^([^/]+)\.slice$/.exec(slice)?.[1] ?? "";
  const parts = name.split("-");
  if (!isUnitName(slice) || parts.includes("")) {
    throw new UsageError(`Cannot use "${slice}": it is no name of a slice of systemd, such as "a-b.slice"`);
  }
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("-")}.slice`).join("");
}

function isUnitName(name: string): boolean {
  return /^[A-Za-z0-9:_.\\@-]+\.(scope|slice)$/.test(name) && name.length <= MOST_CHARACTERS;
}

/**
 * The cgroup of systemd itself, as its first process has it.
 *
 * @param groups /proc/<pid>/cgroup of systemd or, for the instance of a user, of a process that it has started.
 * @param uid The user, if it is the user's instance.
 */
export function baseOfManager(groups: string, uid: number | undefined): string {
  const lines = groups.split("\n");
  const line = lines.find((each) => /^\d+:name=systemd:/.test(each)) ??
    lines.find((each) => /^0::/.test(each));
  const path = line?.split(":").slice(2).join(":") ?? "/";
  if (uid === undefined) return path.replace(/\/init\.scope$/, "") || "/";
  const [own] = new RegExp(`^.*/user@${uid}\\.service(?=/|$)`).exec(path) ?? [];
  return own ?? `/user.slice/user-${uid}.slice/user@${uid}.service`;
}
