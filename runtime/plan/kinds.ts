/** What steps look for that go by an image: that everything lies where it did when the image was made. */

import { type Arch, O, O_DIRECTORY, O_NOFOLLOW } from "./abi.ts";
import { AT, AT_FDCWD } from "./kernel.ts";
import { flags, mark, type Op, op, slot } from "./op.ts";
import { isStill, type Stamp } from "./unaided.ts";

/** What must lie at paths: `root` is a directory to which no link leads, a stamp that very file. */
export type Kinds = Readonly<Record<string, "root" | "directory" | "file" | "nothing" | Stamp>>;

/** Looks at each path; uses the slot `file`. */
export function* findKinds(kinds: Kinds, arch: Arch): Iterable<Op> {
  const how = { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC };
  for (const [path, kind] of Object.entries(kinds)) {
    const does = `find "${path}"`;
    if (typeof kind === "object") {
      const noFollow = flags("AT_", { SYMLINK_NOFOLLOW: AT.SYMLINK_NOFOLLOW });
      yield* isStill(`"${path}"`, [AT_FDCWD, path, noFollow], kind);
      continue;
    }
    if (kind === "file") yield op(does, "faccessat2", [AT_FDCWD, path, 0, 0]);
    const noFollow = kind === "root" || kind === "nothing" ? { NOFOLLOW: O_NOFOLLOW[arch] } : {};
    const opened = kind === "nothing" ? { PATH: O.PATH, CLOEXEC: O.CLOEXEC } : how;
    const next = `not:${path}`;
    const isOther = { ignored: next, zero: "fail", positive: "fail" };
    yield op(does, "openat", [AT_FDCWD, path, flags("O_", { ...opened, ...noFollow }), 0], {
      into: "file",
      ...(kind === "file" && { ignore: ["ENOTDIR"], ...isOther }),
      ...(kind === "nothing" && { ignore: ["ENOENT"], ...isOther }),
    });
    if (kind === "file" || kind === "nothing") {
      yield mark(next);
      continue;
    }
    yield op(does, "close", [slot("file")]);
    yield op(does, "let", [-1], { into: "file" });
  }
}
