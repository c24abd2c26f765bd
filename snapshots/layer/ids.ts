import type { Spec } from "../../runtime/spec/config.ts";

/** Ids of the host and those of a container that stand for them. */
export interface Ids {
  /** @returns Nothing for an id that the container has no name for. */
  inside(kind: "uid" | "gid", host: number): number | undefined;
  /** @returns Nothing for an id that the container does not have. */
  outside(kind: "uid" | "gid", inside: number): number | undefined;
}

/** The ids of a container by its id maps; without a user namespace they are the host's. */
export function idsOf({ linux }: Spec): Ids {
  const own = linux?.namespaces?.some(({ type }) => type === "user") ?? false;
  const maps = { uid: linux?.uidMappings ?? [], gid: linux?.gidMappings ?? [] };
  const find = (kind: "uid" | "gid", id: number, from: "hostID" | "containerID"): number | undefined => {
    if (!own) return id;
    const to = from === "hostID" ? "containerID" : "hostID";
    const map = maps[kind].find((each) => id >= each[from] && id < each[from] + each.size);
    return map && id - map[from] + map[to];
  };
  return {
    inside: (kind, host) => find(kind, host, "hostID"),
    outside: (kind, inside) => find(kind, inside, "containerID"),
  };
}
