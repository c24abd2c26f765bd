/** Consecutive ids of the host. */
export interface Ids {
  readonly first: number;
  readonly count: number;
}

/** What a user who is not root may map beside the own id, and the programs that do it (subuid(5), newuidmap(1)). */
export interface SubordinateIds {
  readonly uids: Ids;
  readonly gids: Ids;
  readonly newuidmap: string;
  readonly newgidmap: string;
}

const DIRECTORIES = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/run/wrappers/bin"];
/** More than the files of a large site. */
const MAX_BYTES = 1 << 20;
const MAX_ID = 2 ** 32 - 2;

/** The subordinate ids of user `uid`; nothing if there are none, or no program that maps them. */
export function probeSubordinateIds(uid: number): SubordinateIds | undefined {
  const [newuidmap, newgidmap] = [find("newuidmap"), find("newgidmap")];
  if (!newuidmap || !newgidmap) return undefined;
  const name = userName(readBounded("/etc/passwd"), uid);
  if (name === undefined) return undefined; // newuidmap refuses who has none
  const [uids, gids] = ["/etc/subuid", "/etc/subgid"].map((file) =>
    subordinateIds(readBounded(file), uid, name)
  );
  return uids && gids && { uids, gids, newuidmap, newgidmap };
}

/**
 * The largest range that a file in the format of subuid(5) gives a user; lines that are none are passed over, as
 * newuidmap does.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * import { subordinateIds } from "./subordinate_ids.ts";
 * deepEqual(subordinateIds("ann:100000:65536\n", 1000, "ann"), { first: 100000, count: 65536 });
 * ```
 */
export function subordinateIds(text: string, uid: number, name: string): Ids | undefined {
  let best: Ids | undefined;
  for (const line of text.split("\n")) {
    const [, user, start, size] = /^([^:#]+):(\d{1,10}):(\d{1,10})$/.exec(line) ?? [];
    if (user === undefined || (user !== name && user !== String(uid))) continue;
    const [first, count] = [Number(start), Number(size)];
    // Whoever wrote root's own id there meant something else.
    if (first === 0 || count === 0 || first + count - 1 > MAX_ID) continue;
    if (!best || count > best.count) best = { first, count };
  }
  return best;
}

/** The name of user `uid` in the text of passwd(5). */
export function userName(text: string, uid: number): string | undefined {
  const line = text.split("\n").find((each) => each.split(":")[2] === String(uid));
  return line?.split(":")[0];
}

function find(name: string): string | undefined {
  return DIRECTORIES.map((directory) => `${directory}/${name}`).find((path) => {
    try {
      const { isFile, mode } = Deno.statSync(path);
      return isFile && (mode! & 0o111) !== 0;
    } catch {
      return false;
    }
  });
}

/** The file's text; empty if it is not there, or is no file of a size that one reads. */
function readBounded(path: string): string {
  try {
    const { isFile, size } = Deno.statSync(path);
    return isFile && size <= MAX_BYTES ? Deno.readTextFileSync(path) : "";
  } catch {
    return "";
  }
}
