import type { Difference } from "../errors.ts";
import { CAPABILITIES } from "../spec/words.ts";
import type { Expectation, Expected } from "./expectation.ts";
import { compareMounts, type Paths } from "./compare_mounts.ts";
import { type FactName, FACTS, type Source } from "./facts.ts";
import { parseMountinfo } from "./parse.ts";

/** How init differs from what was asked for: everything, in the order of the expectations. */
export function compare({ facts, mounts }: Expected, source: Source & Paths & Links): Difference[] {
  const found = mounts ? compareMountinfo(mounts, source) : [];
  const each: (Difference | undefined)[] = new Array(facts.length);
  // Filters last: for them init stops, while everything else is looked at.
  for (const late of [false, true]) {
    for (let index = 0; index < facts.length; index++) {
      const fact = facts[index]!;
      if ((fact.fact === "seccomp program") === late) each[index] = compareFact(fact, source);
    }
  }
  return [...each.filter((one) => one !== undefined), ...found];
}

function compareMountinfo(mounts: NonNullable<Expected["mounts"]>, source: Source & Paths): Difference[] {
  try {
    return compareMounts(mounts, parseMountinfo(source.text("mountinfo")), source);
  } catch (error) {
    return [{ what: "mounts", asked: "those of the bundle", is: unknown(error) }];
  }
}

/** How what could not be read begins. */
export const UNKNOWN = "not to be known";

/** Where namespaces are that others made. */
export interface Links {
  /** What a namespace's path of the host stands for, as a link in /proc/<pid>/ns would say: `net:[4026531840]`. */
  namespaceAt(path: string, type: string): string;
}

/** What cannot be known is a difference too. */
function compareFact(expectation: Expectation, source: Source & Links): Difference | undefined {
  try {
    return differenceOf(expectation, source);
  } catch (error) {
    return { what: whatOf(expectation), asked: inWords(expectation), is: unknown(error) };
  }
}

function differenceOf(expectation: Expectation, source: Source & Links): Difference | undefined {
  const { fact, of = "", must } = expectation;
  const read = (from: unknown): string => FACTS[fact](from as Source, of);
  const is = read(source);
  if (must === "be" && is === expectation.value) return undefined;
  if (must === "not be ours") {
    if (is !== read(source.ours)) return undefined;
    return { what: whatOf(expectation), asked: "a new one", is: "the host's" };
  }
  if (must === "be if told" && is === "") return undefined;
  if (must === "be at most" && isWithin(is, expectation.value!)) return undefined;
  const asked = wanted(expectation, source, () => read(source.ours));
  return is === asked
    ? undefined
    : { what: whatOf(expectation), asked: shown(fact, asked), is: shown(fact, is) };
}

function whatOf({ fact, of }: Expectation): string {
  return of === undefined ? fact : `${fact} ${of || "of version 2"}`;
}

/** What a fact must be, in the same words as what it is. */
function wanted({ must, value = "", of = "" }: Expectation, source: Links, own: () => string): string {
  switch (must) {
    case "be":
    case "be if told":
      return value;
    case "be at most":
      return `at most ${value}`;
    case "be at":
      return source.namespaceAt(value, of);
    case "be ours of":
      return hex(BigInt(value) & BigInt(own()));
    default:
      return own();
  }
}

/** Whether neither the soft nor the hard limit is above the one asked for. */
function isWithin(is: string, asked: string): boolean {
  const numbers = (limits: string): number[] => {
    return limits.split(":").map((each) => each === "unlimited" ? Infinity : Number(each));
  };
  const most = numbers(asked);
  return numbers(is).every((each, index) => each <= most[index]!);
}

function unknown(error: unknown): string {
  return `${UNKNOWN} (${error instanceof Error ? error.message : error})`;
}

/** What is asked for, before it is known what that stands for. */
function inWords({ fact, must, value = "" }: Expectation): string {
  if (must === "not be ours") return "a new one";
  return must === "be ours" ? "the host's" : shown(fact, value);
}

function shown(fact: FactName, value: string): string {
  if (fact === "seccomp program") return value === "none" ? value : programInWords(value);
  if (fact !== "capabilities") return value;
  const names = CAPABILITIES.filter((_, number) => (BigInt(value) >> BigInt(number)) & 1n);
  return names.join(" ") || "none";
}

/** A program is too long to show. */
function programInWords(base64: string): string {
  const bytes = Uint8Array.fromBase64(base64);
  // FNV-1a: two that differ show different words.
  const hash = bytes.reduce((sum, byte) => Math.imul(sum ^ byte, 0x01000193) >>> 0, 0x811c9dc5);
  return `${bytes.length / 8} instructions (${hash.toString(16).padStart(8, "0")})`;
}

function hex(mask: bigint): string {
  return `0x${mask.toString(16).padStart(16, "0")}`;
}
