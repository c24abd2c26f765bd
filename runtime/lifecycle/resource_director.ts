import { UnsupportedError } from "../errors.ts";
import type { IntelRdt, Spec } from "../spec/config.ts";

/** Lines for the class of a container in Intel's Resource Director. */
export interface CacheClass {
  /** Share of the L3 caches, as a line that begins with `L3:`. */
  readonly l3CacheSchema?: string | undefined;
  /** Memory bandwidth, as a line that begins with `MB:`. */
  readonly memBwSchema?: string | undefined;
}

const FIELDS = [["l3CacheSchema", "Intel RDT/CAT: l3 cache"], [
  "memBwSchema",
  "Intel RDT/MBA: memory bandwidth",
]] as const;

/**
 * Writes new lines for the class of a container (Documentation/arch/x86/resctrl.rst).
 *
 * @returns What config.json says from now on, if it changes.
 * @throws {UnsupportedError} in the words of runc, if this host or container has no such class.
 */
export function updateCache(id: string, lines: CacheClass, { linux }: Spec): IntelRdt | undefined {
  const asked = FIELDS.filter(([field]) => lines[field] !== undefined && lines[field] !== "");
  if (asked.length === 0) return undefined;
  const mountPoint = resctrl();
  const { intelRdt } = linux ?? {};
  if (mountPoint === undefined || intelRdt === undefined) {
    const [field, name] = asked[0]!;
    const reason = mountPoint === undefined
      ? `${name} schema is not enabled`
      : "the container was made without a class";
    throw new UnsupportedError(`/linux/intelRdt/${field}`, reason);
  }
  const directory = `${mountPoint}/${intelRdt.closID ?? id}`;
  for (const [field] of asked) {
    Deno.writeTextFileSync(`${directory}/schemata`, `${lines[field]}\n`, { create: false });
  }
  return { ...intelRdt, ...Object.fromEntries(asked.map(([field]) => [field, lines[field]])) };
}

function resctrl(): string | undefined {
  const [, mountPoint] = / (\/\S*) \S+ (?:\S+ )*- resctrl /.exec(
    Deno.readTextFileSync("/proc/self/mountinfo"),
  ) ?? [];
  return mountPoint;
}
