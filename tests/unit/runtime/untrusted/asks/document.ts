import { type Ask, directory, NAMESPACES, process, spec } from "./ask.ts";

/** What the document as a whole, its namespaces and its users ask for. */
export const DOCUMENT_ASKS: readonly Ask[] = [
  {
    rule: "rootLiesInTheBundle",
    says: "an absolute root",
    spec: spec({ root: { path: "/" } }),
    cuts: [],
    refusals: ["/root/path"],
  },
  {
    rule: "rootLiesInTheBundle",
    says: "a root that climbs",
    spec: spec({ root: { path: "rootfs/../.." } }),
    cuts: [],
    refusals: ["/root/path"],
  },
  {
    rule: "rootLiesInTheBundle",
    says: "a root behind a link",
    spec: spec({ root: { path: "rootfs" } }),
    facts: { root: directory("/etc") },
    cuts: [],
    refusals: ["/root/path"],
  },
  {
    rule: "rootLiesInTheBundle",
    says: "a root that is a file",
    spec: spec(),
    facts: { root: { real: "/b/rootfs", kind: "file", inode: 3 } },
    cuts: [],
    refusals: ["/root/path"],
  },
  {
    rule: "rootLiesInTheBundle",
    says: "a root that is not there",
    spec: spec(),
    facts: { root: undefined },
    cuts: [],
    refusals: ["/root/path"],
  },
  {
    rule: "hooksGo",
    says: "hooks",
    spec: spec({ hooks: { poststop: [{ path: "/bin/sh" }, { path: "/bin/rm" }] } }),
    cuts: ["/hooks/poststop: /bin/sh, /bin/rm → nothing"],
    left: [({ hooks }) => hooks, undefined],
  },
  {
    rule: "ownAnnotationsGo",
    says: "annotations that steer the runtime",
    spec: spec({ annotations: { "dev.ai-sandbox.overlay": "none", maintainer: "me" } }),
    cuts: ["/annotations/dev.ai-sandbox.overlay: none → nothing"],
    left: [({ annotations }) => Object.entries(annotations!), [["maintainer", "me"]]],
  },
  {
    rule: "namespacesAreNew",
    says: "a namespace to join",
    spec: spec({}, {
      namespaces: NAMESPACES.map((type) => type === "network" ? { type, path: "/proc/1/ns/net" } : { type }),
    }),
    cuts: ["/linux/namespaces/3/path: /proc/1/ns/net → a new one"],
    left: [({ linux }) => linux!.namespaces![3], { type: "network" }],
  },
  {
    rule: "noNamespaceIsShared",
    says: "the host's namespaces",
    spec: spec({}, { namespaces: [{ type: "mount" }] }),
    cuts: ["pid", "ipc", "network", "uts"].map((type) =>
      `/linux/namespaces: the host's ${type} namespace → a new one`
    ),
    left: [
      ({ linux }) => linux!.namespaces!.map(({ type }) => type).sort().join(),
      "cgroup,ipc,mount,network,pid,uts",
    ],
  },
  {
    rule: "usersAreNotChosen",
    says: "the users of the host",
    spec: spec({}, {
      namespaces: [...NAMESPACES, "user" as const].map((type) => ({ type })),
      uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
    }),
    cuts: ["uid", "gid"].map((what) =>
      `/linux/${what}Mappings: [{"containerID":0,"hostID":0,"size":1}] → users that are nobody else`
    ),
    left: [({ linux }) => [linux!.uidMappings, linux!.gidMappings, linux!.namespaces!.length], [
      undefined,
      undefined,
      6,
    ]],
  },
  {
    rule: "usersAreFew",
    says: "users beyond a range",
    spec: process({ user: { uid: 65_536, gid: 0, additionalGids: [5, 70_000] } }),
    cuts: [],
    refusals: ["/process/user/uid", "/process/user/additionalGids/1"],
  },
];
