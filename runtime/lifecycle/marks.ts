import { getMark } from "../../ffi/mark.ts";
import { markAll, marked } from "../cgroup/marks.ts";
import { cgroups } from "../host/probe.ts";
import type { GroupRecord, Record } from "../state/record.ts";
import type { Entry } from "../state/store.ts";

/** What a cgroup has that is a container's, and one above it that was made for it. */
const [OWN, ABOVE] = ["ai-sandbox.container", "ai-sandbox.above"];

/**
 * Marks the cgroups of a container as those of this entry of the store, so that they can be told from others when
 * its record is lost.
 */
export function markGroups(entry: Entry, { groups, parents }: Pick<Record, "groups" | "parents">): void {
  const { identity } = entry;
  markAll(groups.map(({ directory }) => directory), OWN, identity);
  markAll(parents, ABOVE, identity);
}

/** Whether a cgroup was made, or used, for some container of ours. */
export function isMarked(directory: string): boolean {
  return getMark(directory, OWN) !== undefined;
}

/**
 * Those of a container's cgroups that no other one has come into since it has ended. Only root's notes count: those of a
 * user could be of the programs in there.
 */
export function withoutOthers<Group extends Pick<GroupRecord, "directory">>(
  entry: Entry,
  groups: readonly Group[],
): readonly Group[] {
  if (Deno.uid() !== 0) return groups;
  const { identity } = entry;
  return groups.filter(({ directory }) => (getMark(directory, OWN) ?? identity) === identity);
}

/** The cgroups that are marked as an entry's; looks through all that there are. */
export function markedGroups(entry: Entry): Pick<Record, "groups" | "parents"> {
  const { identity } = entry;
  const read = (file: string): string => Deno.readTextFileSync(`/proc/self/${file}`);
  const groups: GroupRecord[] = [];
  const parents: string[] = [];
  for (const { mountPoint, version, controllers } of cgroups(read("mountinfo"), read("cgroup"))) {
    const found = marked(mountPoint, OWN, identity);
    groups.push(...found.map((directory) => ({ directory, version, controllers })));
    parents.push(...marked(mountPoint, ABOVE, identity).toReversed());
  }
  return { groups, parents };
}
