import { fromFileUrl } from "@std/path";

/** The checkout. */
export const ROOT = fromFileUrl(new URL("../..", import.meta.url)).replace(/\/$/, "");
const MAIN = "cli/main.ts";
/** How the command line is started from sources, which keeps no images and no steps between commands. */
export const SOURCES: readonly string[] = [Deno.execPath(), "run", "--quiet", "-A", `${ROOT}/${MAIN}`];
const BUILT = Deno.env.get("AI_SANDBOX_TEST_RUNTIME");
/** How the command line is started: as it was built for a run of the whole suite, else from sources. */
export const RUNTIME: readonly string[] = BUILT ? [BUILT] : SOURCES;
/** Whether the command line loads packages of npm when it is started. */
export const needsPackages: boolean = !BUILT;
const TIMEOUT_MS = 60_000;

/** How a run of the command line ended, and what it said. */
export interface Said {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/** Options of {@linkcode cli}. */
export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly stdin?: string | Uint8Array<ArrayBuffer>;
  /** A program that starts ours, such as `["prlimit", "--nofile=20"]`. */
  readonly wrapper?: readonly string[];
  /** What is started instead of the command line of the checkout. */
  readonly program?: readonly string[];
}

/** A process with its ends of the pipes. */
export function start(args: readonly string[], options: CliOptions = {}): Deno.ChildProcess {
  const { wrapper = [], program = RUNTIME, cwd = ROOT, env = {} } = options;
  const [command, ...rest] = [...wrapper, ...program, ...args];
  return new Deno.Command(command!, {
    args: rest,
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the command line to its end. */
export async function cli(args: readonly string[], options: CliOptions = {}): Promise<Said> {
  return decode(await finish(start(args, options), options.stdin));
}

/** The end of a process and every byte that it wrote; kills it when it takes too long. */
export async function finish(
  child: Deno.ChildProcess,
  stdin: string | Uint8Array<ArrayBuffer> = "",
): Promise<Omit<Said, "stdout" | "stderr"> & Record<"stdout" | "stderr", Uint8Array<ArrayBuffer>>> {
  const began = performance.now();
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
  const written = send(child.stdin, bytes);
  const [stdout, stderr, { code, signal }] = await Promise.all([
    collect(child.stdout),
    collect(child.stderr),
    child.status,
  ]);
  clearTimeout(timer);
  await written;
  return { code, signal, stdout, stderr, ms: performance.now() - began };
}

/** The program need not read it all. */
async function send(stream: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = stream.getWriter();
  await writer.write(bytes).then(() => writer.close()).catch(() => {});
}

/** Every byte that is still to come. */
async function collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  // Not a Response: that refuses streams that were read before.
  if (!stream.locked) { for await (const chunk of stream) chunks.push(chunk); }
  return await new Blob(chunks).bytes();
}

function decode({ stdout, stderr, ...rest }: Awaited<ReturnType<typeof finish>>): Said {
  const decoder = new TextDecoder();
  return { ...rest, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Reads from a stream until `text` has come, and returns all that came; the stream can be read on. */
export async function until(stream: ReadableStream<Uint8Array>, text: string): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let all = "";
  while (!all.includes(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`"${text}" did not come, but ${JSON.stringify(all)}`);
    all += decoder.decode(value, { stream: true });
  }
  reader.releaseLock();
  return all;
}

/** A temporary directory, removed with what is in it. */
export class Temporary implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "cli-" });
  constructor(mode = 0o755) {
    Deno.chmodSync(this.path, mode);
  }
  /** Writes a file in it and returns its path. */
  file(name: string, text: string, mode = 0o644): string {
    const path = `${this.path}/${name}`;
    Deno.writeTextFileSync(path, text);
    Deno.chmodSync(path, mode);
    return path;
  }
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** The uid that tests use for a user without rights; it has no name and no home. */
export const STRANGER = 54_321;
/** Starts a program as {@linkcode STRANGER}. */
export const AS_STRANGER: readonly string[] = [
  "setpriv",
  `--reuid=${STRANGER}`,
  `--regid=${STRANGER}`,
  "--clear-groups",
];

/** Copies the bundle `hello` to where a user who cannot read the checkout can run it. */
export async function helloBundle(directory: Temporary): Promise<string> {
  const path = `${directory.path}/hello`;
  const { success, stderr } = await new Deno.Command("cp", {
    args: ["-r", "--preserve=mode", `${ROOT}/bundles/hello`, path],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return path;
}

/**
 * A program, the command line as a rule, as one file that a user who cannot read the checkout or its cache can run: the
 * built one, or one in `directory`.
 */
export async function bundled(directory: Temporary, entry = MAIN): Promise<readonly string[]> {
  if (BUILT && entry === MAIN) return [BUILT];
  const file = `${directory.path}/cli.js`;
  const args = ["bundle", "--quiet", "--platform", "deno", "--output", file, `${ROOT}/${entry}`];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
  if (!success) throw new Error(`Cannot bundle ${entry}: ${new TextDecoder().decode(stderr)}`);
  Deno.chmodSync(file, 0o644);
  const cache = `${directory.path}/cache`;
  Deno.mkdirSync(cache);
  Deno.chownSync(cache, STRANGER, STRANGER);
  return ["env", `DENO_DIR=${cache}`, Deno.execPath(), "run", "--quiet", "--no-config", "-A", file];
}
