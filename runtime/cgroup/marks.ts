import { getMark, setMark } from "../../ffi/mark.ts";
import { tree } from "./_tree.ts";

/** Writes a note at groups that are there; a kernel that takes none is no error. */
export function markAll(directories: readonly string[], name: string, value: string): void {
  for (const directory of directories) setMark(directory, name, value);
}

/** The groups below a directory that have this note, the deepest first. */
export function marked(directory: string, name: string, value: string): string[] {
  return tree(directory).filter((each) => each !== directory && getMark(each, name) === value);
}
