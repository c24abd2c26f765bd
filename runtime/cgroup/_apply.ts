import { SyscallError } from "../../ffi/errno.ts";
import { UnsupportedError } from "../errors.ts";
import { ENOENT, read, write } from "./_tree.ts";
import type { Write } from "./hierarchy.ts";

const EINVAL = 22;

/** A limit and the group that it is for. */
export interface Placed {
  readonly one: Write;
  readonly directory: string;
}

/** Puts back what a change has overwritten. */
export type Undo = () => void;

/**
 * Writes limits in their order. One that the kernel calls invalid is tried again when the others are written: limits
 * are checked against each other, such as memory against memory and swap together, and which has to come first depends
 * on those that hold now.
 *
 * @throws {UnsupportedError} if this kernel has no such file or ignores it.
 * @throws {SyscallError} if the kernel refuses a value.
 */
export function applyAll(writes: readonly Placed[]): void {
  writes.forEach(checkUsage);
  for (let left = writes; left.length > 0;) {
    const refused: { readonly placed: Placed; readonly error: SyscallError }[] = [];
    for (const placed of left) {
      try {
        apply(placed);
      } catch (error) {
        if (!(error instanceof SyscallError) || error.errno !== EINVAL) throw error;
        refused.push({ placed, error });
      }
    }
    if (refused.length === left.length) throw refused[0]!.error;
    left = refused.map(({ placed }) => placed);
  }
}

/**
 * Writes all limits or, if one is refused, none.
 *
 * @returns What takes all of it back.
 * @throws As {@linkcode applyAll}; the message says so if something could not be put back.
 */
export function changeAll(writes: readonly Placed[]): Undo {
  const before = writes.flatMap(({ one, directory }) => {
    const { file, value } = existing(one, directory);
    return former(file, value, directory).map((line): Placed => ({
      one: { mountPoint: one.mountPoint, pointer: one.pointer, file, value: line },
      directory,
    }));
  });
  const undo = (): void => applyAll(before);
  try {
    applyAll(writes);
    return undo;
  } catch (error) {
    try {
      undo();
    } catch (second) {
      const words = [error, second].map((each) => each instanceof Error ? each.message : String(each));
      throw Object.assign(
        new Error(`${words[0]}; what was there before could not be put back: ${words[1]}`),
        {
          cause: error,
        },
      );
    }
    throw error;
  }
}

/** The file of the two that this kernel has. */
function existing({ file, value, otherwise }: Write, directory: string): { file: string; value: string } {
  return otherwise && read(`${directory}/${file}`) === undefined ? otherwise : { file, value };
}

/** Files with a line for each device, and the words that stand for no limit. */
const NO_LIMIT: readonly (readonly [file: RegExp, words: string])[] = [
  [/^io\.max$/, "rbps=max wbps=max riops=max wiops=max"],
  [/^io\.(bfq\.)?weight$/, "default"],
  [/^rdma\.max$/, "hca_handle=max hca_object=max"],
  [/^blkio\..*_device$/, "0"],
];

/** What to write so that `file` says again what it says now about that which `value` is about. */
function former(file: string, value: string, directory: string): string[] {
  const text = read(`${directory}/${file}`);
  if (text === undefined || text === "") {
    const words = NO_LIMIT.find(([each]) => each.test(file))?.[1];
    return text === undefined || words === undefined ? [] : [`${value.split(" ")[0]} ${words}`];
  }
  const lines = text.split("\n");
  if (/^net_prio\./.test(file)) return lines.filter((line) => line.startsWith(`${value.split(" ")[0]} `));
  const words = NO_LIMIT.find(([each]) => each.test(file))?.[1];
  if (words === undefined) return lines;
  const [key = ""] = /^\d+$/.test(value) ? ["default"] : value.split(" ");
  return [lines.find((line) => line.startsWith(`${key} `)) ?? (key === "default" ? text : `${key} ${words}`)];
}

function checkUsage({ one: { pointer, usage }, directory }: Placed): void {
  if (usage === undefined) return;
  const used = BigInt(read(`${directory}/${usage.file}`) ?? 0);
  if (used < usage.most) return;
  // The words of runc, which its users look for.
  const reason = `rejecting ${usage.words} limit ${usage.most} <= usage ${used}`;
  throw new UnsupportedError(
    pointer,
    reason,
    "the kernel would kill: raise it, or leave checkBeforeUpdate out",
  );
}

function apply({ one, directory }: Placed): void {
  const { file, value, pointer, otherwise, mayBeIgnored, ifThere } = one;
  const doing = `apply ${pointer}: write "${value}" to`;
  try {
    write(`${directory}/${file}`, value, doing);
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== ENOENT) throw error;
    if (ifThere) return;
    if (otherwise === undefined) throw new UnsupportedError(pointer, `this kernel has no "${file}"`);
    const { otherwise: _, ...rest } = one;
    return apply({ one: { ...rest, ...otherwise }, directory });
  }
  // "No limit" reads as the highest number of pages.
  if (mayBeIgnored && Number(read(`${directory}/${file}`)) > Number(value)) {
    throw new UnsupportedError(pointer, `this kernel ignores "${file}"`, "limit memory as a whole");
  }
}
