import type { DeviceRule } from "../spec/linux.ts";
import { deviceWrites } from "./_devices.ts";
import { type Hierarchies, RESOURCES, type Write } from "./hierarchy.ts";

const POINTER = `${RESOURCES}/devices`;
const [ALLOW, DENY] = ["devices.allow", "devices.deny"];

/** One answer for every device, and for which ones the other: the letters of the access by `c 1:3`. */
interface Answers {
  readonly usual: boolean;
  readonly exceptions: ReadonlyMap<string, string>;
}

/**
 * What to write so that other device rules hold in a group of version 1 that is in use. Only what differs is written:
 * nobody is denied for a moment what both allow, and the kernel takes no new answer for everything where there are groups
 * below (Documentation/admin-guide/cgroup-v1/devices.rst).
 */
export function* deviceChanges(
  before: readonly DeviceRule[],
  now: readonly DeviceRule[],
  hierarchies: Hierarchies,
): Iterable<Write> {
  const writes = [...deviceWrites(now, hierarchies)];
  if (writes.length === 0) return;
  const [old, next] = [answers(deviceWrites(before, hierarchies)), answers(writes)];
  if (old.usual !== next.usual) return yield* writes;
  const { mountPoint } = writes[0]!;
  const write = (allow: boolean, device: string, access: string): Write => {
    return { mountPoint, file: allow ? ALLOW : DENY, value: `${device} ${access}`, pointer: POINTER };
  };
  for (const [device, access] of next.exceptions) {
    const added = without(access, old.exceptions.get(device));
    if (added !== "") yield write(!next.usual, device, added);
  }
  for (const [device, access] of old.exceptions) {
    const gone = without(access, next.exceptions.get(device));
    if (gone !== "") yield write(next.usual, device, gone);
  }
}

function answers(writes: Iterable<Write>): Answers {
  let usual = true; // without rules
  const exceptions = new Map<string, string>();
  for (const { file, value } of writes) {
    const allow = file === ALLOW;
    if (value === "a") {
      usual = allow;
      exceptions.clear();
      continue;
    }
    const [type, numbers, access = ""] = value.split(" ");
    const device = `${type} ${numbers}`;
    const had = exceptions.get(device) ?? "";
    exceptions.set(device, allow === usual ? without(had, access) : without(had, access) + access);
  }
  return { usual, exceptions };
}

function without(access: string, other = ""): string {
  return [...access].filter((letter) => !other.includes(letter)).join("");
}
