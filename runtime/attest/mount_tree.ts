import type { MountLine } from "./parse.ts";

/** The mounts that a process sees, to be taken off again in the reverse order in which they came. */
export class MountTree {
  readonly #by = new Map<number, MountLine>();
  /** What is on a mount, by its place: at most one can be seen. */
  readonly #on = new Map<number, Map<string, MountLine>>();
  readonly #children = new Map<number, MountLine[]>();
  readonly #root: MountLine | undefined;

  constructor(lines: readonly MountLine[]) {
    for (const line of lines) this.#by.set(line.id, line);
    for (const line of lines) {
      const siblings = this.#children.get(line.parent);
      if (siblings) {
        siblings.push(line);
        this.#on.get(line.parent)!.set(line.path, line);
      } else {
        this.#children.set(line.parent, [line]);
        this.#on.set(line.parent, new Map([[line.path, line]]));
      }
      if (line.path === "/" && this.#root === undefined && !this.#by.has(line.parent)) this.#root = line;
    }
  }

  /** Every mount that is still there. */
  get left(): MountLine[] {
    return [...this.#by.values()];
  }

  /** The mount of an id, if it is still there. */
  get(id: number): MountLine | undefined {
    return this.#by.get(id);
  }

  /** The mount that is seen at `path`, if one begins just there. */
  at(path: string): MountLine | undefined {
    const seen = this.covering(path);
    return seen?.path === path ? seen : undefined;
  }

  /** The mount that `path` is on, as long as no link is in the way. */
  covering(path: string): MountLine | undefined {
    let seen = this.#root && this.get(this.#root.id);
    let on = seen && this.#on.get(seen.id);
    for (let end = 0; on; end = path.indexOf("/", end + 1)) {
      // The part before each slash, the root first; at last the whole.
      const prefix = end < 0 ? path : path.slice(0, end) || "/";
      for (let next = on.get(prefix); next; next = on?.get(prefix)) {
        seen = next;
        on = this.#on.get(next.id);
      }
      if (prefix === path) break;
    }
    return seen;
  }

  /** Takes a mount off, and returns all that hung on it, which is taken off with it. */
  takeOff(line: MountLine): MountLine[] {
    this.#by.delete(line.id);
    this.#on.get(line.parent)?.delete(line.path);
    const children = this.#children.get(line.id);
    if (!children) return [];
    const below = children.filter(({ id }) => this.#by.has(id));
    return below.flatMap((each) => [each, ...this.takeOff(each)]);
  }
}
