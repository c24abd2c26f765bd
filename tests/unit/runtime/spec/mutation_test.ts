/** Thousands of damaged configs: each is a Spec or a SpecError, soon, and no Spec is nonsense to the schema. */
import { ownCpuMs } from "../../../helpers/cpu_time.ts";

import { ok } from "node:assert/strict";
import { SpecError } from "../../../../runtime/errors.ts";
import type { Spec } from "../../../../runtime/spec/config.ts";
import { decodeSpec } from "../../../../runtime/spec/decode.ts";
import { parseSpec } from "../../../../runtime/spec/validate.ts";
import { everything, toJson } from "./_samples.ts";
import { samples, schema } from "./_schema.ts";

const SEED = Number(Deno.env.get("SEED") ?? 20251104);
const BYTE_MUTANTS = 10_000;
const VALUE_MUTANTS = 20_000;

/** Mulberry32: the same damage on every run. */
function randoms(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const below = randoms(SEED);
const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;

const BASES = [
  toJson(everything()),
  ...[...samples("config/good").values()].map((bytes) => new TextDecoder().decode(bytes)),
];

function damageBytes(): Uint8Array {
  let bytes = new TextEncoder().encode(pick(BASES));
  for (let times = below(3); times >= 0; times--) {
    const at = below(bytes.length);
    const piece = bytes.slice(at, at + 1 + below(40));
    const other = below(bytes.length);
    switch (below(6)) {
      case 0:
        bytes[at] = below(256);
        break;
      case 5: // still text, and often still JSON
        bytes[at] = 0x30 + below(0x50);
        break;
      case 1:
        bytes = join(bytes.slice(0, at), bytes.slice(at + piece.length));
        break;
      case 2:
        bytes = join(bytes.slice(0, other), piece, bytes.slice(other));
        break;
      case 3:
        bytes = bytes.slice(0, Math.max(1, at));
        break;
      default: {
        const token = pick([
          '"',
          "\\u0000",
          "{",
          "[",
          "]",
          "}",
          ",",
          ":",
          "null",
          "-",
          "e9",
          "1".repeat(30),
          '"__proto__":{},',
          "\0",
        ]);
        bytes = join(bytes.slice(0, at), new TextEncoder().encode(token), bytes.slice(at));
      }
    }
  }
  return bytes;
}

function join(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

type Json = Record<string, unknown> | unknown[];

/** Raw text in the place of a value: JSON.stringify could not write it. */
function raw(text: string): unknown {
  return { [RAW]: text };
}
const RAW = "\u{1f9ec}raw";

const ODD: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => "",
  () => 0,
  () => -1,
  () => 1.5,
  () => [],
  () => ({}),
  () => "\0",
  () => "\ud800",
  () => "..",
  () => "x".repeat(below(3) ? 300 : 140_000),
  () =>
    raw(
      pick([
        "1e400",
        "-0",
        "1e18",
        "4294967296",
        "65536",
        "2147483648",
        "18446744073709551616",
        "9".repeat(400),
        "-9223372036854775809",
        "9007199254740993",
        "0.1e1",
      ]),
    ),
  () => raw("[".repeat(below(3) ? 30 : 100_000) + "]".repeat(30)),
  () => raw('{"__proto__":{"path":"/x","type":"c"},"path":"/y"}'),
  () => raw('{"a":1,"a":2,"path":1,"path":"/z"}'),
  () =>
    pick([
      "SCMP_ACT_NOTIFY",
      "CAP_FLY",
      "RLIMIT_X",
      "SCHED_ISO",
      "rslave",
      "64kB",
      "MB:\n",
      "MPOL_LOCAL",
      "pid",
      "user",
    ]),
  () => Array.from({ length: below(3) ? 70 : 5_000 }, () => pick([0, "a", {}])),
];

function damageValue(): string {
  const value = JSON.parse(pick(BASES)) as Json;
  for (let times = below(3); times >= 0; times--) {
    const holder = pickHolder(value);
    const keys = Object.keys(holder);
    const key = keys.length > 0 ? pick(keys) : "0";
    const target = holder as Record<string, unknown>;
    switch (below(6)) {
      case 0:
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else delete target[key];
        break;
      case 1:
        if (Array.isArray(holder)) holder.push(structuredClone(holder[Number(key)]));
        else {target[pick(["path", "type", "__proto_", "constructor", "linux", key + "x"])] = structuredClone(
            target[key],
          );}
        break;
      case 2: // a value of some other place
        target[key] = structuredClone(pickHolder(value));
        break;
      default:
        target[key] = pick(ODD)();
    }
  }
  return write(value);
}

function pickHolder(value: Json): Json {
  const holders: Json[] = [];
  const visit = (item: unknown): void => {
    if (typeof item !== "object" || item === null || RAW in item) return;
    holders.push(item as Json);
    Object.values(item).forEach(visit);
  };
  visit(value);
  return pick(holders);
}

function write(value: Json): string {
  const raws: string[] = [];
  const text = JSON.stringify(value, (_, item) => {
    if (typeof item !== "object" || item === null || !(RAW in item)) return item;
    return `${RAW}${raws.push(item[RAW] as string) - 1}.`;
  });
  return text.replace(new RegExp(`"${RAW}(\\d+)\\."`, "gu"), (_, index) => raws[Number(index)]!);
}

const validate = schema("config-schema.json");

/** Words and holes in which the schema is narrower than what is taken, on purpose. */
function excuse(value: { linux?: Record<string, unknown>; process?: { user?: unknown } }): void {
  // As runc reads them: ids that are left out are 0, and offsets that are null are none.
  const user = value.process?.user;
  if (typeof user === "object" && user !== null) value.process!.user = { uid: 0, gid: 0, ...user };
  if (value.linux?.timeOffsets === null) delete value.linux.timeOffsets;
  // Engines write the recursive words, and runc takes them.
  const word = value.linux?.rootfsPropagation;
  if (typeof word === "string") value.linux!.rootfsPropagation = word.replace(/^r/, "");
}

for (
  const [what, count, damage] of [
    ["bytes", BYTE_MUTANTS, damageBytes],
    ["values", VALUE_MUTANTS, damageValue],
  ] as const
) {
  Deno.test(`parseSpec() survives ${count} configs with damaged ${what}`, () => {
    let worst = 0;
    let taken = 0;
    for (let index = 0; index < count; index++) {
      const config = damage();
      const where = `mutant ${index} of seed ${SEED}`;
      const start = ownCpuMs();
      attempt(() => parseSpec(config, "mutant"), where);
      worst = Math.max(worst, ownCpuMs() - start);
      ok(worst < 1000, `${where} took ${worst} ms`);
      if (!attempt(() => decodeSpec(config, "mutant"), where)) continue;
      taken++;
      const value = JSON.parse(typeof config === "string" ? config : new TextDecoder().decode(config));
      excuse(value);
      ok(validate(value), `${where} is nonsense: ${JSON.stringify(validate.errors)}`);
    }
    console.log(`${taken} of ${count} taken, the slowest took ${worst.toFixed(1)} ms`);
    ok(taken > count / 40, "the damage is too great to say anything");
    ok(taken < count, "the damage is too small to say anything");
    ok(!("path" in Object.prototype) && !("type" in Object.prototype), "a prototype was polluted");
  });
}

function attempt(run: () => Spec, where: string): Spec | undefined {
  try {
    return run();
  } catch (error) {
    ok(error instanceof SpecError, `${where}: ${error}`);
    ok(error.issues.length > 0 && error.issues.length <= 50, where);
    for (const { pointer, message } of error.issues) {
      ok(
        /^(?:\/(?:[^~/]|~[01])*)*$/u.test(pointer) && message.startsWith("Cannot "),
        `${where}: ${pointer}: ${message}`,
      );
    }
  }
}
