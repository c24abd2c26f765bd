/** Turns a program of many modules into a few scripts. */

import { basename, dirname, join } from "@std/path";
import { type ScriptMap, start } from "./start.ts";

/** A program as scripts, each the text of an object: the name of a chunk, and a function that runs it. */
export interface Program {
  /** What it takes to begin, with the function `start`; what hot modules take beside that; the rest; those of the uses. */
  readonly scripts: readonly string[];
  /** Where its chunks are. */
  readonly map: ScriptMap;
  /** Modules that are still imported at start-up. Each `node:` module costs it tens of milliseconds. */
  readonly imports: readonly string[];
}

/** Modules that are loaded together: one script with all that they take is loaded faster than many. */
export interface Use {
  /** Their names without their ending; the first one is loaded first. */
  readonly modules: readonly string[];
  /** The first module of an earlier use, which is loaded by then. */
  readonly after?: string;
}

/** Options of {@linkcode bundle}. */
export interface BundleOptions {
  /** Whether to shorten names and drop white space. */
  readonly minify: boolean;
  /** What is loaded together most often, each the names of modules without their ending: what the same of these take is one script. */
  readonly hot?: readonly (readonly string[])[];
  /** What has a script of its own, although other scripts have its parts. */
  readonly uses?: readonly Use[];
  /**
   * Names of libraries that are bundled by themselves, each a chunk that is loaded when it is imported: the bundler would
   * let all chunks wait for what it adds to one that is no ES module.
   */
  readonly apart?: readonly string[];
}

/** What runtime/build_id.ts holds in a checkout. */
const BUILD_ID = "@BUILD_ID@";

/** A name for the program that changes with it. */
async function nameOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).slice(0, 12).toHex();
}

/**
 * Bundles `entry` with everything it imports.
 *
 * @param entry Path of the main module.
 * @throws {Error} With the bundler's own words when it fails.
 */
export async function bundle(
  entry: string,
  { minify, hot = [], uses = [], apart = [] }: BundleOptions,
): Promise<Program> {
  const output = await Deno.makeTempDir();
  try {
    const outside = apart.flatMap((name) => ["--external", name]);
    await run(entry, ["--code-splitting", ...outside, "--outdir", output], minify);
    const chunks = new Map<string, Chunk>();
    for await (const { name } of Deno.readDir(output)) {
      chunks.set(name, toChunk(await Deno.readTextFile(join(output, name)), apart));
    }
    for (const name of apart) chunks.set(name, toChunk(await library(name, dirname(entry), minify)));
    return await programOf(chunks, `${basename(entry, ".ts")}.js`, { hot, uses });
  } finally {
    await Deno.remove(output, { recursive: true });
  }
}

/** A library and all that it needs as one module. */
async function library(name: string, directory: string, minify: boolean): Promise<string> {
  const door = join(directory, `${name}-${crypto.randomUUID()}.ts`);
  const output = await Deno.makeTempFile({ suffix: ".js" });
  try {
    await Deno.writeTextFile(door, `export { default } from ${JSON.stringify(name)};\n`);
    await run(door, ["--output", output], minify);
    return await Deno.readTextFile(output);
  } finally {
    await Deno.remove(output);
    await Deno.remove(door);
  }
}

async function run(entry: string, more: readonly string[], minify: boolean): Promise<void> {
  const args = [
    "bundle",
    "--quiet",
    "--platform",
    "deno",
    "--format",
    "esm",
    ...(minify ? ["--minify"] : []),
  ];
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args, ...more, entry],
    cwd: dirname(entry),
    env: { NO_COLOR: "1" },
  });
  const { success, stderr } = await command.output();
  if (!success) throw new Error(`Cannot bundle "${entry}": ${new TextDecoder().decode(stderr).trim()}`);
}

async function programOf(
  chunks: ReadonlyMap<string, Chunk>,
  main: string,
  { hot, uses }: Required<Pick<BundleOptions, "hot" | "uses">>,
): Promise<Program> {
  refuseCycles(chunks);
  const begin = closure(chunks, [main]);
  const taken = hot.map((modules) => closure(chunks, named(chunks, modules)));
  // What the same hot modules take is one script: none loads what only others need.
  const users = (name: string): string => taken.map((each) => each.has(name) ? "1" : "0").join("");
  const others = [...chunks.keys()].filter((name) => !begin.has(name)).sort();
  const shared = Map.groupBy(others, users);
  const rest = shared.get(users("")) ?? [];
  shared.delete(users(""));
  const groups = [[...begin].sort(), ...shared.values(), rest].filter(({ length }) => length > 0);
  const often = groups.flat().filter((name) => !rest.includes(name));
  const wholes = wholesOf(chunks, begin, uses);
  const map = mapOf(groups, wholes);
  const id = await nameOf([...chunks].sort().map(([, { text }]) => text).join("\n"));
  const scripts = [...groups, ...wholes.map(({ names }) => names)].map((names, index) => {
    const members = names.map((name) => `${JSON.stringify(name)}: ${chunks.get(name)!.text}`);
    if (index === 0) members.unshift(`start: ${start(map, main)}`);
    return `({${members.join(",\n")}})`.replaceAll(BUILD_ID, id);
  });
  const imports = often.flatMap((name) => chunks.get(name)!.imports);
  return { scripts, map, imports: [...new Set(imports)] };
}

function mapOf(groups: readonly (readonly string[])[], wholes: readonly Whole[]): ScriptMap {
  const places = Object.fromEntries(groups.flatMap((names, index) => names.map((name) => [name, index])));
  const uses: Record<string, (readonly [script: number, base: number])[]> = {};
  for (const [index, { leaders, base }] of wholes.entries()) {
    const use = [groups.length + index, base < 0 ? base : groups.length + base] as const;
    for (const name of leaders) (uses[name] ??= []).push(use);
  }
  return { places, uses };
}

/** The chunks that modules begin with. */
function named(chunks: ReadonlyMap<string, Chunk>, modules: readonly string[]): string[] {
  return [...chunks.keys()].filter((name) => modules.some((each) => name.startsWith(`${each}-`)));
}

/** The script of a use. */
interface Whole {
  readonly names: readonly string[];
  /** The chunks with which it is loaded. */
  readonly leaders: readonly string[];
  /** Which of them it comes after; -1 for none. */
  readonly base: number;
}

function wholesOf(
  chunks: ReadonlyMap<string, Chunk>,
  begin: ReadonlySet<string>,
  uses: readonly Use[],
): Whole[] {
  const found: Whole[] = [];
  for (const { modules, after } of uses) {
    const base = after === undefined ? -1 : uses.findIndex(({ modules: [first] }) => first === after);
    if (after !== undefined && !found[base]) throw new Error(`Cannot bundle: no earlier use has "${after}"`);
    const loaded = new Set(begin);
    for (let at = base; at >= 0; at = found[at]!.base) found[at]!.names.forEach((name) => loaded.add(name));
    const names = [...closure(chunks, named(chunks, modules))].filter((name) => !loaded.has(name)).sort();
    found.push({ names, leaders: named(chunks, modules.slice(0, 1)), base });
  }
  return found;
}

/** The chunks that must run before these have run. */
function closure(chunks: ReadonlyMap<string, Chunk>, names: readonly string[]): Set<string> {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    chunks.get(name)!.needs.forEach(visit);
  };
  names.forEach(visit);
  return found;
}

/** Chunks wait for those that they need: none may wait for itself. */
function refuseCycles(chunks: ReadonlyMap<string, Chunk>): void {
  for (const [name, { needs }] of chunks) {
    if (needs.some((each) => closure(chunks, [each]).has(name))) {
      throw new Error(`Cannot bundle: modules import each other in a circle through ${name}`);
    }
  }
}

/** A chunk of the bundler's as an async function that is given a loader of others and returns what it exports. */
export interface Chunk {
  readonly text: string;
  /** Chunks that it needs before it can begin. */
  readonly needs: readonly string[];
  /** Modules that it imports from Deno. */
  readonly imports: readonly string[];
}

// The bundler leaves these at the top level only, each at the start of a line or after a `;` or `}` of its own.
const IMPORT = /(?<=^|[;\n}])import\s*(?:([\w$*{][^"';()]*?)\s*from\s*)?"([^"]+)";?/g;
const EXPORT = /(^|[;\n}])export\s*\{([^}]*)\};?(\s*(?:\/\*(?:(?!\*\/)[\s\S])*\*\/\s*)*)$/; // licenses stand behind it
const LIBRARY = /\bimport\("([^"./:]+)"\)/g;
const LOAD = /\bimport\("\.\/([^"]+)"\)/g;

/**
 * Makes a function of a bundled ES module: V8 keeps its code cache for classic scripts only where we can reach it.
 *
 * Top-level `await` and `import.meta` go on working.
 *
 * @param apart Names of libraries that are chunks.
 */
export function toChunk(module: string, apart: readonly string[] = []): Chunk {
  const [imports, needs]: [string[], string[]] = [[], []];
  let exported = "";
  let text = module
    .replace(EXPORT, (_, before, names, licenses) => {
      exported = `\nreturn { ${getters(names)} };`;
      return before + licenses.trimEnd();
    })
    .replace(LIBRARY, (all, name) => apart.includes(name) ? `__load(${JSON.stringify(name)})` : all)
    .replace(LOAD, (_, name) => `__load(${JSON.stringify(name)})`)
    .replace(IMPORT, (_, names, specifier) => {
      const own = /^\.\/(.*)$/.exec(specifier)?.[1];
      (own === undefined ? imports : needs).push(own ?? specifier);
      const call = own === undefined ? `import("${specifier}")` : `__load(${JSON.stringify(own)})`;
      return importCall(names?.trim(), call);
    });
  let meta = "";
  if (/\bimport\.meta\b/.test(text)) {
    text = text.replace(/\bimport\.meta\.main\b/g, "true").replace(/\bimport\.meta\b/g, "__importMeta");
    meta =
      'const __importMeta = { main: true, url: "file://" + Deno.execPath(), filename: Deno.execPath(), ' +
      'resolve: (to) => new URL(to, "file://" + Deno.execPath()).href };';
    if (!text.includes("__importMeta")) meta = "";
  }
  return { text: `async (__load) => { "use strict"; ${meta}\n${text}${exported}\n}`, needs, imports };
}

/** `a as b, c` as an object with the exports: what a variable holds may change. */
function getters(names: string): string {
  return names.split(",").map((each) => each.trim()).filter((each) => each !== "").map((each) => {
    const [local, name = local] = each.split(/\s+as\s+/);
    return `get ${name}() { return ${local}; }`;
  }).join(", ");
}

function importCall(names: string | undefined, load: string): string {
  const call = `await ${load};`;
  if (names === undefined) return call;
  const [, first, rest] = /^([\w$]+)?\s*,?\s*([\s\S]*)$/.exec(names) ?? [];
  const namespace = /^\*\s*as\s+([\w$]+)$/.exec(rest ?? "")?.[1];
  if (namespace !== undefined && first === undefined) return `const ${namespace} = ${call}`;
  if (namespace !== undefined) return `const ${namespace} = ${call} const ${first} = ${namespace}.default;`;
  const inner = (rest ?? "").replace(/^\{|\}$/g, "").replace(/\s+as\s+/g, ": ").trim();
  const all = [first === undefined ? "" : `default: ${first}`, inner].filter((part) => part !== "");
  return `const { ${all.join(", ")} } = ${call}`;
}
