import { dirname } from "@std/path";
import type { Node } from "./cpio.ts";

/** What of a checkout no test in the guest needs. */
const LEFT_OUT = [".git", "bin", "dist", "node_modules", ".ci"];

/**
 * The checkout and the npm packages that its lock file names, below `payload/`: each where it is on this machine, so
 * that Deno finds in the guest what it has cached.
 *
 * @param programs More of this machine's programs, by their places in the guest.
 */
export function* payload(
  checkout: string,
  denoDirectory: string,
  programs: Readonly<Record<string, string>> = {},
): Iterable<Node> {
  const made = new Set<string>();
  yield* below(checkout, made, LEFT_OUT);
  const lock = JSON.parse(Deno.readTextFileSync(`${checkout}/deno.lock`));
  const npm = `${denoDirectory}/npm/registry.npmjs.org`;
  for (const id of Object.keys(lock.npm ?? {})) {
    const [, name, version] = /^(.+)@([^@_]+)/.exec(id)!;
    yield* below(`${npm}/${name}/${version}`, made, []);
    const registry = `${npm}/${name}/registry.json`;
    if (asked(registry)) {
      yield { kind: "file", path: `payload${registry}`, mode: 0o644, bytes: Deno.readFileSync(registry) };
    }
  }
  for (const [at, path] of Object.entries(programs)) {
    yield* parents(dirname(at), made);
    yield { kind: "file", path: `payload${at}`, mode: 0o755, bytes: Deno.readFileSync(path) };
  }
}

/** Whether Deno has asked the registry about this package: with a lock file it need not ask about each. */
function asked(registry: string): boolean {
  try {
    return Deno.statSync(registry).isFile;
  } catch {
    return false;
  }
}

function* below(path: string, made: Set<string>, leftOut: readonly string[]): Iterable<Node> {
  yield* parents(path, made);
  for (const { name, isDirectory, isSymlink } of Deno.readDirSync(path)) {
    if (leftOut.includes(name)) continue;
    const at = `${path}/${name}`;
    if (isSymlink) yield { kind: "link", path: `payload${at}`, to: Deno.readLinkSync(at) };
    else if (isDirectory) yield* below(at, made, []);
    else {
      const mode = (Deno.statSync(at).mode ?? 0o644) & 0o777;
      yield { kind: "file", path: `payload${at}`, mode, bytes: Deno.readFileSync(at) };
    }
  }
}

function* parents(path: string, made: Set<string>): Iterable<Node> {
  if (path === "/" || made.has(path)) return;
  made.add(path);
  yield* parents(dirname(path), made);
  yield { kind: "directory", path: `payload${path}`, mode: 0o755 };
}
