import { AT_FDCWD, CLONE, MOUNT_ATTR } from "../../runtime/plan/kernel.ts";
import { attach, cloneMount } from "../../runtime/plan/mount_ops.ts";
import { type Arg, type Bytes, type Member, type Op, op, type Struct, text } from "../../runtime/plan/op.ts";
import { add, all, alter, argument, drop, type Edit, withoutBits } from "./defects.ts";

/** A protection, what takes it away, and what is said of that. */
export type Defect = readonly [protection: string, edit: Edit, says: RegExp];

const BIND = /^mount ".*data" on/;
const SET = { does: BIND, call: "mount_setattr" } as const;

/** Those of a sandbox that asks for everything. */
export const DEFECTS: readonly Defect[] = [
  [
    "no_new_privs",
    all(drop({ does: "forbid new privileges" }), drop({ does: /seccomp/ })),
    /no_new_privs: asked for 1, is 0/,
  ],
  [
    "the bounding set",
    drop({ does: "take CAP_SYS_ADMIN from the bounding set" }),
    /capabilities bounding: asked for CAP_KILL CAP_NET_BIND_SERVICE, is .*CAP_SYS_ADMIN/,
  ],
  [
    "all capability sets",
    drop({ does: /^(set the capabilities|raise ambient)/ }),
    /capabilities permitted: asked for CAP_KILL CAP_NET_BIND_SERVICE, is .*CAP_SYS_ADMIN/,
  ],
  [
    "the effective set",
    capability(0, 1),
    /capabilities effective: asked for CAP_KILL, is CAP_KILL CAP_NET_BIND/,
  ],
  [
    "the inheritable set",
    capability(2, 1),
    /capabilities inheritable: asked for CAP_NET_BIND_SERVICE, is CAP_KILL/,
  ],
  [
    "the ambient set",
    drop({ does: /^raise ambient/ }),
    /capabilities ambient: asked for CAP_NET_.*, is none/,
  ],
  ["the user", drop({ does: "become user 1000" }), /user: asked for 1000 1000 1000 1000, is 0 0 0 0/],
  ["the group", drop({ does: "become group 1001" }), /group: asked for 1001 1001 1001 1001, is 0 0 0 0/],
  ["the groups", drop({ does: /^set the groups/ }), /groups: asked for 5, is none/],
  ["the umask", drop({ does: /^set the umask/ }), /umask: asked for 0027, is 0000/],
  ["a limit", drop({ does: /^set RLIMIT_NPROC/ }), /limit RLIMIT_NPROC: asked for 50:60, is/],
  ["the usual limit of open files", drop({ does: /usual value/ }), /limit RLIMIT_NOFILE: asked for 1024:/],
  ["oom_score_adj", drop({ does: /^set oom_score_adj/ }), /oom_score_adj: asked for 123, is 0/],
  ["the personality", drop({ does: /^set the personality/ }), /personality: asked for 00000008, is 00000000/],
  ["the cgroup", drop({ does: /^join cgroup .*pids/ }), /cgroup pids: asked for .*ai-sandbox-.*, is \//],
  [
    "the default signals",
    drop({ does: "stop ignoring signals", call: "rt_sigaction" }),
    /ignored signals: asked for 0x0, is 0x[\da-f]*1000/,
  ],
  ["the filter of system calls", drop({ does: /seccomp/ }), /seccomp filters: asked for 1, is 0/],
  [
    "what the filter of system calls says",
    alter({ does: /seccomp/, call: "seccomp" }, allowing),
    /seccomp program 0: asked for \d+ instructions \(.*\), is \d+ instructions \(/,
  ],
  ["the offsets of the clocks", drop({ does: /time offsets/ }), /clock monotonic: asked for 60 5, is 0 0/],
  ["the time namespace", drop({ does: /time (namespace|offsets)/ }), /namespace time: asked for a new one/],
  [
    "the cgroup namespace",
    drop({ does: "make a cgroup namespace" }),
    /namespace cgroup: asked for a new one/,
  ],
  ...(["PID", "NET", "IPC", "UTS"] as const).map((name): Defect => {
    const type = name === "NET" ? "network" : name.toLowerCase();
    return [
      `the ${type} namespace`,
      withoutNamespace(CLONE[`NEW${name}`]),
      new RegExp(`namespace ${type}: asked for a`),
    ];
  }),
  ["the mount namespace", withoutMounts(), /namespace mount: asked for a new one, is the host's/],
  [
    "the read-only root",
    drop({ does: "make the root read-only" }),
    /mount "\/": asked for .*, is without ro/,
  ],
  [
    "the root without devices",
    drop({ does: /^shut the device/ }),
    /mount "\/": asked for .*, is without nodev/,
  ],
  [
    "the leave from the host's files",
    drop({ does: "leave the host's files behind" }),
    /mount "\/proc.*": asked for none, is/,
  ],
  [
    "pivot_root",
    all(
      alter({ does: "change the root" }, ({ does }) => op(does, "chroot", ["."])),
      drop({ does: "leave the host's files behind" }),
    ),
    /root: asked for \/, is \/proc/,
  ],
  [
    "the mask of a directory",
    drop({ does: 'mask "/secret"', call: "move_mount" }),
    /mask "\/secret": asked for mask/,
  ],
  ["the mask of a file", drop({ does: 'mask "/key"', call: "move_mount" }), /mask "\/key": asked for mask/],
  [
    "what masks a file",
    argument({ does: "prepare to mask paths", call: "open_tree" }, 1, "/dev/zero"),
    /mask "\/key": asked for mask, is devtmpfs "\/zero"/,
  ],
  [
    "what masks a directory",
    argument({ does: "prepare to mask paths", call: "fsmount" }, 2, 0),
    /mask "\/secret": asked for mask, is tmpfs rw/,
  ],
  [
    "a read-only path",
    drop({ does: /^make "\/proc\/sys" read-only/, call: "move_mount" }),
    /mount "\/proc\/sys": asked for one ro, is none/,
  ],
  [
    "what makes a path read-only",
    drop({ does: /^make "\/proc\/sys" read-only/, call: "mount_setattr" }),
    /mount "\/proc\/sys": asked for one ro, is without ro/,
  ],
  [
    "ro of a mount",
    withoutBits(SET, "mount_attr", "attr_set", MOUNT_ATTR.RDONLY),
    /mount "\/data": .* without ro/,
  ],
  [
    "nosuid of a mount",
    withoutBits(SET, "mount_attr", "attr_set", MOUNT_ATTR.NOSUID),
    /"\/data": .* without nosuid/,
  ],
  [
    "nodev of a mount",
    withoutBits(SET, "mount_attr", "attr_set", MOUNT_ATTR.NODEV),
    /"\/data": .* without nodev/,
  ],
  [
    "noexec of a mount",
    withoutBits(SET, "mount_attr", "attr_set", MOUNT_ATTR.NOEXEC),
    /"\/data": .* without noexec/,
  ],
  [
    "the source of a mount",
    argument({ does: BIND, call: "open_tree" }, 1, "/etc"),
    /mount "\/data": .* is inode/,
  ],
  [
    "the type of a mount",
    argument({ does: 'mount sysfs on "/sys"', call: "fsopen" }, 0, "proc"),
    /mount "\/sys": asked for sysfs .*, is proc/,
  ],
  [
    "the size of a tmpfs",
    drop({ does: /^mount tmpfs on "\/scratch" with option "size/ }),
    /mount "\/scratch": asked for tmpfs .*size=64k.*, is without size=64k/,
  ],
  [
    "a mount",
    drop({ does: 'mount sysfs on "/sys"', call: "move_mount" }),
    /mount "\/sys": asked for sysfs .*, is none/,
  ],
  [
    "only the mounts that were asked for",
    all(
      add({ does: BIND, by: "launcher" }, [cloneMount("leak", AT_FDCWD, "/etc", true, "leak")]),
      add({ does: BIND, by: "init" }, [
        op("leak", "openat", [AT_FDCWD, "/extra", { named: "O_PATH", value: 0o10000000 }, 0], { into: "at" }),
        attach("leak", "leak", "at"),
      ]),
    ),
    /mount "\/extra": asked for none, is \S+ "\S*\/etc"/,
  ],
  ["a device", drop({ does: 'make device "/dev/null"' }), /device \/dev\/null: asked for c 1:3, is missing/],
  [
    "the number of a device",
    argument({ does: 'make device "/dev/null"', call: "mknodat" }, 3, 0x105),
    /device \/dev\/null: asked for c 1:3, is c 1:5/,
  ],
  [
    "the working directory",
    drop({ does: /^change directory to/ }),
    /working directory \/work: asked for \/work, is \//,
  ],
  [
    "closed descriptors",
    drop({ does: /^close what is not needed/ }),
    /descriptors: asked for 0 1 2 3 4, is 0 1 2 3 4 5/,
  ],
  [
    "descriptors that end with init",
    drop({ does: "close at execve what was inherited" }),
    /descriptors left to the program: asked for 0 1 2, is 0 1 2 3 4/,
  ],
];

/** Those of one in a user namespace. */
export const IDS_DEFECTS: readonly Defect[] = [
  [
    "the user namespace",
    all(withoutNamespace(CLONE.NEWUSER), drop({ does: /id_map of the user namespace$|"\/proc\/<pid>/ })),
    /namespace user: asked for a new one, is the host's/,
  ],
  ["the map of users", otherMap("uid_map"), /uid_map: asked for 0 100000 65536, is 0 200000 65536/],
  ["the map of groups", otherMap("gid_map"), /gid_map: asked for 0 100000 65536, is 0 200000 65536/],
  [
    "a device of the host",
    argument({ does: 'bind device "/dev/null"', call: "open_tree" }, 1, "/dev/zero"),
    /device \/dev\/null: asked for c 1:3, is c 1:5/,
  ],
];

/** Those of one with names and kernel parameters. */
export const PARAMETERS_DEFECTS: readonly Defect[] = [
  ["the host name", drop({ does: /^set the host name/ }), /host name: asked for attested, is /],
  ["the domain name", drop({ does: /^set the domain name/ }), /domain name: asked for example, is /],
  [
    "a kernel parameter of the network",
    drop({ does: /^set net.ipv4.ip_local_port_range/, call: "write" }),
    /kernel parameter net.ipv4.ip_local_port_range: asked for 2000 3000, is \d+ \d+/,
  ],
  [
    "a kernel parameter of messages",
    drop({ does: /^set kernel.msgmax/, call: "write" }),
    /kernel parameter kernel.msgmax: asked for 4096, is \d+/,
  ],
];

/** A filter of the same length that allows everything, for the step that installs one. */
export function allowing(step: Op): Op {
  const [mode, flags, program] = step.args as [Arg, Arg, Struct];
  const [length, [name, size, code]] = program.members as [Member, Member];
  const bytes = (code as Bytes).bytes.slice();
  bytes.set([6, 0, 0, 0, 0, 0, 0xff, 0x7f]); // BPF_RET, SECCOMP_RET_ALLOW
  const members: Member[] = [length, [name, size, { bytes, shows: "defect" }]];
  return { ...step, args: [mode, flags, { ...program, members }] };
}

/** Sets another bit in the data of capset: word 0 effective, 1 permitted, 2 inheritable. */
function capability(word: number, from: number): Edit {
  return alter({ does: "set the capabilities" }, (each) => {
    const words = new Uint32Array((each.args[1] as Bytes).bytes.slice().buffer);
    words[word] = words[from]!;
    return { ...each, args: [each.args[0]!, { bytes: new Uint8Array(words.buffer), shows: "defect" }] };
  });
}

function withoutNamespace(flag: number): Edit {
  return withoutBits({ does: /^start init in/ }, "clone_args", "flags", flag);
}

/** Without the namespace nothing may be mounted: it would be on the host. */
function withoutMounts(): Edit {
  const calls = [
    "mount_setattr",
    "move_mount",
    "pivot_root",
    "umount2",
    "openat2",
    "mknodat",
    "symlinkat",
    "mkdirat",
  ] as const;
  return all(
    withoutNamespace(CLONE.NEWNS),
    ...calls.map((call) => drop({ does: /./, call, by: "init" })),
    drop({ does: /device|terminal|directory|root/, by: "init" }),
  );
}

function otherMap(file: string): Edit {
  const map = text("0 200000 65536\n");
  return argument({ does: new RegExp(`to ${file} of`), call: "write" }, 1, map);
}
