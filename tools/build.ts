/**
 * Builds `bin/runtime`: one executable file that needs neither this checkout nor anything else of Deno.
 *
 *     deno task build [--output FILE] [--entry FILE] [--warm="ARGUMENTS"]… [--denort FILE]
 *                     [--deno FILE] [--no-minify] [--prelink] [--no-code-cache]
 *
 * The file is a copy of the Deno executable that builds it, with a few instructions that run first and the
 * bundled program at its end. `--warm` names a command line of the program to run once, so that its code is in the
 * code cache. `--deno` names another Deno executable to build from, of another machine perhaps: its program cannot be
 * run here, so it gets no code cache. `--denort`, or DENORT_BIN, names Deno's own base for `deno compile`, which is used instead.
 */
import { parseArgs } from "@std/cli/parse-args";
import { dirname, fromFileUrl, join, resolve } from "@std/path";
import { expose, loader, recorder, SETTINGS, words } from "./build/bootstrap.ts";
import { bundle } from "./build/bundle.ts";
import { attach, payloadOffset, readElf } from "./build/elf.ts";
import { prelink, randomBase } from "./build/prelink.ts";
import { STUBS } from "./build/stubs.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));
const HELLO = join(ROOT, "bundles/hello");
/** What needs no command. */
const FLAGS = ["--version", "--help"];
/** Twice `run`: the second finds its image made. */
const WARM = [`plan ${HELLO}`, `run ${HELLO}`, `run ${HELLO}`];
const WARM_TIMEOUT_MS = 10_000;

/** What to build, and where to. */
export interface Build {
  /** Path of the main module. */
  readonly entry: string;
  /** Path of the executable. */
  readonly output: string;
  /** The Deno executable to extend. @default the one that builds */
  readonly deno?: string;
  /** Whether to shorten the program's names, which makes it start faster and its stack traces terse. */
  readonly minify?: boolean;
  /** Whether to give Deno a fixed address, drawn at random now, which saves 2 ms at each start. */
  readonly prelink?: boolean;
  /** Whether to bring V8's code cache along, through a hook into Deno's internals. */
  readonly codeCache?: boolean;
  /** Command lines to run for the code cache, their words separated by spaces. */
  readonly warm?: readonly string[];
}

/**
 * Writes the executable, whole or not at all, and returns lines that say what is in it.
 *
 * @throws {Error} When the program cannot be bundled or this Deno cannot be extended.
 */
export async function build(options: Build): Promise<string[]> {
  const host = await Deno.readFile(options.deno ?? Deno.execPath());
  const { machine } = readElf(host);
  const foreign = machine !== Deno.build.arch;
  const stub = Uint8Array.fromHex(STUBS[machine]);
  if (options.prelink ?? false) prelink(host, randomBase(machine));
  const { text, imports } = await bundle(options.entry, { minify: options.minify ?? true });
  const source = new TextEncoder().encode(text);
  const report = [`program: ${source.length} bytes from ${options.entry}`];
  for (const name of imports) report.push(`imported at start, which takes time: ${name}`);

  const hooked = (options.codeCache ?? true) && !foreign && expose(host);
  let [flagsCache, cache]: Uint8Array[] = [new Uint8Array(), new Uint8Array()];
  if (hooked) {
    const record = (loader: string): Uint8Array =>
      attach(host, { stub, settings: SETTINGS, words: words(loader), payload: new Uint8Array() });
    flagsCache = await recordCache(text, record, FLAGS);
    cache = await recordCache(text, record, options.warm ?? WARM);
    report.push(
      cache!.length > 0 ? `code cache: ${cache!.length} bytes` : "no code cache: no warm-up succeeded",
    );
  } else if (foreign) {
    report.push(`no code cache: a program for ${machine} cannot run here`);
  } else if (options.codeCache ?? true) {
    report.push(`no code cache: Deno ${Deno.version.deno} does not have the text to hook`);
  }

  const parts = [source, flagsCache!, cache!];
  const layout = {
    offset: payloadOffset(host),
    source: source.length,
    flagsCache: flagsCache!.length,
    cache: cache!.length,
  };
  const payload = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  const bytes = attach(host, { stub, settings: SETTINGS, words: words(loader(layout, hooked)), payload });
  await replace(options.output, (temp) => Deno.writeFile(temp, bytes));
  const of = options.deno ?? `Deno ${Deno.version.deno}`;
  report.push(`${options.output}: ${(bytes.length / 1e6).toFixed(1)} MB with ${of}`);
  return report;
}

/** Runs the program once for each command line and returns the code cache that has grown from all of them. */
async function recordCache(
  text: string,
  record: (loader: string) => Uint8Array,
  warm: readonly string[],
): Promise<Uint8Array> {
  const dir = await Deno.makeTempDir();
  try {
    const [program, source, cache] = [join(dir, "program"), join(dir, "source"), join(dir, "cache")];
    await Deno.writeFile(program, record(recorder(source, cache)), { mode: 0o700 });
    await Deno.writeTextFile(source, text);
    await Deno.writeTextFile(cache, "");
    for (const line of warm) {
      const signal = AbortSignal.timeout(WARM_TIMEOUT_MS);
      const io = { stdin: "null", stdout: "null", stderr: "null" } as const;
      await new Deno.Command(program, { args: line.split(" "), cwd: dir, signal, ...io }).output();
    }
    return await Deno.readFile(cache);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Has Deno's own compiler build the executable, from a local copy of its base. */
async function compile(options: Build, denort: string): Promise<string[]> {
  await replace(options.output, async (temp) => {
    const args = ["compile", "--quiet", "-A", "--no-lock", "--output", temp, options.entry];
    const env = { DENORT_BIN: resolve(denort), NO_COLOR: "1" };
    const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, env, cwd: ROOT }).output();
    if (!success) throw new Error(`Cannot compile: ${new TextDecoder().decode(stderr).trim()}`);
  });
  return [`${options.output}: made by deno compile with ${denort}`];
}

async function replace(path: string, write: (temp: string) => Promise<void>): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  const temp = `${path}.${Deno.pid}.tmp`;
  try {
    await write(temp);
    await Deno.chmod(temp, 0o755);
    await Deno.rename(temp, path);
  } catch (error) {
    await Deno.remove(temp).catch(() => {});
    throw error;
  }
}

async function main(): Promise<void> {
  const started = performance.now();
  const args = parseArgs(Deno.args, {
    string: ["output", "entry", "warm", "deno", "denort"],
    boolean: ["minify", "prelink", "code-cache"],
    negatable: ["minify", "prelink", "code-cache"],
    collect: ["warm"],
    default: {
      minify: true,
      prelink: false,
      "code-cache": true,
      output: join(ROOT, "bin/runtime"),
      entry: join(ROOT, "cli/main.ts"),
    },
    unknown: (name: string) => {
      throw new Error(`Cannot build: unknown argument "${name}"`);
    },
  });
  const denort = args.denort ?? Deno.env.get("DENORT_BIN");
  const warm = args.warm as string[];
  const options: Build = {
    entry: resolve(args.entry),
    output: resolve(args.output),
    minify: args.minify,
    prelink: args.prelink,
    codeCache: args["code-cache"],
    ...(args.deno !== undefined && { deno: resolve(args.deno) }),
    ...(warm.length > 0 ? { warm } : {}),
  };
  for (const line of denort ? await compile(options, denort) : await build(options)) console.log(line);
  console.log(`built in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

if (import.meta.main) {
  await main().catch((error) => {
    console.error(`build: ${error.message}`);
    Deno.exit(1);
  });
}
