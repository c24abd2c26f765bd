import type { Difference } from "../errors.ts";
import { CAPABILITIES } from "../spec/words.ts";
import type { Expectation, Expected } from "./expectation.ts";
import { compareMounts, type Paths } from "./compare_mounts.ts";
import { type FactName, FACTS, type Source } from "./facts.ts";
import { parseMountinfo } from "./parse.ts";

/** How init differs from what was asked for: everything, in the order of the expectations. */
export function compare({ facts, mounts }: Expected, source: Source & Paths & Links): Difference[] {
  const differences = facts.flatMap((each) => compareFact(each, source));
  if (!mounts) return differences;
  const found = known({ what: "mounts", asked: "those of the bundle" }, () => {
    return compareMounts(mounts, parseMountinfo(source.text("mountinfo")), source);
  });
  return [...differences, ...found];
}

/** How what could not be read begins. */
export const UNKNOWN = "not to be known";

/** Where namespaces are that others made. */
export interface Links {
  /** What a namespace's path of the host stands for, as a link in /proc/<pid>/ns would say: `net:[4026531840]`. */
  namespaceAt(path: string, type: string): string;
}

function compareFact(expectation: Expectation, source: Source & Links): Difference[] {
  const { fact, of, must } = expectation;
  const what = of === undefined ? fact : `${fact} ${of || "of version 2"}`;
  return known({ what, asked: inWords(expectation) }, () => {
    const read = (from: unknown): string => FACTS[fact](from as Source, of ?? "");
    const is = read(source);
    if (must === "not be ours") {
      return is === read(source.ours) ? [{ what, asked: "a new one", is: "the host's" }] : [];
    }
    if (must === "be at most" && isWithin(is, expectation.value!)) return [];
    const asked = wanted(expectation, source, () => read(source.ours));
    return is === asked ? [] : [{ what, asked: shown(fact, asked), is: shown(fact, is) }];
  });
}

/** What a fact must be, in the same words as what it is. */
function wanted({ must, value = "", of = "" }: Expectation, source: Links, own: () => string): string {
  switch (must) {
    case "be":
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

/** What cannot be known is a difference too. */
function known({ what, asked }: Pick<Difference, "what" | "asked">, look: () => Difference[]): Difference[] {
  try {
    return look();
  } catch (error) {
    return [{ what, asked, is: `${UNKNOWN} (${error instanceof Error ? error.message : error})` }];
  }
}

/** What is asked for, before it is known what that stands for. */
function inWords({ fact, must, value = "" }: Expectation): string {
  if (must === "not be ours") return "a new one";
  return must === "be ours" ? "the host's" : shown(fact, value);
}

function shown(fact: FactName, value: string): string {
  if (fact !== "capabilities") return value;
  const names = CAPABILITIES.filter((_, number) => (BigInt(value) >> BigInt(number)) & 1n);
  return names.join(" ") || "none";
}

function hex(mask: bigint): string {
  return `0x${mask.toString(16).padStart(16, "0")}`;
}
