import { deepEqual, equal } from "node:assert/strict";
import { compareMounts, type Paths } from "../../../../runtime/attest/compare_mounts.ts";
import type { ExpectedMount } from "../../../../runtime/attest/expectation.ts";
import type { Place } from "../../../../ffi/look.ts";
import { MountTree } from "../../../../runtime/attest/mount_tree.ts";
import { parseMountinfo } from "../../../../runtime/attest/parse.ts";

const HOST =
  "1 0 8:1 / / rw - ext4 sda rw\n2 1 8:2 / /usr rw - ext4 sdb rw\n3 2 8:3 / /usr/local rw - ext4 sdc rw\n";
/** A root, and what a test puts on it. */
const ROOT = "10 9 0:50 / / rw,nodev - tmpfs box rw,size=1024k";
const PROC = "11 10 0:51 / /proc rw,nosuid - proc proc rw";
const USR = "12 10 8:2 / /usr ro,nosuid - ext4 sdb rw";
const LOCAL = "13 12 8:3 / /usr/local ro,nosuid - ext4 sdc rw";

const ROOT_ASKED: ExpectedMount = {
  path: "/",
  type: "tmpfs",
  set: ["nodev"],
  clear: [],
  propagation: "slave",
};
const PROC_ASKED: ExpectedMount = {
  path: "/proc",
  type: "proc",
  set: ["nosuid"],
  clear: [],
  propagation: "slave",
};
const USR_ASKED: ExpectedMount = {
  path: "/usr",
  source: "/usr",
  set: ["ro"],
  clear: ["nodev"],
  propagation: "slave",
};
const ALL_USR: ExpectedMount = { ...USR_ASKED, below: { set: ["ro"], clear: [] } };
const MASK: ExpectedMount = {
  path: "/proc/keys",
  type: "mask",
  set: [],
  clear: [],
  propagation: "any",
  optional: true,
};
const READONLY: ExpectedMount = {
  path: "/proc/sys",
  set: ["ro"],
  clear: [],
  propagation: "any",
  optional: true,
};

/** What lies where, by path; nothing elsewhere. */
function paths(places: Record<string, Partial<Place>> = {}): Paths {
  const none = { mode: 0o40755, inode: 2n, device: "8:2", node: "0:0", mount: 0, isMountRoot: true };
  return {
    lookup: (path) => places[path] && { ...none, ...places[path] },
    host: () => none,
    realPath: (path) => path,
    hostMounts: parseMountinfo(HOST),
  };
}

function compare(
  asked: readonly ExpectedMount[],
  lines: readonly string[],
  places?: Record<string, Partial<Place>>,
): string[] {
  return compareMounts(asked, parseMountinfo(lines.join("\n")), paths(places))
    .map(({ what, asked, is }) => `${what}: ${asked}: ${is}`);
}

const DEV_NULL = "0:6 /null /proc/keys rw - devtmpfs devtmpfs rw,size=1k";

for (
  const [what, asked, lines, differences, places] of [
    ["what was asked for", [ROOT_ASKED, PROC_ASKED], [ROOT, PROC], []],
    ["no matter in which order they are listed", [ROOT_ASKED, PROC_ASKED], [PROC, ROOT], []],
    ["a mount that is missing", [ROOT_ASKED, PROC_ASKED], [ROOT], ['mount "/proc": proc nosuid slave: none']],
    ["a mount that nobody asked for", [ROOT_ASKED], [ROOT, PROC], ['mount "/proc": none: proc rw nosuid']],
    [
      "a mount that covers another",
      [ROOT_ASKED, PROC_ASKED],
      [ROOT, PROC, "14 11 0:60 / /proc rw - tmpfs x rw"],
      ['mount "/proc": none: proc rw nosuid', 'mount "/proc": proc nosuid slave: tmpfs and without nosuid'],
    ],
    ["two on each other that were asked for so", [ROOT_ASKED, PROC_ASKED, {
      ...PROC_ASKED,
      type: "tmpfs",
      set: [],
    }], [
      ROOT,
      PROC,
      "14 11 0:60 / /proc rw - tmpfs x rw",
    ], []],
    [
      "one below another that a later one covers",
      [ROOT_ASKED, { ...PROC_ASKED, path: "/proc/x" }, PROC_ASKED],
      [ROOT, "11 10 0:51 / /proc/x rw,nosuid - proc proc rw", "14 10 0:60 / /proc rw,nosuid - proc x rw"],
      [],
    ],
    ["an option that is missing", [ROOT_ASKED, { ...PROC_ASKED, set: ["nosuid", "ro"] }], [ROOT, PROC], [
      'mount "/proc": proc nosuid ro slave: without ro',
    ]],
    ["an option that must not be there", [ROOT_ASKED, { ...PROC_ASKED, set: [], clear: ["nosuid"] }], [
      ROOT,
      PROC,
    ], [
      'mount "/proc": proc not nosuid slave: with nosuid',
    ]],
    ["an option of the file system", [{ ...ROOT_ASKED, data: ["size=64k"] }], [ROOT], [
      'mount "/": tmpfs nodev size=64k slave: without size=64k',
    ]],
    ["the source of a mount", [ROOT_ASKED, USR_ASKED], [ROOT, USR], [], { "/usr": { mount: 12 } }],
    [
      "another source",
      [ROOT_ASKED, USR_ASKED],
      [ROOT, USR],
      ['mount "/usr": "/usr" ro not nodev slave: inode 7 of 8:2 instead of 2 of 8:2'],
      { "/usr": { mount: 12, inode: 7n } },
    ],
    ["what came along with a tree", [ROOT_ASKED, ALL_USR], [ROOT, USR, LOCAL], [], { "/usr": { mount: 12 } }],
    [
      "what came along and has not its options",
      [ROOT_ASKED, ALL_USR],
      [ROOT, USR, LOCAL.replace("ro,", "rw,")],
      ['mount "/usr": "/usr" ro not nodev slave: without ro at "/usr/local"'],
    ],
    [
      "what did not come along",
      [ROOT_ASKED, ALL_USR],
      [ROOT, USR, LOCAL.replace("8:3", "8:4")],
      ['mount "/usr/local": none: ext4 ro nosuid'],
    ],
    [
      "what came along although nobody asked for the tree",
      [ROOT_ASKED, USR_ASKED],
      [ROOT, USR, LOCAL],
      ['mount "/usr/local": none: ext4 ro nosuid'],
    ],
    ["a link that leads to the place", [ROOT_ASKED, { ...PROC_ASKED, path: "/link" }], [ROOT, PROC], [], {
      "/link": { mount: 11 },
    }],
    [
      "a link that leads to no mount",
      [ROOT_ASKED, { ...PROC_ASKED, path: "/link" }],
      [ROOT],
      ['mount "/link": proc nosuid slave: none'],
      { "/link": { mount: 10 } },
    ],
    ["a mask", [ROOT_ASKED, PROC_ASKED, MASK], [ROOT, PROC, `15 11 ${DEV_NULL}`], [], {
      "/proc/keys": { mount: 15, mode: 0o20666, node: "1:3" },
    }],
    [
      "a forged mask",
      [ROOT_ASKED, PROC_ASKED, MASK],
      [ROOT, PROC, `15 11 ${DEV_NULL}`],
      ['mask "/proc/keys": mask: devtmpfs "/null" rw'],
      { "/proc/keys": { mount: 15, mode: 0o100666, node: "0:0" } },
    ],
    [
      "a mask of a directory",
      [ROOT_ASKED, PROC_ASKED, MASK],
      [ROOT, PROC, "15 11 0:66 / /proc/keys ro - tmpfs x rw,size=4k,mode=555"],
      [],
    ],
    [
      "a mask that can be written to",
      [ROOT_ASKED, PROC_ASKED, MASK],
      [ROOT, PROC, "15 11 0:66 / /proc/keys rw - tmpfs x rw,size=4k,mode=555"],
      ['mask "/proc/keys": mask: tmpfs rw'],
    ],
    ["no mask where nothing is", [ROOT_ASKED, PROC_ASKED, MASK], [ROOT, PROC], []],
    [
      "no mask where something is",
      [ROOT_ASKED, PROC_ASKED, MASK],
      [ROOT, PROC],
      ['mask "/proc/keys": mask: none'],
      { "/proc/keys": { mount: 11, isMountRoot: false } },
    ],
    ["a read-only path", [ROOT_ASKED, PROC_ASKED, READONLY], [
      ROOT,
      PROC,
      "15 11 0:51 /sys /proc/sys ro - proc proc rw",
    ], []],
    [
      "a read-only path of something else",
      [ROOT_ASKED, PROC_ASKED, READONLY],
      [ROOT, PROC, "15 11 0:77 /sys /proc/sys ro - tmpfs x rw"],
      ['mount "/proc/sys": one ro: a copy of something else than proc rw nosuid'],
    ],
    [
      "a remount of what came along",
      [ROOT_ASKED, { ...ALL_USR, below: { set: [], clear: [] } }, {
        ...PROC_ASKED,
        path: "/usr/local",
        type: "ext4",
        set: ["noexec"],
        change: true,
      }],
      [ROOT, USR, LOCAL],
      ['mount "/usr/local": ext4 noexec slave: without noexec'],
    ],
    ["a shared mount", [ROOT_ASKED, PROC_ASKED], [ROOT, PROC.replace(" - ", " shared:5 - ")], [
      'mount "/proc": proc nosuid slave: shared',
    ]],
    ["a mount that must be shared", [ROOT_ASKED, { ...PROC_ASKED, propagation: "shared" }], [ROOT, PROC], [
      'mount "/proc": proc nosuid shared: not shared',
    ]],
    [
      "a private mount that follows another",
      [ROOT_ASKED, { ...PROC_ASKED, propagation: "private" }],
      [ROOT, PROC.replace(" - ", " master:5 - ")],
      ['mount "/proc": proc nosuid private: slave'],
    ],
    ["a mount that must not be bound", [ROOT_ASKED, { ...PROC_ASKED, propagation: "unbindable" }], [
      ROOT,
      PROC,
    ], [
      'mount "/proc": proc nosuid unbindable: not unbindable',
    ]],
  ] as readonly (readonly [string, ExpectedMount[], string[], string[], Record<string, Partial<Place>>?])[]
) {
  Deno.test(`compareMounts() knows ${what}`, () => deepEqual(compare(asked, lines, places), differences));
}

Deno.test("MountTree tells what is seen at a path, down to what was covered", () => {
  const tree = new MountTree(
    parseMountinfo([ROOT, PROC, "14 11 0:60 / /proc rw - tmpfs x rw", USR, LOCAL].join("\n")),
  );
  equal(tree.at("/proc")?.id, 14);
  equal(tree.covering("/proc/self/x")?.id, 14);
  equal(tree.covering("/usr/local/bin")?.id, 13);
  equal(tree.at("/usr/local/bin"), undefined);
  equal(tree.at("/pro"), undefined);
  deepEqual(tree.takeOff(tree.at("/proc")!), []);
  equal(tree.at("/proc")?.id, 11);
  deepEqual(tree.takeOff(tree.at("/usr")!).map(({ id }) => id), [13]);
  deepEqual(tree.left.map(({ id }) => id), [10, 11]);
});
