import { deepEqual } from "node:assert/strict";
import { compare, type Links } from "../../../../runtime/attest/compare.ts";
import type { Paths } from "../../../../runtime/attest/compare_mounts.ts";
import type { Expectation } from "../../../../runtime/attest/expectation.ts";
import type { Place } from "../../../../ffi/look.ts";
import type { Process, Source } from "../../../../runtime/attest/facts.ts";
import { NAMES, sysctlReport, userLimitReport, UTSNAME } from "../../../../runtime/plan/reports.ts";
import { parseStatus } from "../../../../runtime/attest/parse.ts";

const STATUS = "Umask:\t0022\nTgid:\t7\nPid:\t7\nPPid:\t3\nTracerPid:\t0\n" +
  "Uid:\t100005\t100005\t100005\t100005\nGroups:\t100010 100004\nThreads:\t1\nSigIgn:\t0000000000001001\n" +
  "CapPrm:\t0000000000000021\nCapBnd:\t0000000000000021\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
const OURS =
  "Tgid:\t3\nPid:\t3\nCapBnd:\t0000000000000020\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n";
const CHARACTER: Place = {
  mode: 0o20666,
  inode: 5n,
  device: "0:6",
  node: "1:3",
  mount: 4,
  isMountRoot: false,
};

function process(files: Record<string, string>, links: Record<string, string>): Process {
  const find = (where: Record<string, string>, name: string): string => {
    if (where[name] === undefined) throw new Error(`no ${name}`);
    return where[name];
  };
  return {
    text: (file) => find(files, file),
    status: parseStatus(files.status ?? ""),
    link: (name) => find(links, name),
    names: () => Object.keys(links).filter((name) => name.startsWith("fd/")).map((name) => name.slice(3)),
  };
}

const SOURCE: Source & Paths & Links = {
  ...process({
    "status": STATUS,
    "uid_map": "0 100000 1000\n",
    "gid_map": "0 100000 10\n",
    "fdinfo/3": "flags:\t02000002\n",
    "fdinfo/6": "flags:\t02000002\n",
    "fdinfo/5": "flags:\t02\n",
    "limits": "Max processes             100                  unlimited            processes \n",
    "cgroup": "2:pids:/a\n0::/\n",
  }, {
    "ns/net": "net:[8]",
    "ns/uts": "uts:[9]",
    "cwd": "/elsewhere",
    ...{ "fd/0": "x", "fd/3": "x", "fd/5": "x", "fd/6": "anon_inode:seccomp notify" },
  }),
  ours: process({ status: OURS, cgroup: "2:pids:/b\n0::/\n" }, { "ns/net": "net:[1]", "ns/uts": "uts:[9]" }),
  lookup: (path) => path === "/dev/null" || path === "/work" ? CHARACTER : undefined,
  cwd: () => CHARACTER,
  report: (name) => {
    const names = new Uint8Array(UTSNAME.bytes);
    names.set(new TextEncoder().encode("box"), UTSNAME.host * UTSNAME.fieldBytes);
    if (name === NAMES) return names;
    if (name === sysctlReport("net.x")) return new TextEncoder().encode("1\t2\n\0\0");
    if (name === userLimitReport("max_a")) return new TextEncoder().encode("5\n");
    if (name === userLimitReport("max_b")) return new Uint8Array(8);
    throw new Error(`init does not report ${name}`);
  },
  filters: [new Uint8Array(8), new Uint8Array([6, 0, 0, 0, 0, 0, 0xff, 0x7f])],
  host: () => CHARACTER,
  realPath: (path) => path,
  hostMounts: [],
  namespaceAt: () => "net:[8]",
};

function says(expectation: Expectation): string {
  return compare({ facts: [expectation] }, SOURCE)
    .map(({ what, asked, is }) => `${what}: ${asked}, is ${is}`).join("; ");
}

for (
  const [expectation, difference] of [
    [{ fact: "user", must: "be", value: "5 5 5 5" }, ""],
    [{ fact: "user", must: "be", value: "0 0 0 0" }, "user: 0 0 0 0, is 5 5 5 5"],
    [{ fact: "groups", must: "be", value: "4" }, "groups: 4, is nobody 4"],
    [{ fact: "umask", must: "be", value: "0027" }, "umask: 0027, is 0022"],
    [{ fact: "parent", must: "be", value: "this process" }, ""],
    [{ fact: "seccomp filters", must: "be", value: "2" }, ""],
    [{ fact: "seccomp filters", must: "be", value: "3" }, "seccomp filters: 3, is 2"],
    [{ fact: "ignored signals", must: "be", value: "0x0" }, "ignored signals: 0x0, is 0x1000"],
    [{ fact: "no_new_privs", must: "be ours" }, "no_new_privs: 0, is 1"],
    [{ fact: "capabilities", of: "permitted", must: "be", value: "0x0000000000000021" }, ""],
    [
      { fact: "capabilities", of: "permitted", must: "be", value: "0x0000000000000000" },
      "capabilities permitted: none, is CAP_CHOWN CAP_KILL",
    ],
    [
      { fact: "capabilities", of: "bounding", must: "be ours of", value: "0x0000000000000021" },
      "capabilities bounding: CAP_KILL, is CAP_CHOWN CAP_KILL",
    ],
    [{ fact: "namespace", of: "network", must: "not be ours" }, ""],
    [{ fact: "namespace", of: "uts", must: "not be ours" }, "namespace uts: a new one, is the host's"],
    [{ fact: "namespace", of: "uts", must: "be ours" }, ""],
    [{ fact: "namespace", of: "network", must: "be ours" }, "namespace network: net:[1], is net:[8]"],
    [{ fact: "namespace", of: "network", must: "be at", value: "/run/net" }, ""],
    [
      { fact: "namespace", of: "uts", must: "be at", value: "/run/net" },
      "namespace uts: net:[8], is uts:[9]",
    ],
    [
      { fact: "namespace", of: "ipc", must: "not be ours" },
      "namespace ipc: a new one, is not to be known (no ns/ipc)",
    ],
    [{ fact: "cgroup", of: "pids", must: "be ours" }, "cgroup pids: /b, is /a"],
    [{ fact: "cgroup", of: "", must: "be ours" }, ""],
    [{ fact: "descriptors", must: "be", value: "0 3 5" }, "descriptors: 0 3 5, is 0 3 5 listener"],
    [
      { fact: "descriptors left to the program", must: "be", value: "0" },
      "descriptors left to the program: 0, is 0 5",
    ],
    [{ fact: "working directory", of: "/work", must: "be", value: "/work" }, ""],
    [{ fact: "host name", must: "be", value: "box" }, ""],
    [{ fact: "domain name", must: "be", value: "box" }, "domain name: box, is "],
    [{ fact: "kernel parameter", of: "net.x", must: "be", value: "1 2" }, ""],
    [
      { fact: "kernel parameter", of: "net.x", must: "be", value: "1 3" },
      "kernel parameter net.x: 1 3, is 1 2",
    ],
    [
      { fact: "kernel parameter", of: "net.y", must: "be", value: "1" },
      "kernel parameter net.y: 1, is not to be known (init does not report kernel parameter net.y)",
    ],
    [{ fact: "limit of the user namespace", of: "max_a", must: "be at most", value: "5:5" }, ""],
    [
      { fact: "limit of the user namespace", of: "max_a", must: "be at most", value: "4:4" },
      "limit of the user namespace max_a: at most 4:4, is 5:5",
    ],
    [{ fact: "limit of the user namespace", of: "max_b", must: "be at most", value: "0:0" }, ""],
    // The first is this process's own.
    [{ fact: "seccomp program", of: "0", must: "be if told", value: "BgAAAAAA/38=" }, ""],
    [
      { fact: "seccomp program", of: "0", must: "be if told", value: "BgAAAAAA/n8=" },
      "seccomp program 0: 1 instructions (fd496310), is 1 instructions (fd472479)",
    ],
    [
      { fact: "seccomp program", of: "1", must: "be if told", value: "BgAAAAAA/38=" },
      "seccomp program 1: 1 instructions (fd472479), is none",
    ],
    [
      { fact: "working directory", of: "/", must: "be", value: "/" },
      "working directory /: /, is /elsewhere",
    ],
    [{ fact: "limit", of: "RLIMIT_NPROC", must: "be at most", value: "100:unlimited" }, ""],
    [{ fact: "limit", of: "RLIMIT_NPROC", must: "be at most", value: "unlimited:unlimited" }, ""],
    [
      { fact: "limit", of: "RLIMIT_NPROC", must: "be at most", value: "99:unlimited" },
      "limit RLIMIT_NPROC: at most 99:unlimited, is 100:unlimited",
    ],
    [
      { fact: "limit", of: "RLIMIT_NPROC", must: "be at most", value: "100:100" },
      "limit RLIMIT_NPROC: at most 100:100, is 100:unlimited",
    ],
    [{ fact: "device", of: "/dev/null", must: "be", value: "c 1:3" }, ""],
    [{ fact: "device", of: "/dev/zero", must: "be", value: "c 1:5" }, "device /dev/zero: c 1:5, is missing"],
  ] as readonly (readonly [Expectation, string])[]
) {
  const { fact, of = "", must, value = "" } = expectation;
  Deno.test(`compare() ${difference ? "tells" : "accepts"} ${fact} ${of} that must ${must} ${value}`, () => {
    deepEqual(says(expectation), difference);
  });
}

Deno.test("compare() takes mounts that cannot be read for a difference", () => {
  deepEqual(compare({ facts: [], mounts: [] }, SOURCE), [
    { what: "mounts", asked: "those of the bundle", is: "not to be known (no mountinfo)" },
  ]);
});

Deno.test("compare() asks for filters when all else is known: until then init has time to stop", () => {
  const asked: string[] = [];
  const source = new Proxy(SOURCE, {
    get: (target, name) => {
      asked.push(String(name));
      return Reflect.get(target, name);
    },
  });
  const differences = compare({
    facts: [
      { fact: "seccomp program", of: "0", must: "be if told", value: "AAAAAAAAAAA=" },
      { fact: "umask", must: "be", value: "0027" },
    ],
    mounts: [],
  }, source);
  deepEqual(asked.filter((name) => ["filters", "status", "text"].includes(name)).at(-1), "filters");
  deepEqual(differences.map(({ what }) => what), ["seccomp program 0", "umask", "mounts"]);
});
