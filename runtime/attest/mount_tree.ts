import type { MountLine } from "./parse.ts";

/** The mounts that a process sees, to be taken off again in the reverse order in which they came. */
export class MountTree {
  readonly #by: Map<number, MountLine>;
  /** By the mount that they are on and their place: at most one can be seen. */
  readonly #on: Map<string, MountLine>;
  readonly #children = new Map<number, MountLine[]>();
  readonly #root: MountLine | undefined;

  constructor(lines: readonly MountLine[]) {
    this.#by = new Map(lines.map((line) => [line.id, line]));
    this.#on = new Map(lines.map((line) => [keyOf(line), line]));
    for (const line of lines) {
      const siblings = this.#children.get(line.parent);
      if (siblings) siblings.push(line);
      else this.#children.set(line.parent, [line]);
    }
    this.#root = lines.find(({ path, parent }) => path === "/" && !this.#by.has(parent));
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
    for (let end = 0; seen; end = path.indexOf("/", end + 1)) {
      // The part before each slash, the root first; at last the whole.
      const prefix = end < 0 ? path : path.slice(0, end) || "/";
      for (let next = seen as MountLine | undefined; next; next = this.#on.get(`${next.id} ${prefix}`)) {
        seen = next;
      }
      if (prefix === path) break;
    }
    return seen;
  }

  /** Takes a mount off, and returns all that hung on it, which is taken off with it. */
  takeOff(line: MountLine): MountLine[] {
    this.#by.delete(line.id);
    this.#on.delete(keyOf(line));
    const below = this.#children.get(line.id)?.filter(({ id }) => this.#by.has(id)) ?? [];
    return below.flatMap((each) => [each, ...this.takeOff(each)]);
  }
}

function keyOf({ parent, path }: MountLine): string {
  return `${parent} ${path}`;
}
