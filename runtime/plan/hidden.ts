import type { Context, Steps } from "./context.ts";
import { resolve } from "./files.ts";
import { AT_FDCWD } from "./kernel.ts";
import { attach, cloneMount, newFileSystem, setAttributes } from "./mount_ops.ts";
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
  const does = "prepare to mask paths";
  const before = [
    ...newFileSystem(does, EMPTY, "empty"),
    cloneMount(does, AT_FDCWD, "/dev/null", false, "null"),
    op(does, "let", [slot("empty")], { into: "empty:next" }),
    op(does, "let", [slot("null")], { into: "null:next" }),
  ];
  const inside = paths.flatMap((path, index) => {
    const does = `mask "${path}"`;
    const [file, done] = [`mask:${index}:file`, `mask:${index}:done`];
    const last = index === paths.length - 1;
    // A detached mount cannot be copied by every kernel; one that is attached can. So each use prepares the next.
    const use = (what: "empty" | "null"): Op[] => [
      attach(does, `${what}:next`, "target"),
      ...(last ? [] : [cloneMount(does, slot(what), "", false, `${what}:next`)]),
    ];
    return [
      resolve(does, path, "target", { arch, kind: "directory" }, {
        ignore: ["ENOENT"],
        ignored: done,
        failed: file,
      }),
      ...use("empty"),
      op("go on", "let", [0], { zero: done }),
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
