import { O, O_DIRECTORY } from "./abi.ts";
import type { Context } from "./context.ts";
import { AT_FDCWD, RESOLVE } from "./kernel.ts";
import { cloneMount } from "./mount_ops.ts";
import { flags, mark, named, type Op, op, slot, type Struct, zeros } from "./op.ts";

/** Where a source that must not lead elsewhere is to be found. */
export interface Beneath {
  /** An absolute path without links on the way. */
  readonly root: string;
  /** The path from there; empty for the root itself. */
  readonly path: string;
  /** The inode that it must be, if it is a file: another one may have taken its place. */
  readonly inode?: number;
}

/**
 * Copies the mount at `path` on the host. One that must lie beneath a directory is found from there by descriptors,
 * through no link: whoever can write to the directory changes nothing by exchanging a part of the path meanwhile.
 */
export function* openSource(
  context: Context,
  does: string,
  path: string,
  { recursive, into }: { readonly recursive: boolean; readonly into: string },
): Iterable<Op> {
  const beneath = context.beneath?.get(path);
  if (!beneath) {
    yield cloneMount(does, AT_FDCWD, path, recursive, into);
    return;
  }
  const [root, source] = [`${into}:beneath`, `${into}:source`];
  yield op(`open "${beneath.root}" through no link`, "openat2", [
    AT_FDCWD,
    beneath.root,
    openHow(context, "directory"),
    24,
  ], { into: root });
  const how = openHow(context, beneath.inode === undefined ? "directory" : "file", RESOLVE.BENEATH);
  yield op(`open "${path}" beneath "${beneath.root}" through no link`, "openat2", [
    slot(root),
    beneath.path || ".",
    how,
    24,
  ], { into: source });
  yield op(does, "close", [slot(root)]);
  if (beneath.inode !== undefined) yield* isInode(path, source, beneath.inode, `${into}:same`);
  yield cloneMount(does, slot(source), "", recursive, into);
  yield op(does, "close", [slot(source)]);
}

function openHow({ arch }: Context, kind: "directory" | "file", beneath = 0): Struct {
  const open = {
    PATH: O.PATH,
    CLOEXEC: O.CLOEXEC,
    ...(kind === "directory" && { DIRECTORY: O_DIRECTORY[arch] }),
  };
  const resolve = {
    ...(beneath > 0 && { BENEATH: beneath }),
    NO_MAGICLINKS: RESOLVE.NO_MAGICLINKS,
    NO_SYMLINKS: RESOLVE.NO_SYMLINKS,
  };
  return {
    struct: "open_how",
    members: [["flags", 8, flags("O_", open)], ["mode", 8, 0], ["resolve", 8, flags("RESOLVE_", resolve)]],
  };
}

/** Where stx_ino lies in `struct statx` (statx(2)). */
const INODE_AT = 32;

/** Goes on only if slot `file` is the inode that was checked. */
function* isInode(path: string, file: string, inode: number, same: string): Iterable<Op> {
  const does = `use the very "${path}" that was checked`;
  const stat = zeros(256, "statx");
  const empty = named("AT_EMPTY_PATH", 0x1000);
  yield op(does, "statx", [slot(file), "", empty, named("STATX_INO", 0x100), stat]);
  yield op(does, "load", [{ inside: stat, offset: INODE_AT }, 0], { into: "inode" });
  yield op(does, "let", [slot("inode"), -1, inode], { zero: same });
  yield op(does, "chdir", [""]); // fails: something else has taken its place
  yield mark(same);
}
