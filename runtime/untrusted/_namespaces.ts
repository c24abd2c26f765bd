/** Namespaces and who is who in them. */

import type { Namespace, NamespaceType, Spec } from "../spec/config.ts";
import { onSpec, type Rule, type Terms, without } from "./rule.ts";

export const NAMESPACE_RULES: readonly Rule[] = [
  onSpec(namespacesAreNew),
  onSpec(noNamespaceIsShared),
  onSpec(usersAreNotChosen),
  onSpec(usersAreFew),
];

/** Each keeps a part of the host out of reach. */
const OWN: readonly NamespaceType[] = ["pid", "ipc", "mount", "network", "uts"];

function namespacesAreNew(spec: Spec, { cut }: Terms): Spec {
  const namespaces = spec.linux?.namespaces?.map((each, index): Namespace => {
    if (each.path === undefined) return each;
    cut(`/linux/namespaces/${index}/path`, each.path, "it belongs to somebody else", "a new one");
    return { type: each.type };
  });
  return namespaces ? { ...spec, linux: { ...spec.linux, namespaces } } : spec;
}

function noNamespaceIsShared(spec: Spec, { cut }: Terms): Spec {
  const asked = spec.linux?.namespaces ?? [];
  const missing = OWN.filter((type) => !asked.some((each) => each.type === type));
  for (const type of missing) {
    cut("/linux/namespaces", `the host's ${type} namespace`, "it is the host's", "a new one");
  }
  // Hardly any bundle names this one; nothing is taken away by it.
  const cgroup = asked.some(({ type }) => type === "cgroup") ? [] : ["cgroup" as const];
  const namespaces = [...asked, ...[...missing, ...cgroup].map((type) => ({ type }))];
  return { ...spec, linux: { ...spec.linux, namespaces } };
}

/** The user namespace goes with its maps: whoever runs the sandbox adds one with ids that are nobody's. */
function usersAreNotChosen(spec: Spec, { cut }: Terms): Spec {
  if (!spec.linux) return spec;
  for (const field of ["uidMappings", "gidMappings"] as const) {
    if (!spec.linux[field]?.length) continue;
    cut(`/linux/${field}`, spec.linux[field], "they name users of the host", "users that are nobody else");
  }
  const namespaces = (spec.linux.namespaces ?? []).filter(({ type }) => type !== "user");
  return { ...spec, linux: { ...without(without(spec.linux, "uidMappings"), "gidMappings"), namespaces } };
}

/** The ids of a range (subuid(5)). */
const IDS = 65_536;

function usersAreFew(spec: Spec, { refuse }: Terms): Spec {
  const { uid = 0, gid = 0, additionalGids = [] } = spec.process?.user ?? {};
  const all = [["uid", uid], ["gid", gid], ...additionalGids.map((id, at) => [`additionalGids/${at}`, id])];
  for (const [field, id] of all) {
    if (Number(id) < IDS) continue;
    const message = `Cannot become ${id}: an untrusted bundle has the ids below ${IDS}`;
    refuse(`/process/user/${field}`, message);
  }
  return spec;
}
