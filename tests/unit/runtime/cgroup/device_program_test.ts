import { equal } from "node:assert/strict";
import { deviceProgram } from "../../../../runtime/cgroup/device_program.ts";
import type { DeviceRule } from "../../../../runtime/spec/linux.ts";

/** What is asked of a program. */
interface Question {
  readonly type: "b" | "c";
  readonly access: string;
  readonly major: number;
  readonly minor: number;
}
const BITS: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };

/** Runs a program as the kernel would, with the few operations that ours consist of. */
function run(program: Uint8Array<ArrayBuffer>, { type, access, major, minor }: Question): boolean {
  const view = new DataView(program.buffer);
  const bits = [...access].reduce((sum, letter) => sum | BITS[letter]!, 0);
  const context = [(bits << 16) | (type === "b" ? 1 : 2), major, minor];
  const registers = new Array<number>(11).fill(NaN);
  for (let at = 0, steps = 0; steps < 10_000; at += 8, steps++) {
    const [op, registersByte] = [view.getUint8(at), view.getUint8(at + 1)];
    const [to, from] = [registersByte & 15, registersByte >> 4];
    const [offset, value] = [view.getInt16(at + 2, true), view.getInt32(at + 4, true)];
    const goOn = (yes: boolean): number => at += yes ? offset * 8 : 0;
    if (op === 0x61) registers[to] = context[offset / 4]!;
    else if (op === 0x57) registers[to]! &= value;
    else if (op === 0x77) registers[to]! >>>= value;
    else if (op === 0xb7) registers[to] = value;
    else if (op === 0xbf) registers[to] = registers[from]!;
    else if (op === 0x15) goOn(registers[to] === value);
    else if (op === 0x55) goOn(registers[to] !== value);
    else if (op === 0x95) return registers[0] === 1;
    else throw new Error(`No operation ${op.toString(16)}`);
  }
  throw new Error("It does not end");
}

/** For each kind of access the last rule that is about it; at first all is denied. */
function expected(rules: readonly DeviceRule[], { type, access, major, minor }: Question): boolean {
  const always: DeviceRule[] = [
    { allow: true, access: "m" },
    ...[[1, 3], [1, 5], [1, 7], [1, 8], [1, 9], [5, 0], [5, 2], [136, -1]].map(([major, minor]) => (
      { allow: true, type: "c", major: major!, minor: minor! } as const
    )),
  ];
  const isFor = (number: number, wanted: DeviceRule["major"] = -1): boolean => {
    return Number(wanted) === -1 || Number(wanted) === number;
  };
  return [...access].every((letter) =>
    [...rules, ...always].findLast((rule) =>
      ["a", type].includes(rule.type ?? "a") &&
      isFor(major, rule.major) && isFor(minor, rule.minor) && (rule.access || "rwm").includes(letter)
    )?.allow ?? false
  );
}

const NUMBERS = [1, 3, 5, 10, 136];
const ACCESSES = ["r", "w", "m", "rw", "rwm", "wm"];

function pick<T>(from: readonly T[], random: () => number): T {
  return from[Math.floor(random() * from.length)]!;
}

/** The same numbers in every run. */
function numbers(seed: number): () => number {
  return () => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return seed / 0x80000000;
  };
}

Deno.test("deviceProgram() decides as OCI's rules do, for 300 lists of rules", () => {
  const random = numbers(7);
  for (let list = 0; list < 300; list++) {
    const rules = Array.from({ length: Math.floor(random() * 6) + 1 }, (): DeviceRule => ({
      allow: random() < 0.5,
      ...(random() < 0.7 && { type: pick(["a", "b", "c"] as const, random) }),
      ...(random() < 0.7 && { major: pick([-1, ...NUMBERS, 2 ** 32 + 1], random) }),
      ...(random() < 0.6 && { minor: pick([-1, ...NUMBERS], random) }),
      ...(random() < 0.8 && { access: pick(["", ...ACCESSES], random) }),
    }));
    const program = deviceProgram(rules);
    for (const type of ["b", "c"] as const) {
      for (const access of ACCESSES) {
        for (const major of NUMBERS) {
          for (const minor of NUMBERS) {
            const question = { type, access, major, minor };
            const found = program === undefined || run(program, question);
            equal(found, expected(rules, question), JSON.stringify([rules, question]));
          }
        }
      }
    }
  }
});

Deno.test("deviceProgram() allows the usual devices, and nothing else, where all is denied", () => {
  const program = deviceProgram([{ allow: false, access: "rwm" }])!;
  const ask = (type: "b" | "c", major: number, minor: number, access: string): boolean =>
    run(program, { type, major, minor, access });
  equal(ask("c", 1, 3, "rw"), true); // null
  equal(ask("c", 136, 77, "rw"), true); // a terminal
  equal(ask("b", 8, 0, "m"), true);
  equal(ask("b", 8, 0, "r"), false);
  equal(ask("b", 8, 0, "rm"), false);
  equal(ask("c", 1, 1, "r"), false); // mem
});
