import type { DeviceRule } from "../spec/linux.ts";
import { accessOf, ALWAYS, isForAll } from "./device_rules.ts";

/** `BPF_DEVCG_ACC_*` and `BPF_DEVCG_DEV_*` of linux/bpf.h. */
const ACCESS: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const TYPE = { b: 1, c: 2 } as const;
const INSTRUCTION_BYTES = 8;
const MOST_NUMBER = 0x7fffffff;

/** The registers: the answer, the context, then what is asked; the access holds what no rule has answered yet. */
const [RESULT, CONTEXT, TYPE_ASKED, ACCESS_LEFT, MAJOR, MINOR, DENIED] = [0, 1, 2, 3, 4, 5, 6];

/** Operation codes of linux/bpf_common.h and linux/bpf.h, with an immediate operand where they take one. */
const OP = {
  load32: 0x61,
  and: 0x57,
  shiftRight: 0x77,
  move: 0xb7,
  copy: 0xbf,
  jumpIfEqual: 0x15,
  jumpUnlessEqual: 0x55,
  exit: 0x95,
} as const;

interface Instruction {
  readonly op: number;
  readonly to?: number;
  readonly from?: number;
  readonly offset?: number;
  readonly value?: number;
}

/**
 * The program of cgroup v2 that decides as the device rules of OCI do: for each kind of access the last rule counts that
 * is about the device, and what none is about is denied. So it looks at the rules from the last to the first.
 *
 * @returns `struct bpf_insn[]`, or nothing where everything is allowed.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * equal(deviceProgram([{ allow: true }]), undefined);
 * equal(deviceProgram([{ allow: false }])!.length % 8, 0);
 * ```
 */
export function deviceProgram(rules: readonly DeviceRule[]): Uint8Array<ArrayBuffer> | undefined {
  const all = [...rules, ...ALWAYS];
  const first = all.findLastIndex(isForAll);
  const open = first !== -1 && all[first]!.allow;
  const counted = all.slice(first + 1);
  if (open && counted.every(({ allow }) => allow)) return undefined;
  return encode([
    ...HEAD,
    ...counted.toReversed().flatMap((rule) => [...ruleBlock(rule)]),
    { op: OP.move, to: RESULT, value: open ? 1 : 0 },
    { op: OP.exit },
  ]);
}

/** `struct bpf_cgroup_dev_ctx`: the access in the upper and the type in the lower half of a word, major, minor. */
const HEAD: readonly Instruction[] = [
  { op: OP.load32, to: TYPE_ASKED, from: CONTEXT, offset: 0 },
  { op: OP.copy, to: ACCESS_LEFT, from: TYPE_ASKED },
  { op: OP.and, to: TYPE_ASKED, value: 0xffff },
  { op: OP.shiftRight, to: ACCESS_LEFT, value: 16 },
  { op: OP.load32, to: MAJOR, from: CONTEXT, offset: 4 },
  { op: OP.load32, to: MINOR, from: CONTEXT, offset: 8 },
];

/** Goes on behind itself if the rule is about another device, or leaves a part of the access to the rules before. */
function* ruleBlock(
  { allow, type = "a", major = -1, minor = -1, access }: DeviceRule,
): Iterable<Instruction> {
  const [wanted, other] = [Number(major), Number(minor)];
  if (wanted > MOST_NUMBER || other > MOST_NUMBER) return; // no device has such a number
  const tests: [register: number, value: number][] = [];
  if (type !== "a") tests.push([TYPE_ASKED, TYPE[type]]);
  if (wanted !== -1) tests.push([MAJOR, wanted]);
  if (other !== -1) tests.push([MINOR, other]);
  const mask = [...accessOf(access)].reduce((sum, letter) => sum | ACCESS[letter]!, 0);
  const answer: Instruction[] = allow
    ? [
      { op: OP.and, to: ACCESS_LEFT, value: ~mask },
      { op: OP.jumpUnlessEqual, to: ACCESS_LEFT, value: 0, offset: 2 },
      { op: OP.move, to: RESULT, value: 1 },
      { op: OP.exit },
    ]
    : [
      { op: OP.copy, to: DENIED, from: ACCESS_LEFT },
      { op: OP.and, to: DENIED, value: mask },
      { op: OP.jumpIfEqual, to: DENIED, value: 0, offset: 2 },
      { op: OP.move, to: RESULT, value: 0 },
      { op: OP.exit },
    ];
  for (const [index, [register, value]] of tests.entries()) {
    const offset = tests.length - index - 1 + answer.length;
    yield { op: OP.jumpUnlessEqual, to: register, value, offset };
  }
  yield* answer;
}

function encode(program: readonly Instruction[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(program.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  program.forEach(({ op, to = 0, from = 0, offset = 0, value = 0 }, index) => {
    const at = index * INSTRUCTION_BYTES;
    view.setUint8(at, op);
    view.setUint8(at + 1, to | (from << 4));
    view.setInt16(at + 2, offset, true);
    view.setInt32(at + 4, value, true);
  });
  return bytes;
}
