import { O, O_DIRECTORY, O_NOFOLLOW } from "./abi.ts";
import { UnsupportedError } from "../errors.ts";
import type { Spec } from "../spec/config.ts";
import { type Context, type Entry, hasDetachedRoot, type Root, type Steps } from "./context.ts";
import { AT_FDCWD, MNT_DETACH, MOUNT_ATTR, PROPAGATION } from "./kernel.ts";
import { hasEarlyHooks, rootfsOf } from "./hooks.ts";
import { labelOf } from "./mount_label.ts";
import { attach, mapFiles, newFileSystem, setAttributes } from "./mount_ops.ts";
import { flags, mark, named, type Op, op, slot, text } from "./op.ts";
import { openOwn, overlay } from "./overlay.ts";
import { firstPreserved } from "./preserved.ts";
import { openSource } from "./sources.ts";

/** The path from the root on, of what lies in a root file system that is used as it is. */
export function pathInRoot(root: Root, path: string): string | undefined {
  return root.kind === "directory" && path.startsWith(`${root.path}/`) && root.path !== "/"
    ? path.slice(root.path.length)
    : undefined;
}

/**
 * Where the new root hangs until pivot_root: a directory that every host has and that init does not look into any
 * more. It is a mount of init's own mount namespace; the host sees nothing of it.
 */
const PLACE = "/proc";

/** The steps that make the new root; slot `root` is its descriptor when they are done. */
export function rootfs(context: Context): Steps {
  const { root } = context;
  if (hasDetachedRoot(context)) return detached(context);
  if (context.namespace("mount") !== "new") return { inside: [...chroot(context)] };
  const open: Op[] = [];
  const mapped: Op[] = [];
  const slave = named("MS_SLAVE", PROPAGATION.SLAVE);
  const before: Op[] = [
    setAttributes("keep mounts inside from spreading to the host", AT_FDCWD, {
      propagation: slave,
      recursive: true,
    }, "/"),
    ...openPlace(context),
  ];
  const propagation = { propagation: slave, recursive: true };
  switch (root.kind) {
    case "directory": {
      const does = `mount "${root.path}" as the root`;
      open.push(
        ...openSource(context, does, root.path, { recursive: true, into: "root" }),
        setAttributes(does, slot("root"), propagation),
      );
      mapped.push(...mapFiles(context, does, "root"));
      before.push(attach(does, "root", "place"));
      break;
    }
    case "overlay": {
      const does = "mount the overlay";
      for (const [index, lower] of root.lowers.entries()) {
        const [into, opens] = [`lower:${index}`, `open layer "${lower}"`];
        open.push(...openSource(context, opens, lower, { recursive: false, into }));
        mapped.push(...mapFiles(context, opens, into));
      }
      before.push(
        ...(root.isKept
          ? [takeUpper(context, "tmpfs")]
          : tmpfs(context, "mount the upper layer", root.sizeBytes, "tmpfs")),
        attach("mount the upper layer", "tmpfs", "place"),
        ...overlay(context, does, root.lowers.map((_, index) => `lower:${index}`), "tmpfs", "root"),
      );
      // Hooks find the root where the rootfs lies, and not a directory with its layers.
      if (hasEarlyHooks(context)) before.push(attach(does, "root", "tmpfs"));
      else {before.push(
          op(does, "mkdirat", [slot("tmpfs"), "root", named("0755", 0o755)]),
          openOwn(context, "tmpfs", "root", "target"),
          attach(does, "root", "target"),
        );}
      break;
    }
    case "scratch":
      before.push(
        ...tmpfs(context, "make the root", root.sizeBytes, "root"),
        ...root.entries.flatMap((entry) => [...scratchEntry(context, entry)]),
        attach("mount the root", "root", "place"),
      );
      break;
    default:
      root satisfies never;
  }
  const inside = [
    op("enter the root", "fchdir", [slot("root")]),
    ...(context.noPivot ? coverHost(context, context.noPivot.leaves) : [
      op("change the root", "pivot_root", [".", "."]),
      op("leave the host's files behind", "umount2", [".", MNT_DETACH]),
    ]),
    op("enter the root", "chdir", ["/"]),
  ];
  return context.launcherOpens
    ? { launcher: open, mapped, before, inside }
    : { before: [...open, ...before], inside };
}

/**
 * What stays below the root can be reached by who may change it: at least nothing that is mounted on the host's root is
 * left there. A whole /proc, wherever it is, would allow every program to mount another (mount_namespaces(7)).
 */
function* coverHost({ arch, namespace }: Context, leaves: readonly string[]): Iterable<Op> {
  if (namespace("user") === "new") {
    // The kernel lets no mount of the host be taken out of a namespace that a new user namespace owns.
    throw new UnsupportedError(
      "--no-pivot",
      "in a user namespace the host's whole /proc would stay within the program's reach",
      "leave --no-pivot or the user namespace out",
    );
  }
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  const does = "mount the root over the host's";
  yield op(does, "openat", [AT_FDCWD, "/", how, 0], { into: "host:root" });
  yield setAttributes("keep later mounts of the host out", slot("host:root"), {
    propagation: named("MS_PRIVATE", PROPAGATION.PRIVATE),
  });
  yield attach(does, "root", "host:root");
  for (const path of leaves) {
    const rest = { ignore: ["EINVAL", "ENOENT"] } as const; // it is gone already
    yield op(`leave the host's ${path} behind`, "umount2", [path, MNT_DETACH], rest);
  }
  yield op(does, "chroot", ["."]);
}

/** Where the new root hangs: for hooks it is the rootfs, if the sandbox's root may go there. */
function* openPlace(context: Context): Iterable<Op> {
  const { arch } = context;
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  const open = (path: string): Op =>
    op("open the place of the new root", "openat", [AT_FDCWD, path, how, 0], { into: "place" });
  const rootfs = rootfsOf(context);
  if (rootfs === undefined || !hasEarlyHooks(context)) return yield open(PLACE);
  const placed = "place:open";
  yield { ...open(rootfs), ignore: ["EACCES"], zero: placed, positive: placed };
  yield open(PLACE);
  yield mark(placed);
}

function* tmpfs(context: Context, does: string, sizeBytes: number, into: string): Iterable<Op> {
  const data = [...tmpfsData(sizeBytes), ...labelOf(context, "tmpfs")];
  yield* newFileSystem(does, { type: "tmpfs", source: "ai-sandbox", data, set: {} }, into);
}

/** Whoever begins the container anew has put the files there that it had written. */
function takeUpper(context: Context, into: string): Op {
  const fd = firstPreserved(context) + (context.preserved ?? 0);
  return op("take the upper layer", "let", [named("upper", fd)], { into });
}

/** The options of a file system in memory that takes at most so many bytes. */
export function tmpfsData(sizeBytes: number): { readonly key: string; readonly value: string }[] {
  // An inode takes about 1 KiB of the kernel's memory, which the size does not count.
  const inodes = Math.max(1024, Math.ceil(sizeBytes / 1024));
  return [
    { key: "size", value: String(sizeBytes) },
    { key: "nr_inodes", value: String(inodes) },
    { key: "mode", value: "0755" },
  ];
}

function* scratchEntry({ arch }: Context, entry: Entry): Iterable<Op> {
  const does = `make ${entry.kind} "${entry.path}"`;
  const path = entry.path.replace(/^\/+/, "");
  switch (entry.kind) {
    case "directory":
      yield op(does, "mkdirat", [slot("root"), path, named(`0${entry.mode.toString(8)}`, entry.mode)]);
      break;
    case "link":
      yield op(does, "symlinkat", [entry.to, slot("root"), path]);
      break;
    case "file": {
      const how = flags("O_", {
        WRONLY: O.WRONLY,
        CREAT: O.CREAT,
        EXCL: O.EXCL,
        NOFOLLOW: O_NOFOLLOW[arch],
        CLOEXEC: O.CLOEXEC,
      });
      const content = text(entry.text);
      yield op(does, "openat", [slot("root"), path, how, named("0644", 0o644)], { into: "file" });
      yield op(does, "write", [slot("file"), content, content.bytes.length]);
      yield op(does, "close", [slot("file")]);
      break;
    }
    default:
      entry satisfies never;
  }
}

/** A copy of the root's tree, which nothing is mounted on but what the spec asks for: Linux 6.15 lets mounts lie in there. */
function detached(context: Context): Steps {
  const path = context.root.kind === "directory" ? context.root.path : "/";
  const does = `copy the tree of "${path}"`;
  const propagation = { propagation: named("MS_PRIVATE", PROPAGATION.PRIVATE), recursive: true };
  const open = [
    ...openSource(context, does, path, { recursive: true, into: "root" }),
    setAttributes(does, slot("root"), propagation),
  ];
  const inside = [
    op("enter the root", "fchdir", [slot("root")]),
    op("change the root", "chroot", ["."]),
    op("enter the root", "chdir", ["/"]),
  ];
  return context.launcherOpens ? { launcher: open, inside } : { before: open, inside };
}

/** Without a mount namespace of its own the sandbox gets the directory as its root, nothing more. */
function* chroot({ root, arch }: Context): Iterable<Op> {
  const path = root.kind === "directory" ? root.path : "/";
  const does = `change the root to "${path}"`;
  yield op(does, "chdir", [path]);
  yield op(does, "chroot", ["."]);
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, "/", how, 0], { into: "root" });
}

/** Whether the root needs no device files: those of a hostile rootfs are shut then. */
export function hasNoDevices({ mounts = [], process, linux }: Spec): boolean {
  const ownDev = mounts.some(({ destination }) => destination.replace(/\/+$/, "") === "/dev");
  const elsewhere = linux?.devices?.some(({ path }) => !path.startsWith("/dev/")) ?? false;
  return ownDev && !elsewhere && !process?.capabilities?.bounding?.includes("CAP_MKNOD");
}

/** What is done to the root when everything is mounted: its propagation, and read-only if the spec says so. */
export function* finishRoot(context: Context): Iterable<Op> {
  const { spec, namespace } = context;
  if (namespace("mount") !== "new" && !hasDetachedRoot(context)) return;
  const word = spec.linux?.rootfsPropagation;
  if (word !== undefined) {
    const recursive = word.startsWith("r");
    const name = (recursive ? word.slice(1) : word).toUpperCase();
    const propagation = named(`MS_${name}`, PROPAGATION[name as keyof typeof PROPAGATION]);
    yield setAttributes(`make the root ${word}`, slot("root"), { propagation, recursive });
  }
  if (hasNoDevices(spec)) {
    // A device file of a hostile rootfs opens the host's disk. With a /dev of its own the root needs none.
    yield setAttributes("shut the device files of the root", slot("root"), {
      set: { NODEV: MOUNT_ATTR.NODEV },
    });
  }
  if (spec.root.readonly) {
    yield setAttributes("make the root read-only", slot("root"), { set: { RDONLY: 1 } });
  }
}
