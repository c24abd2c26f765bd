import { testRules } from "./_rules.ts";
import { shared } from "./_samples.ts";

const RANGE = [{ containerID: 0, hostID: 1000, size: 10 }];
const bind = { destination: "/a", source: "/b" };

testRules([
  ["mounts in a new mount namespace", {
    mounts: [{ destination: "/proc", type: "proc" }, { ...bind, options: ["rbind"] }],
  }],
  ["a relative destination, as the specification wants", { mounts: [{ destination: "proc", type: "proc" }] }],
  ["dots in a name", { mounts: [{ destination: "/a..b/...", type: "proc" }] }],
  [
    "an empty destination",
    { mounts: [{ destination: "" }] },
    "/mounts/0/destination: Cannot place a mount: its destination is empty",
  ],
  ...["/a/../../b", "..", "../a", "/a/.."].map((it) =>
    [
      `a mount at ${it}`,
      { mounts: [bind, { destination: it }] },
      '/mounts/1/destination: Cannot place a mount: its destination climbs with ".."',
    ] as const
  ),
  [
    "a bind mount of nothing",
    { mounts: [{ destination: "/a", options: ["ro", "bind"] }] },
    "/mounts/0/source: Cannot make a bind mount: it has no source",
  ],
  [
    "a recursive bind mount of nothing",
    { mounts: [{ destination: "/a", source: "", options: ["rbind"] }] },
    "/mounts/0/source: Cannot make a bind mount: it has no source",
  ],
  ["a remount without a source", { mounts: [{ destination: "/a", options: ["remount", "bind", "ro"] }] }],
  ["a mount with a map of ids", {
    mounts: [{ ...bind, options: ["bind", "idmap"], uidMappings: RANGE, gidMappings: RANGE }],
  }],
  [
    "a mount with a map of uids only",
    { mounts: [{ ...bind, uidMappings: RANGE }] },
    "/mounts/0/uidMappings: Cannot map the ids of a mount: it has no gidMappings",
  ],
  [
    "a mount with a map of gids only",
    { mounts: [{ ...bind, gidMappings: RANGE, uidMappings: [] }] },
    "/mounts/0/gidMappings: Cannot map the ids of a mount: it has no uidMappings",
  ],
  ["a mount with an empty range of uids", {
    mounts: [{ ...bind, gidMappings: RANGE, uidMappings: [{ containerID: 0, hostID: 0, size: 0 }] }],
  }, "/mounts/0/uidMappings/0/size: Cannot map ids: the range is empty"],
  ["a mount with overlapping gids", {
    mounts: [{
      ...bind,
      uidMappings: RANGE,
      gidMappings: [...RANGE, { containerID: 9, hostID: 0, size: 1 }],
    }],
  }, "/mounts/0/gidMappings/1/containerID: Cannot map ids: the range overlaps with another"],
  ["a mount with empty maps of ids", { mounts: [{ ...bind, uidMappings: [], gidMappings: [] }] }],
  ["idmap in a user namespace", { mounts: [{ ...bind, options: ["bind", "idmap"] }] }],
  ["masked and read-only paths", { linux: { maskedPaths: ["/proc/kcore"], readonlyPaths: ["/proc/sys"] } }],
  [
    "a relative masked path",
    { linux: { maskedPaths: ["/a", "proc/kcore"] } },
    "/linux/maskedPaths/1: Cannot mask a path: it is not absolute",
  ],
  [
    "a relative read-only path",
    { linux: { readonlyPaths: ["proc/sys"] } },
    "/linux/readonlyPaths/0: Cannot protect a path: it is not absolute",
  ],
  ["a propagation", { linux: { rootfsPropagation: "rslave" } }],
  ["mounts in a joined mount namespace", {
    mounts: [bind],
    linux: { namespaces: [{ type: "mount", path: "/proc/9/ns/mnt" }], uidMappings: [], gidMappings: [] },
  }],
  ["mounts in a joined mount namespace, in a new user namespace", {
    mounts: [bind],
    linux: { namespaces: [{ type: "mount", path: "/proc/9/ns/mnt" }, { type: "user" }] },
  }, "/mounts: Cannot mount anything: the mount namespace is joined, and a new one is needed"],
]);

const SHARED = "the mount namespace is shared, and a new one is needed";
const NO_MAP =
  "/mounts/0/options: Cannot map the ids of a mount: it has no mappings and the user namespace is shared";
const MOUNT = { namespaces: [{ type: "mount" }] } as const;

testRules([
  ["no mounts without a mount namespace", { mounts: [], linux: { maskedPaths: [], readonlyPaths: [] } }],
  ["mounts without a mount namespace, in a tree that lies in none", { mounts: [bind] }],
  [
    "mounts without a mount namespace, in a user namespace",
    { mounts: [bind], linux: { namespaces: [{ type: "user", path: "/proc/9/ns/user" }] } },
    `/mounts: Cannot mount anything: ${SHARED}`,
  ],
  [
    "masked paths without a mount namespace",
    { linux: { maskedPaths: ["/a"] } },
    `/linux/maskedPaths: Cannot mask a path: ${SHARED}`,
  ],
  [
    "read-only paths without a mount namespace",
    { linux: { readonlyPaths: ["/a"] } },
    `/linux/readonlyPaths: Cannot protect a path: ${SHARED}`,
  ],
  [
    "a propagation without a mount namespace",
    { linux: { rootfsPropagation: "private" } },
    `/linux/rootfsPropagation: Cannot change the propagation of the root: ${SHARED}`,
  ],
  ["idmap without any map", { mounts: [{ ...bind, options: ["bind", "idmap"] }], linux: MOUNT }, NO_MAP],
  ["ridmap without any map", { mounts: [{ ...bind, options: ["rbind", "ridmap"] }], linux: MOUNT }, NO_MAP],
  ["idmap with a map of its own", {
    mounts: [{ ...bind, options: ["idmap"], uidMappings: RANGE, gidMappings: RANGE }],
    linux: MOUNT,
  }],
], shared);
