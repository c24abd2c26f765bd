/** Turns a program of many modules into one script. */

/** A program as one classic script whose completion value is a promise of its end. */
export interface Script {
  readonly text: string;
  /** Modules that are still imported at start-up. Each `node:` module costs it tens of milliseconds. */
  readonly imports: readonly string[];
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
 * @param options.minify Whether to shorten names and drop white space.
 * @throws {Error} With the bundler's own words when it fails.
 */
export async function bundle(entry: string, options: { minify: boolean }): Promise<Script> {
  const output = await Deno.makeTempFile({ suffix: ".js" });
  try {
    const args = ["bundle", "--quiet", "--platform", "deno", "--format", "esm", "--output", output];
    if (options.minify) args.push("--minify");
    const env = { NO_COLOR: "1" };
    const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: [...args, entry], env })
      .output();
    if (!success) throw new Error(`Cannot bundle "${entry}": ${new TextDecoder().decode(stderr).trim()}`);
    const script = toScript(await Deno.readTextFile(output));
    return { ...script, text: script.text.replaceAll(BUILD_ID, await nameOf(script.text)) };
  } finally {
    await Deno.remove(output);
  }
}

// The bundler leaves these at the top level only, each at the start of a line or after a `;` of its own.
const IMPORT = /(^|[;\n])import\s*(?:([\w$*{][^"';()]*?)\s*from\s*)?"([^"]+)";?/g;
const EXPORT = /(^|[;\n}])export\s*\{[^}]*\};?\s*$/;

/**
 * Makes a classic script of a bundled ES module: V8 keeps its code cache for those only where we can reach it.
 *
 * Top-level `await` and `import.meta` go on working; exports, which nobody could import, are dropped.
 */
export function toScript(module: string): Script {
  const imports: string[] = [];
  let text = module.replace(EXPORT, "$1").replace(IMPORT, (_, before, names, specifier) => {
    imports.push(specifier);
    return `${before}${importCall(names?.trim(), specifier)}`;
  });
  let meta = "";
  if (/\bimport\.meta\b/.test(text)) {
    text = text.replace(/\bimport\.meta\.main\b/g, "true").replace(/\bimport\.meta\b/g, "__importMeta");
    meta =
      'const __importMeta = { main: true, url: "file://" + Deno.execPath(), filename: Deno.execPath(), ' +
      'resolve: (to) => new URL(to, "file://" + Deno.execPath()).href };';
    if (!text.includes("__importMeta")) meta = "";
  }
  return { text: `(async () => { "use strict"; ${meta}\n${text}\n})()`, imports };
}

function importCall(names: string | undefined, specifier: string): string {
  const call = `await import("${specifier}");`;
  if (names === undefined) return call;
  const [, first, rest] = /^([\w$]+)?\s*,?\s*([\s\S]*)$/.exec(names) ?? [];
  const namespace = /^\*\s*as\s+([\w$]+)$/.exec(rest ?? "")?.[1];
  if (namespace !== undefined && first === undefined) return `const ${namespace} = ${call}`;
  if (namespace !== undefined) return `const ${namespace} = ${call} const ${first} = ${namespace}.default;`;
  const inner = (rest ?? "").replace(/^\{|\}$/g, "").replace(/\s+as\s+/g, ": ").trim();
  const all = [first === undefined ? "" : `default: ${first}`, inner].filter((part) => part !== "");
  return `const { ${all.join(", ")} } = ${call}`;
}
