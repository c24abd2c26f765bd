import { lookAt } from "./seen.ts";
import type { Mount } from "./spec/config.ts";

/** The kernel follows as many (path_resolution(7)). */
const MOST_LINKS = 40;
/** What lies here is the runtime's to lay out: a link that leads it elsewhere stays an error. */
const OWN = new Set(["dev", "proc", "sys"]);

/** Mounts at the places where links of the root lead them, and how those links looked, by their paths on the host. */
export interface Led {
  readonly mounts: readonly Mount[];
  readonly seen: Readonly<Record<string, string>>;
}

/**
 * The places of mounts whose links lead to what is missing: it will be made where they lead, as runc does. Links are read
 * as the kernel reads them with that directory as its root. That decides over names alone: the launch resolves each name
 * again, below the root and through nothing that leads out of it.
 */
export function led(mounts: readonly Mount[], rootfs: string): Led {
  const seen: Record<string, string> = {};
  const found = placed(mounts, rootfs, ({ links, isMissing }) => {
    if (!isMissing) return false; // the kernel finds it
    for (const link of links) seen[link] = lookAt(link);
    return true;
  });
  return { mounts: found, seen };
}

/** Mounts at the places where all links of the root lead them: there the kernel says they are. */
export function placedByLinks(mounts: readonly Mount[], rootfs: string): Mount[] {
  return placed(mounts, rootfs, () => true);
}

function placed(mounts: readonly Mount[], rootfs: string, takes: (place: Place) => boolean): Mount[] {
  const covered: string[] = [];
  return mounts.map((mount) => {
    const place = isOwn(mount) ? undefined : placeOf(mount.destination, rootfs, covered);
    const placed = place && place.links.length > 0 && takes(place)
      ? { ...mount, destination: place.path }
      : mount;
    covered.push(joined(namesOf(placed.destination)));
    return placed;
  });
}

function isOwn({ destination, type = "" }: Mount): boolean {
  return ["proc", "sysfs"].includes(type) || OWN.has(namesOf(destination)[0] ?? "");
}

/** Where a path leads. */
interface Place {
  readonly path: string;
  /** The links on the way, on the host. */
  readonly links: readonly string[];
  /** Whether nothing is there yet, or an earlier mount hides what is. */
  readonly isMissing: boolean;
}

/**
 * Follows a path below `rootfs`; nothing of what lies under the `covered` places will be seen.
 *
 * @returns Nothing if there is no end to its links.
 */
function placeOf(destination: string, rootfs: string, covered: readonly string[]): Place | undefined {
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

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function joined(names: readonly string[]): string {
  return `/${names.join("/")}`;
}
