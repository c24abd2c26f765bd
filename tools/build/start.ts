/** What the first script of a program begins with: a function that finds scripts and runs chunks. */

import { OPEN_FILES, SETTINGS } from "./settings.ts";

// The first touch of `process` loads Node's, which takes longer than all else; `@std/path` asks it for `platform` and `cwd`.
const LIGHT_PROCESS = `{
  const get = Object.getOwnPropertyDescriptor(globalThis, "process").get;
  const real = () => {
    const value = get.call(globalThis);
    Object.defineProperty(globalThis, "process", { value, configurable: true, enumerable: true, writable: true });
    return value;
  };
  const value = Object.create(new Proxy({}, {
    // What is called here looks at the real one: its own properties, above all.
    get: (_, key) => typeof real()[key] === "function" ? real()[key].bind(real()) : real()[key],
    set: (_, key, value) => (real()[key] = value, true),
    has: (_, key) => key in real(),
  }));
  Object.defineProperty(value, "platform", { value: Deno.build.os });
  Object.defineProperty(value, "cwd", { value: () => Deno.cwd() });
  Object.defineProperty(globalThis, "process", { value, configurable: true, enumerable: true, writable: true });
}`;

/** Where chunks are. */
export interface ScriptMap {
  /** The script that each chunk is in, but for those of the uses. */
  readonly places: Readonly<Record<string, number>>;
  /** The script that has all that is loaded with a chunk, and the one that must be there already; -1 for none. */
  readonly uses: Readonly<Record<string, readonly (readonly [script: number, base: number])[]>>;
}

/**
 * The text of a function that runs the chunk `main`; it is given what evaluates a script by its number, the first one, and
 * whether the scripts of uses are left out.
 * A chunk is run once, by a function that is given a loader of others and returns its exports. When the script of a use is
 * there, what it has is taken from it.
 */
export function start({ places, uses }: ScriptMap, main: string): string {
  const names = SETTINGS.map((setting) => setting.slice(0, setting.indexOf("=")));
  return `async (table, first, isPlain) => {
"use strict";
const files = Deno.env.get(${JSON.stringify(OPEN_FILES)});
if (files) globalThis[Symbol.for(${JSON.stringify(OPEN_FILES)})] = parseInt(files, 16);
for (const name of ${JSON.stringify([...names, OPEN_FILES])}) Deno.env.delete(name);
${LIGHT_PROCESS}
const places = ${JSON.stringify(places)}, uses = ${JSON.stringify(uses)}, tables = [first], done = {};
const script = (name) => {
  const use = isPlain ? undefined : uses[name]?.find(([, base]) => base < 0 || tables[base])?.[0];
  if (use !== undefined && !tables[use]) for (const each in tables[use] = table(use)) places[each] = use;
  return tables[places[name]] ??= table(places[name]);
};
const load = (name) => done[name] ??= script(name)[name](load);
await load(${JSON.stringify(main)});
}`;
}
