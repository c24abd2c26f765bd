import { UnsupportedError } from "../errors.ts";
import type { DeviceRule } from "../spec/linux.ts";
import { accessOf, ALWAYS, isForAll, shared } from "./device_rules.ts";
import { type Hierarchies, RESOURCES, type Write } from "./hierarchy.ts";

const POINTER = `${RESOURCES}/devices`;

/** A rule about one kind of device, with -1 for every number. */
interface Exact {
  readonly type: "b" | "c";
  readonly major: number;
  readonly minor: number;
  readonly access: string;
}

/**
 * Rules for devices: controller `devices` of version 1. As with runc, all is denied before the first rule.
 *
 * The kernel keeps one answer for everything, and exceptions from it. It removes an exception only where the numbers
 * are the same (security/device_cgroup.c), and ignores a rule that would have to split one: such lists are refused.
 */
export function* deviceWrites(rules: readonly DeviceRule[], hierarchies: Hierarchies): Iterable<Write> {
  if (rules.length === 0) return;
  const open = rules.findLastIndex((rule) => rule.allow && isForAll(rule));
  const denial = rules.findIndex(({ allow }, index) => !allow && index > open);
  const hierarchy = hierarchies.find("devices");
  if (hierarchy?.version !== 1) {
    if (denial === -1 || hierarchies.unified !== undefined) return; // a program of version 2 decides
    throw new UnsupportedError(
      `${POINTER}/${denial}`,
      'no cgroup v2 is mounted, and no hierarchy of version 1 with the controller "devices"',
    );
  }
  const { mountPoint } = hierarchy;
  const write = (allow: boolean, value: string, pointer: string): Write => ({
    mountPoint,
    file: allow ? "devices.allow" : "devices.deny",
    value,
    pointer,
  });
  yield write(false, "a", POINTER);
  let usual = false;
  let exceptions: Exact[] = [];
  for (const [index, rule] of [...rules, ...ALWAYS].entries()) {
    const { allow } = rule;
    const pointer = index < rules.length ? `${POINTER}/${index}` : POINTER;
    if (isForAll(rule)) {
      if (usual !== allow || exceptions.length > 0) yield write(allow, "a", pointer);
      [usual, exceptions] = [allow, []];
      continue;
    }
    for (const exact of exactRules(rule)) {
      if (allow !== usual) {
        exceptions = added(exceptions, exact);
        yield write(allow, text(exact), pointer);
        continue;
      }
      for (const old of exceptions.filter((each) => overlaps(each, exact))) {
        if (!covers(exact, old)) {
          const reason = `cgroup v1 cannot take "${text(exact)}" out of "${text(old)}"`;
          throw new UnsupportedError(pointer, reason, "write rules that do not overlap");
        }
        yield write(allow, text({ ...old, access: shared(old.access, exact.access) }), pointer);
        exceptions = removed(exceptions, old, exact.access);
      }
    }
  }
}

function exactRules({ type = "a", major = -1, minor = -1, access }: DeviceRule): Exact[] {
  const types = type === "a" ? ["b", "c"] as const : [type];
  return types.map((each) => ({
    type: each,
    major: Number(major),
    minor: Number(minor),
    access: accessOf(access),
  }));
}

function text({ type, major, minor, access }: Exact): string {
  return `${type} ${major === -1 ? "*" : major}:${minor === -1 ? "*" : minor} ${access}`;
}

function isSame(one: Exact, other: Exact): boolean {
  return one.type === other.type && one.major === other.major && one.minor === other.minor;
}

function overlaps(one: Exact, other: Exact): boolean {
  return one.type === other.type && shared(one.access, other.access) !== "" &&
    (["major", "minor"] as const).every((part) =>
      one[part] === -1 || other[part] === -1 || one[part] === other[part]
    );
}

/** Whether every device of `small` is one of `large`. */
function covers(large: Exact, small: Exact): boolean {
  return (["major", "minor"] as const).every((part) => large[part] === -1 || large[part] === small[part]);
}

function added(exceptions: readonly Exact[], exact: Exact): Exact[] {
  const old = exceptions.find((each) => isSame(each, exact));
  const access = shared("rwm", exact.access + (old?.access ?? ""));
  return [...exceptions.filter((each) => each !== old), { ...exact, access }];
}

function removed(exceptions: readonly Exact[], old: Exact, access: string): Exact[] {
  const left = [...old.access].filter((letter) => !access.includes(letter)).join("");
  return [...exceptions.filter((each) => each !== old), ...(left === "" ? [] : [{ ...old, access: left }])];
}
