import { deepEqual, equal } from "node:assert/strict";
import { assigned } from "../../../../runtime/attest/assigned.ts";
import { expect } from "../../../../runtime/attest/expect.ts";
import { type Filter, type PlanRequest, UNASSIGNED_ID } from "../../../../runtime/plan/context.ts";
import { everythingRequest, HOST, type Part, requestOf, ROOTLESS } from "../../../helpers/plan_samples.ts";

/** What must be so of one fact, as `of must value`. */
function facts(request: PlanRequest, fact: string): string[] {
  return expect(request).facts.filter((each) => each.fact === fact)
    .map(({ of, must, value }) => [of, must, value].filter((word) => word !== undefined).join(" "));
}

function mounts(part: Part, more: Partial<PlanRequest> = {}): string[] {
  return expect(requestOf(part, more)).mounts!.map(
    ({ path, type, source, set, clear, data = [], propagation }) => {
      const words = [...set, ...clear.map((word) => `-${word}`), ...data, propagation];
      return [path, type ?? source, ...words].join(" ");
    },
  );
}

Deno.test("expect() survives as JSON, for images are kept in files", () => {
  const expected = expect(everythingRequest());
  deepEqual(JSON.parse(JSON.stringify(expected)), expected);
});

Deno.test("expect() asks for each namespace: new, the host's, or another's", () => {
  const request = requestOf({
    linux: { namespaces: [{ type: "pid" }, { type: "mount" }, { type: "network", path: "/run/net" }] },
  });
  deepEqual(facts(request, "namespace"), [
    "mount not be ours",
    "pid not be ours",
    "network be at /run/net",
    "uts be ours",
    "ipc be ours",
    "user be ours",
    "cgroup be ours",
    "time be ours",
  ]);
});

Deno.test("expect() looks for the time namespace of an init that is still to enter it", () => {
  const { namespaces } = everythingRequest().spec.linux!;
  deepEqual(facts(everythingRequest(), "namespace").at(-1), "time_for_children not be ours");
  const part: Part = {
    linux: {
      namespaces: namespaces!.filter(({ type }) => type !== "user"),
      timeOffsets: { boottime: { secs: 1 } },
    },
  };
  deepEqual(facts(requestOf(part), "namespace").at(-1), "time not be ours");
  deepEqual(facts(requestOf(part), "clock"), ["boottime be 1 0"]);
});

Deno.test("expect() knows that a user without rights keeps the own groups", () => {
  const linux = {
    namespaces: [{ type: "pid" }, { type: "user" }] as const,
    uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
    gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
  };
  const request = requestOf({ linux }, { host: ROOTLESS });
  deepEqual(facts(request, "groups outside"), ["be ours"]);
  deepEqual(facts(request, "setgroups"), ["be deny"]);
  deepEqual(facts(request, "uid_map"), ["be 0 1000 1"]);
  deepEqual(facts(requestOf({ linux }), "setgroups"), ["be allow"]);
});

Deno.test("expect() asks for the groups that are made, and for the caller's elsewhere", () => {
  const groups = [
    { directory: "/sys/fs/cgroup/cpu,cpuacct/user/box", version: 1 },
    { directory: "/sys/fs/cgroup/unified/user/box", version: 2 },
  ] as const;
  deepEqual(facts(requestOf({}, { groups }), "cgroup"), [
    "cpu,cpuacct be /user/box",
    "name=systemd be ours",
    " be /user/box",
  ]);
});

Deno.test("expect() asks for capabilities as far as the kernel gives them", () => {
  const capabilities = {
    bounding: ["CAP_CHOWN"],
    permitted: ["CAP_CHOWN", "CAP_KILL"],
    inheritable: ["CAP_CHOWN"],
    ambient: ["CAP_CHOWN", "CAP_KILL"],
  } as const;
  deepEqual(facts(requestOf({ process: { capabilities } }), "capabilities"), [
    "bounding be ours of 0x0000000000000001",
    "permitted be 0x0000000000000021",
    "effective be 0x0000000000000000",
    "inheritable be 0x0000000000000001",
    "ambient be 0x0000000000000001",
  ]);
});

for (
  const [what, rlimits, values] of [
    ["no limits but the usual", [], ["RLIMIT_NOFILE be 1024:4096"]],
    ["a limit and none", [{ type: "RLIMIT_NOFILE", soft: 1, hard: 2n ** 64n - 1n }], [
      "RLIMIT_NOFILE be 1:unlimited",
    ]],
  ] as const
) {
  Deno.test(`expect() asks for ${what}`, () => {
    deepEqual(facts(requestOf({ process: { rlimits } }), "limit"), values);
  });
}

Deno.test("expect() asks for names, and for kernel parameters that the kernel repeats as they are", () => {
  const sysctl = {
    "net.ipv4.ip_local_port_range": "1024\t 0xffff",
    "net.ipv4.route.flush": "1",
    "net.ipv4.neigh.default.locktime": "3",
    "net.ipv4.tcp_congestion_control": "reno",
  };
  const request = requestOf({ hostname: "box", domainname: "example", linux: { sysctl } });
  deepEqual(facts(request, "host name"), ["be box"]);
  deepEqual(facts(request, "domain name"), ["be example"]);
  deepEqual(facts(request, "kernel parameter"), ["net.ipv4.ip_local_port_range be 1024 65535"]);
});

Deno.test("expect() asks for the programs of filters in the order of their installation", () => {
  const of = (byte: number): Filter => ({ program: new Uint8Array([byte]), flags: 0, notify: false });
  const confinement = { filters: [of(0), of(4)], rlimits: [], userLimits: {} };
  const told = (noNewPrivileges: boolean): readonly string[] =>
    facts(requestOf({ process: { noNewPrivileges } }, { filter: of(8), confinement }), "seccomp program");
  deepEqual(told(true), ["0 be if told AA==", "1 be if told BA==", "2 be if told CA=="]);
  deepEqual(told(false), ["0 be if told CA==", "1 be if told AA==", "2 be if told BA=="]);
});

Deno.test("expect() asks for what a policy adds: filters, their listener, bounds", () => {
  const filter = { program: new Uint8Array(8), flags: 0, notify: false };
  const rlimits = [{ type: "RLIMIT_NOFILE", soft: 10, hard: 20 }] as const;
  const confinement = { filters: [filter, { ...filter, notify: true }], rlimits, userLimits: {} };
  const request = requestOf({ process: { noNewPrivileges: true } }, { filter, confinement });
  deepEqual(facts(request, "seccomp filters"), ["be 3"]);
  deepEqual(facts(request, "descriptors"), ["be 0 1 2 3 4 listener"]);
  deepEqual(facts(request, "limit"), ["RLIMIT_NOFILE be at most 10:20"]);
});

Deno.test("assigned() puts the range of ids that was found into the maps", () => {
  const range = [{ containerID: 0, hostID: UNASSIGNED_ID, size: 65536 }];
  const linux = { namespaces: [{ type: "user" }] as const, uidMappings: range, gidMappings: range };
  const { facts } = assigned(expect(requestOf({ linux })), 700_000);
  const maps = facts.filter(({ fact }) => fact.endsWith("_map")).map(({ value }) => value);
  deepEqual(maps, ["0 700000 65536", "0 700000 65536"]);
});

Deno.test("expect() asks for a filter and its listener", () => {
  const filter = { program: new Uint8Array(8), flags: 0, notify: true };
  deepEqual(facts(requestOf({ process: { noNewPrivileges: true } }, { filter }), "descriptors"), [
    "be 0 1 2 3 4 listener",
  ]);
  deepEqual(facts(requestOf({}, { filter }), "descriptors"), ["be 0 1 2 3 4 listener"]);
  deepEqual(facts(requestOf({}, { filter }), "seccomp filters"), ["be 1"]);
});

Deno.test("expect() asks for the devices that nothing covers", () => {
  const part: Part = {
    mounts: [{ destination: "/dev", type: "tmpfs" }, {
      destination: "/dev/tty/",
      source: "/x",
      options: ["bind"],
    }],
    linux: {
      maskedPaths: ["/dev/full"],
      devices: [{ path: "/dev/zero", type: "b", major: 7, minor: 8 }, { path: "/opt/pipe", type: "p" }],
    },
  };
  deepEqual(facts(requestOf(part), "device"), [
    "/dev/null be c 1:3",
    "/dev/zero be b 7:8",
    "/dev/random be c 1:8",
    "/dev/urandom be c 1:9",
    "/opt/pipe be p",
  ]);
  const given: Part = { mounts: [{ destination: "/dev", source: "/dev", options: ["rbind"] }] };
  deepEqual(facts(requestOf(given), "device"), []);
});

for (
  const [what, part, wanted, more] of [
    ["the root alone", {}, ["/ /bundle/rootfs slave"]],
    ["a read-only root without devices", {
      root: { path: "rootfs", readonly: true },
      mounts: [{ destination: "/dev", type: "tmpfs" }],
    }, [
      "/ /bundle/rootfs nodev ro slave",
      "/dev tmpfs slave",
    ]],
    ["a root in memory", {}, ["/ tmpfs size=1024k slave"], {
      root: { kind: "scratch", sizeBytes: 1 << 20, entries: [] },
    }],
    ["options, the last of which wins", {
      mounts: [{ destination: "a/./b", source: "c", options: ["rbind", "ro", "rw", "rnosuid"] }],
    }, [
      "/ /bundle/rootfs slave",
      "/a/b /bundle/c nosuid -ro slave",
    ]],
    ["what limits and hides", {
      mounts: [
        { destination: "/proc", type: "proc", options: ["hidepid=2", "subset=pid", "gid=5"] },
        { destination: "/t", type: "tmpfs", options: ["size=5000", "mode=700"] },
        { destination: "/u", type: "tmpfs", options: ["size=50%"] },
      ],
    }, [
      "/ /bundle/rootfs slave",
      "/proc proc hidepid=invisible subset=pid slave",
      "/t tmpfs size=8k slave",
      "/u tmpfs slave",
    ]],
    ["a remount", {
      mounts: [{ destination: "/t", type: "tmpfs", options: ["nosuid"] }, {
        destination: "/t",
        options: ["remount", "suid", "ro"],
      }],
    }, ["/ /bundle/rootfs slave", "/t tmpfs ro -nosuid slave"]],
    ["what tmpcopyup makes", { mounts: [{ destination: "/etc", type: "tmpfs", options: ["tmpcopyup"] }] }, [
      "/ /bundle/rootfs slave",
      "/etc tmpfs slave",
      "/etc/lower0  any",
      "/etc overlay slave",
    ]],
    ["the hierarchies of cgroups", { mounts: [{ destination: "/cg", type: "cgroup", options: ["ro"] }] }, [
      "/ /bundle/rootfs slave",
      "/cg tmpfs ro slave",
      "/cg/cpu,cpuacct cgroup ro any",
      "/cg/systemd cgroup ro any",
      "/cg/unified cgroup2 ro any",
    ]],
    ["hidden and read-only paths last", { linux: { maskedPaths: ["/a"], readonlyPaths: ["/b"] } }, [
      "/ /bundle/rootfs slave",
      "/b  ro any",
      "/a mask any",
    ]],
    ["a propagation for all", {
      mounts: [{ destination: "/t", type: "tmpfs" }],
      linux: { rootfsPropagation: "rshared" },
    }, [
      "/ /bundle/rootfs shared",
      "/t tmpfs shared",
    ]],
    ["a propagation for the root", {
      mounts: [{ destination: "/t", type: "tmpfs", options: ["rprivate"] }],
      linux: { rootfsPropagation: "unbindable" },
    }, [
      "/ /bundle/rootfs unbindable",
      "/t tmpfs private",
    ]],
  ] as readonly (readonly [string, Part, string[], Partial<PlanRequest>?])[]
) {
  Deno.test(`expect() asks for ${what}`, () => deepEqual(mounts(part, more), wanted));
}

Deno.test("expect() asks for the host's devices and the terminal in a user namespace", () => {
  const { mounts } = expect(everythingRequest());
  const paths = mounts!.map(({ path }) => path);
  for (const path of ["/dev/null", "/dev/fuse", "/dev/console"]) equal(paths.includes(path), true, path);
  equal(HOST.privileged, true);
});
