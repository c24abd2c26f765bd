import { openDirectory } from "../../ffi/directory.ts";
import { saysEnded } from "../../ffi/ended.ts";
import type { Fd } from "../../ffi/fd.ts";

/**
 * The directory of the threads of a process.
 *
 * @param init The first process of its container.
 * @param number Its number in the pid namespace of that one.
 * @returns Nothing if there is no such process.
 */
export function threadsOf(init: number, number: number): Fd | undefined {
  const depth = numbersOf(init).length - 1;
  for (const found = [init]; found.length > 0;) {
    const pid = found.pop()!;
    if (numbersOf(pid)[depth] === number) return openDirectory(`/proc/${pid}/task`);
    found.push(...childrenOf(pid));
  }
  return undefined;
}

/** Its numbers in all pid namespaces that it is in, ours first. */
function numbersOf(pid: number): number[] {
  const [, numbers = ""] = /^NSpid:\s+(.*)$/m.exec(read(`/proc/${pid}/status`)) ?? [];
  return numbers.split(/\s+/).map(Number);
}

function childrenOf(pid: number): number[] {
  return read(`/proc/${pid}/task/${pid}/children`).split(" ").filter((each) => each !== "").map(Number);
}

/** Nothing if it has ended. */
function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (saysEnded(error)) return "";
    throw error;
  }
}
