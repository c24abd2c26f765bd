/** Follows links as the kernel would, to learn which there are: names alone are decided over, nothing is opened. */

/** The kernel follows as many (path_resolution(7)). */
const MOST_LINKS = 40;

/** Where a path leads. */
export interface Place {
  readonly path: string;
  /** The links on the way, on the host. */
  readonly links: readonly string[];
  /** Whether nothing is there yet, or an earlier mount hides what is. */
  readonly isMissing: boolean;
}

/**
 * Follows a path below `rootfs`, which is empty for a path of the host; nothing of what lies under the `covered` places
 * will be seen.
 *
 * @returns Nothing if there is no end to its links.
 */
export function follow(
  destination: string,
  rootfs: string,
  covered: readonly string[] = [],
): Place | undefined {
  const done: string[] = [];
  const links: string[] = [];
  let isMissing = covered.includes("/");
  for (let rest = namesOf(destination); rest.length > 0;) {
    const name = rest.shift()!;
    if (name === "..") {
      done.pop();
      continue;
    }
    done.push(name);
    const path = joined(done);
    if (isMissing || covered.includes(path)) {
      isMissing = true;
      continue;
    }
    const to = look(rootfs + path);
    if (to === "missing") isMissing = true;
    if (typeof to !== "object") continue;
    links.push(rootfs + path);
    if (links.length > MOST_LINKS) return undefined;
    done.pop();
    if (to.link.startsWith("/")) done.length = 0;
    rest = [...namesOf(to.link), ...rest];
  }
  return { path: joined(done), links, isMissing };
}

function look(path: string): "missing" | "there" | { readonly link: string } {
  try {
    return Deno.lstatSync(path).isSymlink ? { link: Deno.readLinkSync(path) } : "there";
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? "missing" : "there"; // the launch says what is wrong with it
  }
}

/** The names in a path. */
export function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

/** The path from `/` by these names. */
export function joined(names: readonly string[]): string {
  return `/${names.join("/")}`;
}
