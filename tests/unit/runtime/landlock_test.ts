import { deepEqual, equal, throws } from "node:assert/strict";
import { UnsupportedError } from "../../../runtime/errors.ts";
import { defaultLandlock } from "../../../runtime/landlock.ts";
import { type LandlockRules, refuseBeyondAbi } from "../../../runtime/plan/landlock.ts";
import { plan } from "../../../runtime/plan/plan.ts";
import type { Mount, NamespaceType } from "../../../runtime/spec/config.ts";
import { opsOf, type Part, requestOf } from "../../helpers/plan_samples.ts";

const NEWEST = 7;
const DEV: Mount = { destination: "/dev", type: "tmpfs", source: "tmpfs" };

function rulesOf(part: Part, abi = NEWEST): LandlockRules {
  return defaultLandlock(requestOf(part, { sources: new Map([["/srv/file", "file"]]) }), abi);
}

function paths({ rules }: LandlockRules, access: string): string[] {
  return rules.filter((rule) => rule.access.includes(access as "write")).map(({ path }) => path);
}

Deno.test("defaultLandlock() lets a writable root be written", () => {
  deepEqual(paths(rulesOf({ mounts: [DEV] }), "write"), ["/"]);
});

Deno.test("defaultLandlock() lets a read-only root be written only where a mount is writable", () => {
  const rules = rulesOf({
    root: { path: "rootfs", readonly: true },
    mounts: [
      DEV,
      { destination: "/tmp", type: "tmpfs" },
      { destination: "/in", type: "bind", source: "/in", options: ["rbind", "ro"] },
      { destination: "/all", type: "bind", source: "/all", options: ["rbind", "rro"] },
      { destination: "/out", type: "bind", source: "/srv/file", options: ["rbind"] },
    ],
  });
  deepEqual(paths(rules, "write"), ["/dev", "/dev", "/tmp", "/out"]);
  equal(rules.rules.find(({ path }) => path === "/out")?.kind, "file");
});

Deno.test("defaultLandlock() lets device files be made only with CAP_MKNOD", () => {
  const bounding = ["CAP_MKNOD"] as const;
  deepEqual(paths(rulesOf({}), "devices"), []);
  deepEqual(paths(rulesOf({ process: { capabilities: { bounding } } }), "devices"), ["/"]);
});

Deno.test("defaultLandlock() allows ioctl on the sandbox's own devices", () => {
  deepEqual(paths(rulesOf({ mounts: [DEV] }), "ioctl"), ["/dev"]);
  const devices = [{ path: "/dev/fuse", type: "c" }, { path: "/opt/kvm", type: "c" }] as const;
  deepEqual(paths(rulesOf({ mounts: [DEV], linux: { devices } }), "ioctl"), ["/dev", "/opt/kvm"]);
  const shared = paths(rulesOf({ mounts: [{ ...DEV, type: "bind", source: "/dev" }] }), "ioctl");
  equal(shared.includes("/dev/null"), true);
  equal(shared.includes("/dev"), false, "the host's devices are not the sandbox's");
});

for (
  const [without, scoped] of [
    [[], []],
    [["network"], ["abstract sockets"]],
    [["pid"], ["signals"]],
    [["pid", "network"], ["abstract sockets", "signals"]],
  ] as const
) {
  Deno.test(`defaultLandlock() keeps ${scoped.join(" and ") || "nothing more"} inside without a namespace for it`, () => {
    const types: readonly NamespaceType[] = ["pid", "network", "mount"];
    const namespaces = types.filter((type) => !(without as readonly string[]).includes(type));
    deepEqual(rulesOf({ linux: { namespaces: namespaces.map((type) => ({ type })) } }).scoped, scoped);
  });
}

Deno.test("defaultLandlock() leaves out what an older kernel has no word for", () => {
  const namespaces = [{ type: "mount" }] as const;
  const handled = (abi: number): string => rulesOf({ linux: { namespaces } }, abi).handled.join();
  deepEqual([2, 3, 5].map(handled), [
    "write,devices",
    "write,truncate,devices",
    "write,truncate,devices,ioctl",
  ]);
  deepEqual(rulesOf({ linux: { namespaces } }, 5).scoped, []);
  for (let abi = 2; abi <= NEWEST; abi++) refuseBeyondAbi(rulesOf({ linux: { namespaces } }, abi));
});

const NONE: LandlockRules = { abi: 0, handled: [], rules: [], scoped: [] };
for (
  const [part, since, name] of [
    [{ handled: ["read"] }, 1, /Landlock to read/],
    [{ handled: ["write"] }, 2, /Landlock to write/],
    [{ handled: ["truncate"] }, 3, /Landlock to truncate/],
    [{ net: { bind: [], connect: [] } }, 4, /Landlock to TCP ports/],
    [{ handled: ["ioctl"] }, 5, /Landlock to ioctl/],
    [{ scoped: ["abstract sockets"] }, 6, /Landlock to abstract sockets/],
    [{ scoped: ["signals"] }, 6, /Landlock to signals/],
  ] as const
) {
  Deno.test(`plan() refuses ${JSON.stringify(part)} before version ${since}`, () => {
    const make = (abi: number): unknown => plan(requestOf({}, { landlock: { ...NONE, ...part, abi } }));
    throws(() => make(since - 1), (error) => {
      return error instanceof UnsupportedError && name.test(error.message) && error.remedy !== "";
    });
    make(since);
  });
}

Deno.test("plan() puts init under Landlock after the mounts, before filters and the change of user", () => {
  for (const noNewPrivileges of [true, false]) {
    const filter = { program: new Uint8Array(8), flags: 0, notify: false };
    const part: Part = { mounts: [DEV], process: { noNewPrivileges } };
    const calls = opsOf(plan(requestOf(part, { landlock: rulesOf(part), filter }))).map(({ call }) => call);
    const at = calls.indexOf("landlock_restrict_self");
    const [after, before] = [["pivot_root", "move_mount", "mount_setattr"], [
      "seccomp",
      "setresuid",
      "execve",
    ]];
    for (const call of after) equal(calls.lastIndexOf(call as "pivot_root") < at, true, call);
    for (const call of before) equal(calls.indexOf(call as "seccomp") > at, true, call);
  }
});
