import type { Host } from "./host/facts.ts";
import type { IdMapping, Mount, Spec } from "./spec/config.ts";

/**
 * The spec as an unprivileged user can have it: in a user namespace that maps the program's user to the caller and
 * nobody else. What cannot be done there at all fails later, by name.
 */
export function rootless(spec: Spec, host: Host): Spec {
  if (host.privileged || spec.linux?.namespaces?.some(({ type }) => type === "user")) return spec;
  const { uid = 0, gid = 0 } = spec.process?.user ?? {};
  return {
    ...spec,
    ...(spec.mounts && { mounts: spec.mounts.map((mount) => withoutOtherIds(mount, uid, gid)) }),
    linux: {
      ...spec.linux,
      namespaces: [...(spec.linux?.namespaces ?? []), { type: "user" }],
      uidMappings: [one(uid, host.uid)],
      gidMappings: [one(gid, host.gid)],
    },
  };
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
