/** What seccomp filters return, in words. */

export { AUDIT, type CallData as Call, evaluate } from "../../runtime/seccomp/evaluate.ts";

/** The name of what a filter returns, such as `ERRNO(1)` or `KILL_PROCESS`. */
export function verdict(value: number): string {
  const [action, data] = [value & 0xffff0000, value & 0xffff];
  const name = NAMES.get(action >>> 0) ?? `0x${value.toString(16)}`;
  return name === "ERRNO" || name === "TRACE" ? `${name}(${data})` : name;
}

const NAMES = new Map([
  [0x80000000, "KILL_PROCESS"],
  [0x00000000, "KILL_THREAD"],
  [0x00030000, "TRAP"],
  [0x00050000, "ERRNO"],
  [0x7fc00000, "NOTIFY"],
  [0x7ff00000, "TRACE"],
  [0x7ffc0000, "LOG"],
  [0x7fff0000, "ALLOW"],
]);
