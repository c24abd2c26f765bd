import type { Host } from "./host/facts.ts";
import type { Ids } from "./host/subordinate_ids.ts";
import type { IdMapping, Mount, Spec } from "./spec/config.ts";

/** Capabilities to change between users: they are of use only where there is more than one. */
const CHANGE_USERS = ["CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"] as const;

/**
 * The spec as an unprivileged user can have it: in a user namespace whose program's user is the caller. Where it has a
 * use for other users, and the host gives the caller subordinate ids, these are the others; else there is nobody else.
 * What cannot be done there at all fails later, by name.
 */
export function rootless(spec: Spec, host: Host): Spec {
  if (host.privileged || host.ownsNamespace || spec.linux?.namespaces?.some(({ type }) => type === "user")) {
    return spec;
  }
  const { uid = 0, gid = 0 } = spec.process?.user ?? {};
  const others = usesOthers(spec) ? host.subordinateIds : undefined;
  return {
    ...spec,
    ...(spec.mounts && !others && { mounts: spec.mounts.map((mount) => withoutOtherIds(mount, uid, gid)) }),
    linux: {
      ...spec.linux,
      namespaces: [...(spec.linux?.namespaces ?? []), { type: "user" }],
      uidMappings: others ? around(uid, host.uid, others.uids) : [one(uid, host.uid)],
      gidMappings: others ? around(gid, host.gid, others.gids) : [one(gid, host.gid)],
    },
  };
}

/** Whether the spec speaks of users beside the program's own. */
function usesOthers({ process, mounts = [] }: Spec): boolean {
  const { uid = 0, gid = 0, additionalGids = [] } = process?.user ?? {};
  return additionalGids.length > 0 ||
    CHANGE_USERS.some((name) => process?.capabilities?.bounding?.includes(name)) ||
    mounts.some((mount) => withoutOtherIds(mount, uid, gid).options?.length !== mount.options?.length);
}

/** `own` is the caller, and all around it are the caller's subordinate ids, in order. */
function around(own: number, caller: number, { first, count }: Ids): IdMapping[] {
  const below = Math.min(own, count);
  return [
    ...(below > 0 ? [{ containerID: 0, hostID: first, size: below }] : []),
    one(own, caller),
    ...(count > below ? [{ containerID: own + 1, hostID: first + below, size: count - below }] : []),
  ];
}

function one(containerID: number, hostID: number): IdMapping {
  return { containerID, hostID, size: 1 };
}

/** A devpts with `gid=5` cannot be mounted where group 5 is mapped to nobody. */
function withoutOtherIds(mount: Mount, uid: number, gid: number): Mount {
  if (!mount.options) return mount;
  const options = mount.options.filter((option) => {
    const [, which, id] = /^(uid|gid)=(\d+)$/.exec(option) ?? [];
    return which === undefined || Number(id) === (which === "uid" ? uid : gid);
  });
  return { ...mount, options };
}
