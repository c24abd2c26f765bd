import { UsageError } from "../errors.ts";

/** A value of D-Bus with its signature. */
export type Variant = readonly [signature: string, value: Value];
/** Numbers of 64 bits are texts. */
export type Value = string | number | boolean | readonly Value[];
/** A property of a unit. */
export type Property = readonly [name: string, value: Variant];

const NUMBERS: Readonly<Record<string, string>> = {
  byte: "y",
  int16: "n",
  uint16: "q",
  int32: "i",
  handle: "h",
  uint32: "u",
  int64: "x",
  uint64: "t",
  double: "d",
};
const WORD =
  /\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([A-Za-z_][A-Za-z_0-9]*)|([-+]?[0-9.][0-9a-fA-FxXeE.+-]*)|(.))/ys;

/**
 * Reads a value in GVariant's text form, as the annotations of runc have them: `true`, `uint64 5`, `'text'`,
 * `['one', 'two']`.
 *
 * @throws {UsageError} if it is none, or of a kind that no property of a scope has.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * deepEqual(readVariant("uint64 5"), ["t", "5"]);
 * deepEqual(readVariant("['a']"), ["as", ["a"]]);
 * ```
 */
export function readVariant(text: string): Variant {
  const words = new Words(text);
  const read = words.value();
  if (!words.atEnd) throw words.refused();
  return read;
}

class Words {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text.trimEnd();
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  refused(): UsageError {
    return new UsageError(
      `Cannot use ${JSON.stringify(this.#text)}: it is no value such as true, 'text' or uint64 5`,
    );
  }

  value(type?: string): Variant {
    WORD.lastIndex = this.#at;
    const match = WORD.exec(this.#text);
    if (!match) throw this.refused();
    this.#at = WORD.lastIndex;
    const [, single, double, name, number, other] = match;
    const quoted = single ?? double;
    if (quoted !== undefined) {
      if (type !== undefined && !["s", "o", "g"].includes(type)) throw this.refused();
      return [
        type ?? "s",
        quoted.replace(/\\(.)/gs, (_, letter) => ({ n: "\n", t: "\t" })[letter as string] ?? letter),
      ];
    }
    if (name === "true" || name === "false") return ["b", name === "true"];
    if (name !== undefined) return this.#typed(name);
    if (number !== undefined) return this.#number(number, type);
    if (other === "[") return this.#list(type);
    throw this.refused();
  }

  #typed(name: string): Variant {
    const words: Readonly<Record<string, string>> = {
      ...NUMBERS,
      string: "s",
      objectpath: "o",
      signature: "g",
    };
    if (name === "boolean") return this.value();
    const type = Object.hasOwn(words, name) ? words[name] : undefined;
    if (type === undefined) throw this.refused();
    return this.value(type);
  }

  #number(text: string, type = /[.eE]/.test(text) && !/^[-+]?0x/i.test(text) ? "d" : "i"): Variant {
    if (!Object.values(NUMBERS).includes(type)) throw this.refused();
    if (type === "d") {
      if (Number.isNaN(Number(text))) throw this.refused();
      return [type, Number(text)];
    }
    if (!/^[-+]?(\d+|0x[0-9a-f]+)$/i.test(text)) throw this.refused();
    const sign = text.startsWith("-") ? -1n : 1n;
    const value = sign * BigInt(text.replace(/^[-+]/, ""));
    return [type, type === "x" || type === "t" ? String(value) : Number(value)];
  }

  #list(type: string | undefined): Variant {
    const items: Variant[] = [];
    for (;;) {
      if (this.#take("]")) break;
      if (items.length > 0 && !this.#take(",")) throw this.refused();
      const first = items[0]?.[0];
      const next = this.value(first !== undefined && first.length === 1 && first !== "b" ? first : type);
      if (first !== undefined && next[0] !== first) throw this.refused();
      items.push(next);
    }
    if (items.length === 0) throw this.refused();
    return [`a${items[0]![0]}`, items.map(([, value]) => value)];
  }

  #take(letter: string): boolean {
    const [space = ""] = /^\s*/.exec(this.#text.slice(this.#at))!;
    if (this.#text[this.#at + space.length] !== letter) return false;
    this.#at += space.length + 1;
    return true;
  }
}

const PREFIX = "org.systemd.property.";

/**
 * The properties that annotations ask for: `org.systemd.property.NAME`. Seconds are turned into the microseconds that the
 * interface of systemd has.
 *
 * @throws {UsageError} if a name or a value makes no sense.
 */
export function annotated(annotations: { readonly [key: string]: string }): Property[] {
  return Object.entries(annotations).flatMap(([key, text]): Property[] => {
    if (!key.startsWith(PREFIX)) return [];
    const name = key.slice(PREFIX.length);
    if (!/^[A-Za-z]{3,}$/.test(name)) {
      throw new UsageError(
        `Annotation ${key} name incorrect: ${JSON.stringify(name)} is no property of a unit`,
      );
    }
    const value = readVariant(text);
    const [type, seconds] = value;
    if (name.endsWith("Sec") && !name.endsWith("USec") && "ynqiuxtd".includes(type)) {
      const us = Math.round(Number(seconds) * 1e6);
      return [[name.replace(/Sec$/, "USec"), ["t", String(us)]]];
    }
    return [[name, value]];
  });
}
