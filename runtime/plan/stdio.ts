import type { Context } from "./context.ts";
import { PIPEFS_MAGIC } from "./kernel.ts";
import { mark, named, type Op, op, slot, zeros } from "./op.ts";

/**
 * Lets a sandbox with ids of its own open its pipes again, as `echo >/dev/stderr` does: they belong to a user that is
 * nobody inside. Nobody else can reach a pipe without a name. What has one is not ours to change.
 */
export function* shareStdio({ idRange }: Context): Iterable<Op> {
  if (!idRange) return;
  const does = "let the pipes of stdin, stdout and stderr be opened again";
  const buffer = zeros(128, "statfs");
  for (const fd of [0, 1, 2]) {
    const [pipe, next] = [`stdio:${fd}:pipe`, `stdio:${fd}:next`];
    yield op(does, "fstatfs", [fd, buffer], { ignore: ["EBADF"], ignored: next });
    yield op(does, "load", [{ inside: buffer, offset: 0 }, 0], { into: "stdio:type" });
    yield op(does, "let", [slot("stdio:type"), -1, PIPEFS_MAGIC], {
      zero: pipe,
      positive: next,
      failed: next,
    });
    yield op(does, "fchmod", [fd, named("0666", 0o666)], { label: pipe, ignore: ["EPERM"] });
    yield mark(next);
  }
}
