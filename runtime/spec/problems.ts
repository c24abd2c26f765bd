import type { Issue } from "../errors.ts";

/** How many problems are told at once; a hostile document could hold millions. */
const MOST = 50;

/** The problems found in one document, at most fifty. */
export class Problems {
  readonly #issues: Issue[] = [];
  readonly #pointers = new Set<string>();

  get full(): boolean {
    return this.#issues.length >= MOST;
  }

  get list(): Issue[] {
    return this.#issues;
  }

  add(pointer: string, message: string): void {
    if (this.full) return;
    this.#issues.push({ pointer, message });
    this.#pointers.add(pointer);
  }

  /** Whether a problem is at `pointer`, inside it or around it. */
  touch(pointer: string): boolean {
    for (const known of this.#pointers) {
      const [outer, inner] = known.length < pointer.length ? [known, pointer] : [pointer, known];
      if (inner.startsWith(outer) && (inner.length === outer.length || inner[outer.length] === "/")) {
        return true;
      }
    }
    return false;
  }
}

/** The JSON pointer (RFC 6901) to a path of keys and indexes. */
export function pointerTo(path: readonly (string | number)[]): string {
  let pointer = "";
  for (const key of path) {
    pointer += typeof key === "number" ? `/${key}` : `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
  }
  return pointer;
}

/** A piece of the document in quotes, short enough for a message. */
export function quote(text: string): string {
  return harmless(text.length > 64 ? `${JSON.stringify(text.slice(0, 64))}…` : JSON.stringify(text));
}

/** Makes control and direction characters visible, for a document must not steer the reader's terminal. */
export function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`);
}
