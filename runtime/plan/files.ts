import { O, O_DIRECTORY, O_NOFOLLOW } from "./abi.ts";
import type { Arch } from "./abi.ts";
import { RESOLVE } from "./kernel.ts";
import { type Arg, flags, mark, named, type Op, op, slot, type Struct } from "./op.ts";

/** What lies at a path. */
export type Kind = "directory" | "file";

/** Options of {@linkcode resolve}. */
export interface ResolveOptions {
  readonly arch: Arch;
  /** What must be there; anything if not given. */
  readonly kind?: Kind | undefined;
  /** Refuses every symbolic link on the way, for mounts whose place must be the one that is named. */
  readonly noSymlinks?: boolean;
  /** The slot of the descriptor that the path is resolved in. @default {"root"} */
  readonly root?: string;
}

/**
 * Opens `path` inside the root by openat2(RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS): no link in a hostile rootfs leads
 * outside, and what is used later is the descriptor, not the path.
 */
export function resolve(
  does: string,
  path: string,
  into: string,
  options: ResolveOptions,
  rest: Partial<Op> = {},
): Op {
  const { root = "root" } = options;
  return op(does, "openat2", [slot(root), path, openHow(options), 24], { into, ...rest });
}

const hows = new Map<string, Struct>();

/** `struct open_how` of openat2(2); one object for each value, so that an image holds it once. */
function openHow({ arch, kind, noSymlinks = false }: ResolveOptions): Struct {
  const directory = kind === "directory";
  const key = `${arch} ${directory} ${noSymlinks}`;
  let how = hows.get(key);
  if (!how) hows.set(key, how = { struct: "open_how", members: openHowMembers(arch, directory, noSymlinks) });
  return how;
}

function openHowMembers(arch: Arch, directory: boolean, noSymlinks: boolean): Struct["members"] {
  const open = { PATH: O.PATH, CLOEXEC: O.CLOEXEC, ...(directory && { DIRECTORY: O_DIRECTORY[arch] }) };
  const resolve = {
    IN_ROOT: RESOLVE.IN_ROOT,
    NO_MAGICLINKS: RESOLVE.NO_MAGICLINKS,
    ...(noSymlinks && { NO_SYMLINKS: RESOLVE.NO_SYMLINKS }),
  };
  return [["flags", 8, flags("O_", open)], ["mode", 8, 0], ["resolve", 8, flags("RESOLVE_", resolve)]];
}

/** Opens `path` inside the root as {@linkcode resolve} does; what is missing on the way is made first. */
export function* resolveOrCreate(
  does: string,
  path: string,
  into: string,
  options: ResolveOptions,
): Iterable<Op> {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  const done = `${into}:done`;
  const parent = `${into}:parent`;
  yield resolve(does, path, into, options, { ignore: ["ENOENT"], zero: done, positive: done });
  yield op(`${does}: begin at the root`, "let", [slot(options.root ?? "root")], { into: parent });
  const { kind = "directory", arch } = options;
  for (let depth = 1; depth < names.length || (depth === names.length && kind === "directory"); depth++) {
    const prefix = "/" + names.slice(0, depth).join("/");
    const there = `${into}:${depth}`;
    const open = resolve(`open directory "${prefix}"`, prefix, parent, { ...options, kind: "directory" });
    yield { ...open, ignore: ["ENOENT"], zero: there, positive: there };
    yield op(`make directory "${prefix}"`, "mkdirat", [
      slot(parent),
      names[depth - 1]!,
      named("0755", 0o755),
    ]);
    yield open;
    yield mark(there);
  }
  if (kind === "file") {
    const does = `make file "${path}"`;
    yield createFile(arch, parent, names.at(-1)!, does, `${into}:file`);
    yield op(does, "close", [slot(`${into}:file`)]); // open for writing it would keep the root from becoming read-only
  }
  yield resolve(does, path, into, options);
  yield mark(done);
}

/** Makes an empty file in the directory of slot `directory`, through no link and over nothing. */
export function createFile(arch: Arch, directory: string, name: string, does: string, into: string): Op {
  return op(does, "openat", [slot(directory), name, createFlags(arch), named("0644", 0o644)], { into });
}

function createFlags(arch: Arch): Arg {
  return flags("O_", {
    WRONLY: O.WRONLY,
    CREAT: O.CREAT,
    EXCL: O.EXCL,
    NOFOLLOW: O_NOFOLLOW[arch],
    CLOEXEC: O.CLOEXEC,
  });
}

/** Writes `value` to the file at `path` below the directory of `directory`. */
export function* writeFile(
  does: string,
  directory: Arg,
  path: string,
  value: Arg,
  size: number,
): Iterable<Op> {
  const open = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [directory, path, open, 0], { into: "file" });
  yield op(does, "write", [slot("file"), value, size]);
  yield op(does, "close", [slot("file")]);
}
