/** The few lines of JavaScript that Deno itself is started with: they load the program from the payload. */

/**
 * What the stub puts into the environment. The program, and what it starts, never see these: the loader removes
 * them again, and the stub hides all others of Deno's.
 *
 * DENO_DIR is no directory, so that nothing is read or written there; the shim would put a `node` before PATH.
 */
export const SETTINGS: readonly string[] = [
  "DENO_DIR=/dev/null",
  "DENO_DISABLE_NODE_SHIM=1",
  "DENO_LOG=deno::cache=off,error", // it would complain of that to a terminal
  "DENO_NO_PACKAGE_JSON=1",
  "DENO_NO_UPDATE_CHECK=1",
];

/** What most commands run they run once. */
const V8_FLAGS: readonly string[] = [
  "--min-semi-space-size=16", // MiB: a short command then ends before the first garbage collection
  "--no-sparkplug", // the compilers between the interpreter and the one for hot loops take a tenth of a command's CPU time
  "--no-maglev",
];

/** The arguments that stand before the user's: nothing in the working directory, HOME or network matters to them. */
export function words(loader: string): string[] {
  const flags =
    "--no-config --no-lock --no-npm --no-remote --cached-only --no-prompt --no-check --no-code-cache";
  return [
    "deno",
    "run",
    "-A",
    "--quiet",
    `--v8-flags=${V8_FLAGS.join(",")}`,
    ...flags.split(" "),
    `data:text/javascript,${encodeURIComponent(loader)}`,
  ];
}

/** Where the payload stands in the executable, and what is in it. */
export interface Layout {
  readonly offset: number;
  /** The scripts, each followed by V8's code cache for it, with their lengths in bytes. */
  readonly scripts: readonly { readonly source: number; readonly cache: number }[];
  /** The script that each chunk is in. */
  readonly places: Readonly<Record<string, number>>;
  /** The chunk to begin with. */
  readonly main: string;
}

/** The function that runs a chunk once and gives its exports; `table` evaluates a script. */
function chunks(places: Layout["places"]): string {
  return `const places = ${JSON.stringify(places)}, tables = [], done = {};
const load = (name) => done[name] ??= (tables[places[name]] ??= table(places[name]))[name](load);`;
}

/**
 * The loader of a finished executable.
 *
 * @param layout Where the program and V8's code cache for it are.
 * @param hooked Whether `expose` has opened this executable; without it the code cache cannot be used.
 */
export function loader({ offset, scripts, places, main }: Layout, hooked: boolean): string {
  let at = offset;
  const parts = scripts.map(({ source, cache }) => {
    const part = [at, source, cache];
    at += source + cache;
    return part;
  });
  return `${open(hooked)}
const parts = ${JSON.stringify(parts)};
const table = (index) => {
  const [offset, source, cache] = parts[index];
  const file = Deno.openSync("/proc/self/exe");
  const bytes = new Uint8Array(source + cache);
  file.seekSync(offset, 0);
  for (let at = 0, n; at < bytes.length; at += n) {
    n = file.readSync(bytes.subarray(at));
    if (n === null) throw new Error("Cannot start: the executable is truncated");
  }
  file.close();
  ${
    hooked
      ? "return run(core.decode(bytes.subarray(0, source)), bytes.subarray(source));"
      : "return (0, eval)(new TextDecoder().decode(bytes.subarray(0, source)));"
  }
};
${chunks(places)}
await load(${JSON.stringify(main)});`;
}

/**
 * The loader of an executable that runs the program in the files `source0`, `source1`, … of a directory and keeps V8's
 * code cache of each in `cache0`, ….
 */
export function recorder(
  { places, main }: Pick<Layout, "places" | "main">,
  directory: string,
): string {
  return `${open(true)}
const at = (name, index) => ${JSON.stringify(directory)} + "/" + name + index;
const used = [];
const table = (index) => {
  const cached = Deno.readFileSync(at("cache", index));
  const script = compile(Deno.readTextFileSync(at("source", index)), cached);
  used.push([index, script, cached.length > 0 && script.cachedDataRejected]);
  return ops.op_vm_script_run_in_context(script.value, null, -1, true, false);
};
addEventListener("unload", () => {
  for (const [index, script, rejected] of used) {
    if (rejected) continue;
    const bytes = new Uint8Array(ops.op_vm_script_create_cached_data(script.value));
    Deno.writeFileSync(at("cache", index), bytes);
  }
});
${chunks(places)}
await load(${JSON.stringify(main)});`;
}

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

function open(hooked: boolean): string {
  const names = SETTINGS.map((setting) => setting.slice(0, setting.indexOf("=")));
  const settings = `for (const name of ${JSON.stringify(names)}) Deno.env.delete(name);
${LIGHT_PROCESS}`;
  return !hooked ? settings : `${settings}
const { core } = globalThis.ImageData, { ops } = core;
delete globalThis.ImageData;
const compile = (text, cache) =>
  ops.op_vm_create_script(text, "runtime.js", 0, 0, cache.length > 0 ? cache : undefined, false, undefined, -1);
const run = (text, cache) => ops.op_vm_script_run_in_context(compile(text, cache).value, null, -1, true, false);`;
}

/**
 * Opens Deno's internals to the loader, in a copy of the executable, by giving up `ImageData`.
 *
 * V8's code cache saves most of the time that a large program needs to start, and Deno has no public way to bring
 * one along: `node:vm` would, but loading it costs more than it saves. Deno compiles some of its own JavaScript
 * on first use from text in the executable, passing it the internals; that of `ImageData` is replaced by one that
 * hands them out.
 *
 * @returns Whether this executable has the text that is looked for.
 */
export function expose(bytes: Uint8Array): boolean {
  const head = '"use strict"; return (';
  const tail = find(bytes, "return{ImageData:", 0);
  const end = tail < 0 ? -1 : find(bytes, "})());", tail) + 6;
  const start = tail < 0 ? -1 : findLast(bytes, head, tail);
  if (start < 0 || end < start || end - start > 4096) return false;
  const text = `${head}{ImageData:__bootstrap});`.padEnd(end - start);
  bytes.set(new TextEncoder().encode(text), start);
  return true;
}

function find(bytes: Uint8Array, text: string, from: number): number {
  const wanted = new TextEncoder().encode(text);
  let at = bytes.indexOf(wanted[0]!, from);
  while (at >= 0 && !wanted.every((byte, i) => bytes[at + i] === byte)) {
    at = bytes.indexOf(wanted[0]!, at + 1);
  }
  return at;
}

function findLast(bytes: Uint8Array, text: string, from: number): number {
  const wanted = new TextEncoder().encode(text);
  let at = from;
  while (at >= 0 && !wanted.every((byte, i) => bytes[at + i] === byte)) at--;
  return at;
}
