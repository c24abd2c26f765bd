import type { Arch } from "./abi.ts";
import type { Context, Steps } from "./context.ts";
import { resolve } from "./files.ts";
import { attach, cloneMount, newFileSystem, privateClone, setAttributes } from "./mount_ops.ts";
import { Memo } from "./memo.ts";
import { mark, type Op, op, slot } from "./op.ts";

/** What lies over a masked directory. */
export const EMPTY = {
  type: "tmpfs",
  data: [{ key: "size", value: "4k" }, { key: "mode", value: "0555" }],
  set: { RDONLY: 1 },
};

/**
 * The steps for `maskedPaths`: an empty read-only directory or the host's /dev/null lies over each path that exists.
 * Both come from the host's side, never from a path in the rootfs, where /dev/null can be forged (CVE-2025-31133).
 */
export function maskedPaths({ spec, arch }: Context): Steps {
  const paths = spec.linux?.maskedPaths ?? [];
  if (paths.length === 0) return {};
  // Nothing else decides over them, and most bundles have the same.
  return masks.take([arch, paths], () => maskSteps(paths, arch));
}

const masks = new Memo<Steps>();

function maskSteps(paths: readonly string[], arch: Arch): Steps {
  const does = "prepare to mask paths";
  const before = [
    ...newFileSystem(does, EMPTY, "empty"),
    ...privateClone(does, "/dev/null", "null"),
    op(does, "let", [slot("empty")], { into: "empty:fresh" }),
    op(does, "let", [slot("null")], { into: "null:fresh" }),
  ];
  const inside = paths.flatMap((path, index) => {
    const does = `mask "${path}"`;
    const [file, done] = [`mask:${index}:file`, `mask:${index}:done`];
    // A detached mount cannot be copied by every kernel; one that is attached can. So the first use takes it, and each other one
    // a copy of it. None is left over: to close that takes the kernel as long as half of all other steps together.
    const use = (what: "empty" | "null"): Op[] => [
      op("is it still there?", "let", [slot(`${what}:fresh`)], { positive: `mask:${index}:${what}` }),
      cloneMount(does, slot(what), "", false, "copy"),
      { ...attach(does, "copy", "target"), zero: done },
      {
        ...attach(does, `${what}:fresh`, "target"),
        label: `mask:${index}:${what}`,
        into: `${what}:fresh`,
        zero: done,
      },
    ];
    return [
      resolve(does, path, "target", { arch, kind: "directory" }, {
        ignore: ["ENOENT"],
        ignored: done,
        failed: file,
      }),
      ...use("empty"),
      resolve(does, path, "target", { arch }, { label: file }),
      ...use("null"),
      mark(done),
    ];
  });
  return { before, inside };
}

/** The steps for `readonlyPaths`: a copy of what is mounted there, made read-only, over itself. */
export function* readonlyPaths({ spec, arch }: Context): Iterable<Op> {
  for (const [index, path] of (spec.linux?.readonlyPaths ?? []).entries()) {
    const does = `make "${path}" read-only`;
    const done = `readonly:${index}:done`;
    yield resolve(does, path, "target", { arch }, { ignore: ["ENOENT"], ignored: done });
    yield cloneMount(does, slot("target"), "", true, "copy");
    yield setAttributes(does, slot("copy"), { set: { RDONLY: 1 }, recursive: true });
    yield attach(does, "copy", "target");
    yield mark(done);
  }
}
