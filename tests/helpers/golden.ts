import { equal } from "node:assert/strict";

/**
 * Compares a text with the file `tests/golden/<name>`. With UPDATE_GOLDEN=1 in the environment the file is written
 * instead: look at what `git diff` says of it.
 */
export function golden(name: string, text: string): void {
  const file = new URL(`../golden/${name}`, import.meta.url);
  if (Deno.env.get("UPDATE_GOLDEN") === "1") {
    Deno.mkdirSync(new URL(".", file), { recursive: true });
    Deno.writeTextFileSync(file, text);
    return;
  }
  equal(text, Deno.readTextFileSync(file), `tests/golden/${name} differs; UPDATE_GOLDEN=1 rewrites it`);
}
