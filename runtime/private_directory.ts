/** Where temporary files go, unless TMPDIR says otherwise. */
const TEMPORARY = "/tmp";
const NAME = /^ai-sandbox-own-(\d+)-(\d+)-(\d+)-/;
/** Where the start of a process stands in /proc/<pid>/stat, counted behind its name (proc_pid_stat(5)). */
const STARTTIME = 19;

/**
 * A new directory for this user alone, removed with all that is in it when it is disposed of. Those that killed
 * commands have left are removed first.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { privateDirectory } from "./private_directory.ts";
 * using directory = privateDirectory();
 * equal(Deno.statSync(directory.path).mode! & 0o777, 0o700);
 * ```
 */
export function privateDirectory(): { readonly path: string } & Disposable {
  const parent = Deno.realPathSync(Deno.env.get("TMPDIR") || TEMPORARY);
  removeAbandoned(parent);
  const prefix = `ai-sandbox-own-${pidNamespace()}-${Deno.pid}-${startOf(Deno.pid)}-`;
  const path = Deno.makeTempDirSync({ dir: parent, prefix });
  return { path, [Symbol.dispose]: () => remove(path) };
}

function removeAbandoned(parent: string): void {
  const [uid, own] = [Deno.uid(), pidNamespace()];
  for (const { name, isDirectory } of Deno.readDirSync(parent)) {
    const [, namespace, pid, start] = NAME.exec(name) ?? [];
    // Pids of another namespace say nothing here.
    if (namespace !== own || !isDirectory || startOf(Number(pid)) === start) continue;
    const path = `${parent}/${name}`;
    if (Deno.lstatSync(path).uid === uid) remove(path);
  }
}

/** The number of our pid namespace. */
function pidNamespace(): string {
  return /\d+/.exec(Deno.readLinkSync("/proc/self/ns/pid"))?.[0] ?? "";
}

/** When a process started, in the kernel's ticks; a number is given to another process later. */
function startOf(pid: number): string | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[STARTTIME];
  } catch {
    return undefined;
  }
}

/** What is in it belongs to the program, which may have left directories that cannot be entered. */
function remove(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    open(path);
    Deno.removeSync(path, { recursive: true });
  }
}

function open(path: string): void {
  Deno.chmodSync(path, 0o700);
  for (const { name, isDirectory } of Deno.readDirSync(path)) if (isDirectory) open(`${path}/${name}`);
}
