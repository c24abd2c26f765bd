/** Names of hosts in one spelling. */

import { parseAddress } from "./addresses.ts";

/** The longest name and label, in bytes as DNS counts them without the dots around. */
const MOST_OF_NAME = 253;
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/** A name, or what is wrong with it. */
export type ReadName = { readonly name: string; readonly flaw?: never } | {
  readonly name?: never;
  readonly flaw: string;
};

/**
 * Reads the name of a host: lower case, without the dot at its end, other scripts as A-labels.
 *
 * Addresses are no names, in whatever spelling: what ends in a number is one to somebody (`127.1`, `0x7f000001`).
 */
export function readName(text: string): ReadName {
  if (text.length > 1024) return { flaw: "it is too long" };
  const name = canonical(text);
  if (name === undefined) return { flaw: "it is no name of a host" };
  if (name.length > MOST_OF_NAME) return { flaw: `it is longer than ${MOST_OF_NAME} bytes` };
  const labels = name.split(".");
  if (labels.some((label) => label === "")) return { flaw: "it has an empty label" };
  if (labels.some((label) => label.length > 63)) return { flaw: "a label is longer than 63 bytes" };
  if (!labels.every((label) => LABEL.test(label))) return { flaw: "it is no name of a host" };
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1)!)) {
    return { flaw: "it ends in a number, as an address does" };
  }
  return { name };
}

/** The one spelling of a name, or nothing if it is none. */
export function canonicalName(text: string): string | undefined {
  return readName(text).name;
}

/** Whether `name` is anywhere below `parent`, or `parent` is all of them: both in their one spelling. */
export function isBelow(name: string, parent: string): boolean {
  return parent === "" || name.endsWith(`.${parent}`);
}

/** Whether a text is an address, as a host is written in a URL or header: IPv6 in brackets. */
export function literalAddress(host: string): ReturnType<typeof parseAddress> {
  const inside = /^\[(.*)\]$/.exec(host)?.[1];
  if (inside !== undefined) return inside.includes(":") ? parseAddress(inside) : undefined;
  return host.includes(":") ? undefined : parseAddress(host);
}

function canonical(text: string): string | undefined {
  const bare = text.replace(/\.$/, "");
  if (/^[a-zA-Z0-9._-]*$/.test(bare) && !/(^|\.)xn--/i.test(bare)) return bare.toLowerCase();
  // What ASCII has beside these is no part of any name, and would end it in a URL.
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x7f]/.test(bare.replaceAll(/[a-zA-Z0-9._-]/g, ""))) return;
  if (!URL.canParse(`http://${bare}/`)) return;
  const { hostname } = new URL(`http://${bare}/`);
  return hostname.toLowerCase();
}
