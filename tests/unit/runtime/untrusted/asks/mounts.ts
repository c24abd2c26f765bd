import { type Ask, bind, count, directory, firstOptions, MIB, mounts, spec, tmpfs } from "./ask.ts";

/** What mounts ask for: file systems and binds. */
export const MOUNT_ASKS: readonly Ask[] = [
  {
    rule: "mountsAreFew",
    says: "too many mounts",
    spec: spec({ mounts: Array.from({ length: 300 }, () => ({ destination: "/m", type: "mqueue" })) }),
    cuts: ["/mounts/256: 300 mounts → the first 256"],
    left: [count, 256],
  },
  {
    rule: "placesAreShallow",
    says: "a place below a thousand directories",
    spec: mounts({ destination: "/d".repeat(1000), type: "tmpfs" }),
    cuts: [`/mounts/0/destination: ${"/d".repeat(40)}… → nothing`],
    left: [count, 0],
  },
  {
    rule: "remountsGo",
    says: "other options for what is mounted",
    spec: mounts({ destination: "/proc", type: "none", options: ["bind", "remount", "rw"] }),
    cuts: ["/mounts/0/options: remount → nothing"],
    left: [count, 0],
  },
  {
    rule: "idsOfMountsAreNotChosen",
    says: "files as another user of the host",
    spec: mounts({
      ...bind("data", "ro", "idmap"),
      uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
    }),
    sources: [directory("/b/data")],
    cuts: [
      '/mounts/0/uidMappings: [{"containerID":0,"hostID":1000,"size":1}] → nothing',
      '/mounts/0/gidMappings: [{"containerID":0,"hostID":1000,"size":1}] → nothing',
      "/mounts/0/options: idmap → nothing",
    ],
    left: [({ mounts }) => [mounts![0]!.uidMappings, mounts![0]!.gidMappings], [undefined, undefined]],
  },
  {
    rule: "sharedMountsGo",
    says: "a mount that spreads",
    spec: mounts(bind("data", "ro", "rshared")),
    sources: [directory("/b/data")],
    cuts: ["/mounts/0/options: rshared → nothing"],
    left: [firstOptions, ["bind", "rro", "rnosuid", "rnodev"]],
  },
  ...["overlay", "ext4", "fuse", "nfs", "bpf", "debugfs", "securityfs", "devtmpfs", "ramfs", "none"].map(
    (type): Ask => ({
      rule: "fileSystemsAreKnown",
      says: `file system ${type}`,
      spec: mounts({ destination: "/x", type, source: "/dev/vda", options: ["lowerdir=/etc"] }),
      cuts: [`/mounts/0/type: ${type} → nothing`],
      left: [count, 0],
    }),
  ),
  {
    rule: "fileSystemsAreKnown",
    says: "a bind that calls itself cgroup",
    spec: mounts({ destination: "/sys/fs/cgroup", type: "cgroup", source: "/etc", options: ["rbind"] }),
    cuts: ["/mounts/0/type: cgroup → nothing"],
    left: [count, 0],
  },
  {
    rule: "kernelFilesStayInPlace",
    says: "a second proc, without masks",
    spec: mounts({ destination: "//proc/./", type: "proc" }, { destination: "/p", type: "proc" }, {
      destination: "proc",
      type: "proc",
    }, { destination: "/s", type: "sysfs" }),
    cuts: [
      "/mounts/1/destination: /p → nothing",
      "/mounts/2/destination: proc → nothing",
      "/mounts/3/destination: /s → nothing",
    ],
    left: [count, 1],
  },
  {
    rule: "kernelFilesAreReadOnly",
    says: "a writable sysfs",
    spec: mounts({ destination: "/sys", type: "sysfs", options: ["rw"] }),
    cuts: ["/mounts/0/options: rw → ro"],
    left: [firstOptions, ["ro", "nosuid", "nodev", "noexec"]],
  },
  {
    rule: "fileSystemOptionsAreKnown",
    says: "options of a file system that it does not need",
    spec: mounts({ destination: "/proc", type: "proc", options: ["hidepid=2", "gid=1000"] }, {
      ...tmpfs("mode=1777", "huge=always", "size=4k"),
    }),
    cuts: ["/mounts/0/options: gid=1000 → nothing", "/mounts/1/options: huge=always → nothing"],
    left: [firstOptions, ["hidepid=2", "nosuid", "nodev", "noexec"]],
  },
  {
    rule: "newFileSystemsAreTame",
    says: "set-user-id files, devices and programs where none belong",
    spec: mounts(
      { destination: "/proc", type: "proc", options: ["suid", "dev", "exec"] },
      tmpfs("exec", "size=4k"),
    ),
    cuts: ["suid", "dev", "exec"].map((word) => `/mounts/0/options: ${word} → no${word}`),
    left: [({ mounts }) => mounts!.map(({ options }) => options), [["nosuid", "nodev", "noexec"], [
      "exec",
      "nosuid",
      "nodev",
      "size=4096",
      "nr_inodes=1024",
    ]]],
  },
  {
    rule: "memoryFilesAreBounded",
    says: "more memory for files than there is",
    spec: mounts(tmpfs("size=100g"), tmpfs("size=1m"), tmpfs()),
    cuts: [
      `/mounts/0/options: size=100g → size=${512 * MIB}`,
      "/mounts/1: size=1m → nothing",
      "/mounts/2: tmpfs → nothing",
    ],
    left: [firstOptions, ["nosuid", "nodev", `size=${512 * MIB}`, `nr_inodes=${512 * 1024}`]],
  },
  ...["size=0", "size=50%", "size=99999999999999", "size=0x1000", "size=-1"].map((word): Ask => ({
    rule: "memoryFilesAreBounded",
    says: `a tmpfs of ${word}`,
    spec: mounts(tmpfs(word)),
    cuts: /[%-]/.test(word)
      ? [`/mounts/0/options: ${word} → nothing`]
      : [`/mounts/0/options: ${word} → size=${128 * MIB}`],
    left: [firstOptions, ["nosuid", "nodev", `size=${128 * MIB}`, `nr_inodes=${128 * 1024}`]],
  })),
  {
    rule: "memoryFilesAreBounded",
    says: "inodes without end",
    spec: mounts(tmpfs("size=1m", "nr_inodes=0")),
    cuts: [],
    left: [firstOptions, ["nosuid", "nodev", `size=${MIB}`, "nr_inodes=1024"]],
  },
  {
    rule: "sourcesAreAllowed",
    says: "the host's files",
    spec: mounts(
      bind("/etc", "ro"),
      bind("link", "ro"),
      bind("/gone", "ro"),
      bind("/srv", "ro"),
      bind("/srv2", "ro"),
    ),
    sources: [directory("/etc"), directory("/root"), undefined, directory("/srv"), directory("/srv2")],
    facts: { binds: [{ path: "/srv" }] },
    cuts: ["/etc", "link", "/gone", "/srv2"].map((source, at) =>
      `/mounts/${[0, 1, 2, 4][at]}/source: ${source} → nothing`
    ),
    left: [({ mounts }) => mounts!.map(({ source }) => source), ["/srv"]],
  },
  {
    rule: "sourcesAreFiles",
    says: "a device, a socket or a fifo",
    spec: mounts(bind("disk", "ro"), bind("odd", "ro"), bind("fine", "ro")),
    sources: [
      { real: "/b/disk", kind: "special", inode: 7 },
      { real: "/b/odd", kind: "file" },
      { real: "/b/fine", kind: "file", inode: 8 },
    ],
    cuts: ["/mounts/0/source: /b/disk → nothing", "/mounts/1/source: /b/odd → nothing"],
    left: [count, 1],
  },
  {
    rule: "bindsAreReadOnly",
    says: "to write where only reading is allowed",
    spec: mounts(bind("data"), bind("/srv/a", "rw"), bind("/srv/b"), bind("/out/c", "ro"), bind("/out/d")),
    sources: ["/b/data", "/srv/a", "/srv/b", "/out/c", "/out/d"].map(directory),
    facts: { binds: [{ path: "/srv" }, { path: "/out", writable: true }] },
    cuts: [0, 1, 2].map((index) => `/mounts/${index}/options: a writable bind → ro`),
    left: [({ mounts }) => mounts!.map(({ options }) => options!.includes("rro")), [
      true,
      true,
      true,
      true,
      false,
    ]],
  },
  {
    rule: "bindsAreReadOnly",
    says: "to write to the bundle in a writable directory, or to a read-only one in a writable one",
    spec: mounts(bind("data"), bind("/out/kept/x")),
    sources: [directory("/b/data"), directory("/out/kept/x")],
    facts: { binds: [{ path: "/", writable: true }, { path: "/out/kept" }] },
    cuts: [0, 1].map((index) => `/mounts/${index}/options: a writable bind → ro`),
  },
  {
    rule: "bindsAreTame",
    says: "rights that the host has taken from a mount",
    spec: mounts(bind("data", "ro", "suid", "rdev", "exec", "symfollow", "noatime")),
    sources: [directory("/b/data")],
    cuts: ["suid", "rdev", "exec"].map((word) => `/mounts/0/options: ${word} → nothing`),
    left: [firstOptions, ["bind", "noatime", "rro", "rnosuid", "rnodev"]],
  },
];
