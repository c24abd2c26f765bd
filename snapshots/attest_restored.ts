import { compare } from "../runtime/attest/compare.ts";
import type { Expected } from "../runtime/attest/expectation.ts";
import { statusLine } from "../runtime/attest/parse.ts";
import { Sight } from "../runtime/attest/sight.ts";
import { AttestationError, type Difference } from "../runtime/errors.ts";
import { capabilityMask } from "../runtime/plan/identity.ts";
import type { PlanRequest } from "../runtime/plan/context.ts";
import type { KeptFilter } from "./seccomp_image.ts";

/** What stays as it was made, whatever the program has done since. */
const LASTING = ["namespace", "uid_map", "gid_map", "setgroups", "cgroup"];
const SETS = ["CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb"];

/** A container that CRIU has built again and that does not run yet. */
export interface Rebuilt {
  readonly id: string;
  /** Its first process. */
  readonly pid: number;
  /** All of its processes. */
  readonly pids: readonly number[];
  /** What is asked for now. */
  readonly request: PlanRequest;
  /** What follows from that. */
  readonly expected: Expected;
  /** The filters of the images. */
  readonly filters: readonly KeptFilter[];
}

/**
 * Compares every process of a container that was built again with what its config asks for now: what the images say
 * of rights, filters and mounts is not believed.
 *
 * @throws {AttestationError} naming every difference.
 */
export function attestRestored(rebuilt: Rebuilt): void {
  const { id, pid, request, expected } = rebuilt;
  using sight = new Sight(pid);
  const facts = expected.facts.filter(({ fact, of }) => {
    // CRIU gives every container a time namespace, so that its clocks go on.
    return LASTING.includes(fact) && !(fact === "namespace" && of === "time");
  });
  const bounding = request.spec.process?.capabilities?.bounding ?? [];
  // Who may mount may have changed the mounts.
  const fixed = !bounding.includes("CAP_SYS_ADMIN") && expected.mounts;
  const differences = [
    ...compare(fixed ? { facts, mounts: fixed } : { facts }, sight),
    ...rebuilt.pids.flatMap((each) => tasks(each).flatMap((task) => compareTask(task, rebuilt))),
    ...compareFilters(rebuilt),
  ];
  if (differences.length > 0) throw new AttestationError(id, differences, "take another checkpoint");
}

function tasks(pid: number): { readonly who: string; readonly status: string }[] {
  return Array.from(Deno.readDirSync(`/proc/${pid}/task`), ({ name }) => {
    return { who: `process ${pid}`, status: Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`) };
  });
}

function compareTask(
  { who, status }: { readonly who: string; readonly status: string },
  { request: { spec, filter } }: Rebuilt,
): Difference[] {
  const found: Difference[] = [];
  const { capabilities = {}, noNewPrivileges } = spec.process ?? {};
  const allowed = capabilityMask(capabilities.bounding) | capabilityMask(capabilities.permitted) |
    capabilityMask(capabilities.inheritable);
  for (const set of SETS) {
    const has = BigInt(`0x${statusLine(status, set) ?? "0"}`);
    const more = has & ~allowed;
    if (more !== 0n) {
      found.push({
        what: `${set} of ${who}`,
        asked: `at most 0x${allowed.toString(16)}`,
        is: `0x${has.toString(16)}`,
      });
    }
  }
  if (noNewPrivileges && statusLine(status, "NoNewPrivs") !== "1") {
    found.push({ what: `no_new_privs of ${who}`, asked: "1", is: "0" });
  }
  if (filter && statusLine(status, "Seccomp") !== "2") {
    found.push({ what: `seccomp of ${who}`, asked: "a filter", is: "none" });
  }
  return found;
}

/** The filter of now must be the first of every process: what it has installed itself comes behind it. */
function compareFilters({ request: { filter }, filters }: Rebuilt): Difference[] {
  if (!filter) return [];
  const same = filters.filter(({ isFirst }) => isFirst).every(({ program }) =>
    equal(program, filter.program)
  );
  if (same && filters.length > 0) return [];
  return [{ what: "seccomp filter", asked: "the one of config.json", is: "another one in the images" }];
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
