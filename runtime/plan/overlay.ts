import { O, O_DIRECTORY } from "./abi.ts";
import type { Context } from "./context.ts";
import { labelOf } from "./mount_label.ts";
import type { MountOptions } from "./mount_options.ts";
import { attach, cloneMount, newFileSystem } from "./mount_ops.ts";
import { flags, named, type Op, op, slot } from "./op.ts";

/** Opens the directory `name` below the one of slot `parent`, both of our own making. */
export function openOwn({ arch }: Pick<Context, "arch">, parent: string, name: string, into: string): Op {
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  return op(`open "${name}" of the overlay`, "openat", [slot(parent), name, how, 0], { into });
}

/**
 * Builds an overlay inside the mounted tmpfs of slot `tmpfs`: the detached mounts of `lowers` (topmost first) become
 * its lower layers, `upper` and `work` lie in the tmpfs. All paths are relative to it, so that no name needs escaping.
 */
export function* overlay(
  context: Context,
  does: string,
  lowers: readonly string[],
  tmpfs: string,
  into: string,
  mode = 0o755,
): Iterable<Op> {
  // Where the root's upper layer is kept they are there.
  const rest = context.root.kind === "overlay" && context.root.isKept ? { ignore: ["EEXIST"] } as const : {};
  for (const [name, bits] of [["upper", mode], ["work", 0o755]] as const) {
    yield op(does, "mkdirat", [slot(tmpfs), name, named(`0${bits.toString(8)}`, bits)], rest);
  }
  for (const [index, lower] of lowers.entries()) {
    const name = `lower${index}`;
    yield op(does, "mkdirat", [slot(tmpfs), name, named("0755", 0o755)], rest);
    yield openOwn(context, tmpfs, name, "target");
    yield attach(does, lower, "target");
  }
  // Without rights over the first user namespace the overlay keeps its marks in user.* attributes.
  const userMarks = context.namespace("user") !== "shared" || !context.host.privileged;
  const names = lowers.map((_, index) => `lower${index}`);
  yield* joinLayers(does, { lowers: names, userMarks, label: labelOf(context, "overlay") }, tmpfs, into);
}

/** Makes an overlay of directories in the mounted tmpfs of slot `tmpfs`: `upper`, `work`, and `lowers`. */
export function* joinLayers(
  does: string,
  { lowers, userMarks, label = [] }: {
    readonly lowers: readonly string[];
    readonly userMarks: boolean;
    readonly label?: MountOptions["data"];
  },
  tmpfs: string,
  into: string,
): Iterable<Op> {
  yield op(does, "fchdir", [slot(tmpfs)]);
  const data = [
    { key: "lowerdir", value: lowers.join(":") },
    { key: "upperdir", value: "upper" },
    { key: "workdir", value: "work" },
    ...(userMarks ? [{ key: "userxattr" }] : []),
    ...label,
  ];
  yield* newFileSystem(does, { type: "overlay", data, set: {} }, into);
}

/**
 * `tmpcopyup`: what lies at slot `target` shows through the tmpfs of slot `tmpfs` that is mounted on it, and changes
 * stay in the tmpfs. An overlay does that without copying anything.
 *
 * @param mode That of the directory itself.
 */
export function* copyUp(
  context: Context,
  does: string,
  tmpfs: string,
  target: string,
  mode: number,
): Iterable<Op> {
  yield cloneMount(does, slot(target), "", false, "copy");
  yield attach(does, tmpfs, target);
  yield* overlay(context, does, ["copy"], tmpfs, "copied", mode);
  yield attach(does, "copied", tmpfs);
}
