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
import { ANSWERED, answersOf } from "./build/answers.ts";
import { expose, lengthsOf, loader, recorder, words } from "./build/bootstrap.ts";
import { bundle, type Program, type Use } from "./build/bundle.ts";
import { withDirectImports } from "./build/direct_imports.ts";
import { attach, payloadOffset, readElf } from "./build/elf.ts";
import { ENGINES, writeEngineBundles } from "./build/engine_bundles.ts";
import { prelink, randomBase } from "./build/prelink.ts";
import { SETTINGS } from "./build/settings.ts";
import { STUBS } from "./build/stubs.ts";
import type { Mount } from "../runtime/spec/config.ts";
import { starterSpec } from "../runtime/starter_spec.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));
const MAIN = join(ROOT, "cli/main.ts");
const HELLO = join(ROOT, "bundles/hello");
/** What commands load together: exec and run with a kept image, what a run is attested by, create, the planner for it, … */
const HOT = [
  ["exec"],
  ["execs"],
  ["run", "rerun"],
  ["attest"],
  ["create", "launch", "group", "moves"],
  ["source"],
  ["template"],
  ["foreground"],
  ["restore", "restored", "restored_upper"],
  ["checkpoint", "seal_now", "begun"],
  ["fork"],
  ["version"],
];
/** What one command takes: run of a container anew, as another one with what was kept of it, of a sandbox anew, … */
const USES: readonly Use[] = [
  { modules: ["run", "rerun"] },
  { modules: ["foreground", "launch", "group", "moves"], after: "run" },
  { modules: ["source"], after: "foreground" },
  { modules: ["keep_recreate"], after: "foreground" },
  { modules: ["image_of"], after: "run" },
  { modules: ["detach", "launch", "group", "moves"], after: "run" },
  { modules: ["source"], after: "detach" },
  { modules: ["create", "launch", "group", "moves"] },
  { modules: ["source"], after: "create" },
  { modules: ["keep_recreate"], after: "create" },
  { modules: ["exec"] },
  { modules: ["execs"], after: "exec" },
  { modules: ["restore", "restored", "restored_upper"] },
  { modules: ["checkpoint", "seal_now", "begun"] },
];
/** What only few commands need, and what is no ES module. */
const APART = ["dbus", "dns-packet", "node-forge"];
/** Each `run` twice: the second finds its image made. */
const RUNS = [`run ${HELLO}`, `run --policy default ${HELLO}`, "run -- true", "run --memory 64MB -- true"];
/** The name of a container that is there while the code caches are made, what it is made from being kept the second time; it takes root. */
const BOX = `build-${Deno.pid}`;
/** Bundles whose program lasts, to be checkpointed: with an overlay on its root, and without. */
const [LASTING, PLAIN] = ["lasting", "plain"];
/** A bundle as `spec` writes it. */
const USUAL = "usual";
const LIFE = [
  `create --bundle . ${BOX}`,
  `exec --env A=b ${BOX} true`,
  `exec --env A=b ${BOX} true`,
  `exec ${BOX} true`,
  `delete --force ${BOX}`,
  `create --bundle . ${BOX}`,
  `delete --force ${BOX}`,
  `run --bundle . ${BOX}`,
  `run --bundle . ${BOX}`,
  ...["", ""].flatMap(() => [
    `create --bundle ${USUAL} ${BOX}`,
    `delete --force ${BOX}`,
    `run --bundle ${USUAL} ${BOX}`,
  ]),
  // With an overlay on its root and without; where there is no CRIU, these are refused.
  ...[LASTING, PLAIN].flatMap((bundle) => [
    `run --detach --bundle ${bundle} ${BOX}`,
    `checkpoint --image-path ${bundle}/images ${BOX}`,
    ...["", ""].flatMap(() => [
      `restore --detach --bundle ${bundle} --image-path ${bundle}/images ${BOX}`,
      `delete --force ${BOX}`,
    ]),
  ]),
  ...ENGINES.flatMap((id) => [
    `--log log --log-format json create --bundle ${id} --pid-file pid ${id}`,
    `--log log --log-format json delete --force ${id}`,
  ]),
].map((line) => `--root containers ${line}`);
const WARM = ["--version", `plan ${HELLO}`, ...RUNS, ...RUNS, ...LIFE];
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
  const program = await bundled(options);
  const sources = program.scripts.map((text) => new TextEncoder().encode(text));
  const sizes = sources.map(({ length }) => length).join(" + ");
  const report = [`program: ${sizes} bytes from ${options.entry}`];
  for (const name of program.imports) report.push(`imported at start, which takes time: ${name}`);

  const hooked = (options.codeCache ?? true) && !foreign && expose(host);
  let caches = sources.map(() => new Uint8Array());
  if (hooked) {
    const record = (loader: string): Uint8Array =>
      attach(host, { stub, settings: SETTINGS, words: words(loader), payload: new Uint8Array() });
    caches = await recordCaches(program, record, options.warm ?? WARM);
    const lengths = caches.map(({ length }) => length).join(" + ");
    report.push(
      caches.some(({ length }) => length > 0)
        ? `code cache: ${lengths} bytes`
        : "no code cache: no warm-up succeeded",
    );
  } else if (foreign) {
    report.push(`no code cache: a program for ${machine} cannot run here`);
  } else if (options.codeCache ?? true) {
    report.push(`no code cache: Deno ${Deno.version.deno} does not have the text to hook`);
  }

  const scripts = sources.map(({ length }, index) => ({ source: length, cache: caches[index]!.length }));
  const layout = { offset: payloadOffset(host), scripts };
  const blobs = [lengthsOf(scripts), ...sources.flatMap((source, index) => [source, caches[index]!])];
  const payload = new Uint8Array(await new Blob(blobs as BlobPart[]).arrayBuffer());
  const parts = { stub, settings: SETTINGS, words: words(loader(layout, hooked)), payload };
  let bytes = attach(host, parts);
  if (options.entry === MAIN && !foreign) {
    const answers = await answersOf(bytes);
    bytes = attach(host, { ...parts, answers });
    report.push(`answered without Deno: ${ANSWERED.join(", ")}`);
  }
  await replace(options.output, (temp) => Deno.writeFile(temp, bytes));
  const of = options.deno ?? `Deno ${Deno.version.deno}`;
  report.push(`${options.output}: ${(bytes.length / 1e6).toFixed(1)} MB with ${of}`);
  return report;
}

/** Bundles the entry; our own command line without the library's door in between. */
async function bundled({ entry, minify = true }: Build): Promise<Program> {
  if (entry !== MAIN) return await bundle(entry, { minify });
  const copy = await withDirectImports(ROOT);
  try {
    return await bundle(join(copy, "cli/main.ts"), { minify, hot: HOT, uses: USES, apart: APART });
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

/**
 * Runs the program once for each command line and returns the code caches that have grown from all of them: first those of
 * the uses, of which nothing is kept yet, then those of the other scripts, which commands without a use take.
 */
async function recordCaches(
  program: Program,
  record: (loader: string) => Uint8Array,
  warm: readonly string[],
): Promise<Uint8Array<ArrayBuffer>[]> {
  const dir = await Deno.makeTempDir();
  try {
    for (const [index, text] of program.scripts.entries()) {
      await Deno.writeTextFile(join(dir, `source${index}`), text);
      await Deno.writeTextFile(join(dir, `cache${index}`), "");
    }
    for (const isPlain of Object.keys(program.map.uses).length > 0 ? [false, true] : [true]) {
      const executable = join(dir, "program");
      await Deno.writeFile(executable, record(recorder(dir, isPlain)), { mode: 0o700 });
      await runAll(executable, warm, join(dir, isPlain ? "plain" : "uses"));
    }
    return await Promise.all(program.scripts.map((_, index) => Deno.readFile(join(dir, `cache${index}`))));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Runs the program once for each command line, in a new directory with what they need. */
async function runAll(executable: string, warm: readonly string[], dir: string): Promise<void> {
  await Deno.mkdir(dir);
  try {
    await writeBundles(dir);
    for (const line of warm) {
      const signal = AbortSignal.timeout(WARM_TIMEOUT_MS);
      const io = { stdin: "null", stdout: "null", stderr: "null" } as const;
      await new Deno.Command(executable, { args: line.split(" "), cwd: dir, signal, ...io }).output();
    }
  } finally {
    for (const id of [BOX, ...ENGINES]) await removeBox(join(dir, "containers"), id);
  }
}

/** Writes what the containers of the warm-up are made from. */
async function writeBundles(dir: string): Promise<void> {
  const spec = JSON.parse(await Deno.readTextFile(join(HELLO, "config.json")));
  const [root, annotations] = [{ path: join(HELLO, "rootfs") }, { "dev.ai-sandbox.overlay": "tmpfs" }];
  const args = ["/usr/bin/sleep", "60"];
  const lasting = { ...spec, process: { ...spec.process, args } };
  const usual = starterSpec({ cgroups: "v2" });
  const bundles = {
    ".": { ...spec, root, annotations },
    [LASTING]: { ...lasting, root, annotations },
    [PLAIN]: { ...lasting, root: { path: "rootfs" } },
    [USUAL]: {
      ...usual,
      process: { ...usual.process!, args: ["/usr/bin/true"], terminal: false },
      root: { path: join(dir, PLAIN, "rootfs"), readonly: true },
      mounts: [...usual.mounts!, ...spec.mounts.filter(({ destination }: Mount) => destination === "/usr")],
    },
  };
  for (const [name, config] of Object.entries(bundles)) {
    await Deno.mkdir(join(dir, name), { recursive: true });
    await Deno.writeTextFile(join(dir, name, "config.json"), JSON.stringify(config));
  }
  const rootfs = join(dir, PLAIN, "rootfs");
  for (const name of ["dev", "proc", "sys", "tmp", "usr"]) {
    await Deno.mkdir(join(rootfs, name), { recursive: true });
  }
  for (const name of ["bin", "lib", "lib64"]) await Deno.symlink(`usr/${name}`, join(rootfs, name));
  writeEngineBundles(dir, spec);
}

/** Removes a container of the warm-up by the checkout's own command: a program that was built wrong may not be able to. */
async function removeBox(root: string, id: string): Promise<void> {
  if (!await Deno.stat(join(root, id)).then(() => true, () => false)) return;
  const args = ["run", "--quiet", "-A", MAIN, "--root", root, "delete", "--force", id];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  if (!success) {
    throw new Error(`Cannot remove container "${id}": ${new TextDecoder().decode(stderr).trim()}`);
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
      entry: MAIN,
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
