/** The few lines of JavaScript that Deno itself is started with: they load the program from the payload. */

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
    `data:text/javascript;base64,${new TextEncoder().encode(loader).toBase64()}`,
  ];
}

/** Where the payload stands in the executable, and what is in it. */
export interface Layout {
  readonly offset: number;
  /** The scripts, each followed by V8's code cache for it, with their lengths in bytes. */
  readonly scripts: readonly ScriptLengths[];
}

interface ScriptLengths {
  readonly source: number;
  readonly cache: number;
}

/** What stands in front of the scripts: their lengths, which would make the loader longer, and Deno reads that slowly. */
export function lengthsOf(scripts: readonly ScriptLengths[]): Uint8Array<ArrayBuffer> {
  const numbers = scripts.flatMap(({ source, cache }) => [source, cache]);
  return new Uint8Array(Uint32Array.from(numbers).buffer);
}

/**
 * The loader of a finished executable.
 *
 * @param layout Where the program and V8's code cache for it are.
 * @param hooked Whether `expose` has opened this executable; without it the code cache cannot be used.
 */
export function loader({ offset, scripts }: Layout, hooked: boolean): string {
  const lengths = lengthsOf(scripts).length;
  const [{ source, cache }] = scripts as [ScriptLengths];
  const evaluate = hooked ? "run(core.decode(text), cache)" : "(0, eval)(new TextDecoder().decode(text))";
  return `${open(hooked)}
const read = (offset, length) => {
  const file = Deno.openSync("/proc/self/exe");
  const bytes = new Uint8Array(length);
  file.seekSync(offset, 0);
  for (let at = 0, n; at < length; at += n) {
    n = file.readSync(bytes.subarray(at));
    if (n === null) throw new Error("Cannot start: the executable is truncated");
  }
  file.close();
  return bytes;
};
const evaluate = (text, cache) => ${evaluate};
const head = read(${offset}, ${lengths + source + cache});
const lengths = new Uint32Array(head.buffer, 0, ${lengths / 4});
const table = (index) => {
  let at = ${offset + lengths};
  for (let i = 0; i < 2 * index; i++) at += lengths[i];
  const source = lengths[2 * index], bytes = read(at, source + lengths[2 * index + 1]);
  return evaluate(bytes.subarray(0, source), bytes.subarray(source));
};
const first = evaluate(head.subarray(${lengths}, ${lengths + source}), head.subarray(${lengths + source}));
await first.start(table, first);`;
}

/**
 * The loader of an executable that runs the program in the files `source0`, `source1`, … of a directory and keeps V8's
 * code cache of each in `cache0`, ….
 *
 * @param isPlain Whether it leaves out the scripts of uses: commands that have none take others.
 */
export function recorder(directory: string, isPlain: boolean): string {
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
const first = table(0);
await first.start(table, first, ${isPlain});`;
}

function open(hooked: boolean): string {
  return !hooked ? "" : `const { core } = globalThis.ImageData, { ops } = core;
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
