import { ok } from "node:assert/strict";

/** Changes a number that the steps compare with what they find: they subtract it. */
export function tamper(file: string, number: bigint): void {
  const bytes = Deno.readFileSync(file);
  const view = new DataView(bytes.buffer);
  let found = 0;
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    if (view.getBigUint64(at, true) !== BigInt.asUintN(64, -number)) continue;
    view.setBigUint64(at, BigInt.asUintN(64, -number - 1n), true);
    found++;
  }
  ok(found > 0, `${number} is not compared`);
  Deno.writeFileSync(file, bytes);
}

/** A part of the number of this boot, as steps compare it. */
export function bootNumber(): bigint {
  const boot = new TextEncoder().encode(Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim());
  return new DataView(boot.buffer).getBigUint64(8, true);
}

/** Changes a text that the steps compare with what they find, to one that is as long. */
export function replaceText(file: string, text: string, other: string): void {
  const letters = Array.from(Deno.readFileSync(file), (byte) => String.fromCharCode(byte)).join("");
  ok(letters.includes(text), `${JSON.stringify(text)} is not compared`);
  ok(text.length === other.length && text !== other);
  const changed = letters.replaceAll(text, other);
  Deno.writeFileSync(file, Uint8Array.from(changed, (letter) => letter.charCodeAt(0)));
}
