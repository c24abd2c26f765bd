import { follow, joined, namesOf, type Place } from "./follow.ts";
import { lookAt } from "./seen.ts";
import type { Mount } from "./spec/config.ts";

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
    const place = isOwn(mount) ? undefined : follow(mount.destination, rootfs, covered);
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
