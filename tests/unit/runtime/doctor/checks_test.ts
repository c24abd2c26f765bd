import { deepEqual, equal, match, ok } from "node:assert/strict";
import { diagnosis } from "../../../../runtime/doctor/checks.ts";
import type { Facts, Trial } from "../../../../runtime/doctor/facts.ts";
import type { Row } from "../../../../runtime/doctor/row.ts";
import { ERRNO } from "../../../../runtime/plan/abi.ts";
import { NAMESPACES } from "../../../../runtime/spec/words.ts";

const WORKS: Trial = { works: true };
const FAILS: Trial = { works: false, call: "clone3", errno: ERRNO.EPERM, says: "the kernel refused it" };
const NONE = { sandbox: FAILS, overlay: FAILS, userns: FAILS };
const GROUP = { version: 2, controllers: "", mountPoint: "/sys/fs/cgroup", own: "/user" } as const;
const CALLS = { clone3: 22, openat2: 22, fsopen: 22, mount_setattr: 22 };
const NAMES = ["mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time"];

/** A host on which root lacks nothing. */
const HOST: Facts = {
  arch: "x86_64",
  uid: 0,
  privileged: true,
  program: "/opt/bin/runtime",
  distribution: "debian",
  settings: {
    release: "6.1.0-21-amd64",
    usernsMost: "100000",
    memfdNoexec: "0",
    seccompActions: "kill_process kill_thread trap errno user_notif trace log allow",
  },
  namespaces: NAMES,
  fileSystems: ["tmpfs", "overlay"],
  calls: CALLS,
  trials: { sandbox: WORKS, overlay: WORKS, userns: WORKS },
  libseccomp: true,
  libnftables: true,
  criu: { path: "/opt/criu", works: true, says: "Looks good." },
  cgroups: [GROUP],
  writableCgroups: ["/sys/fs/cgroup"],
  capabilities: (1n << 41n) - 1n,
  newuidmap: true,
  subordinate: true,
  images: { directory: "/run", writable: true },
  landlock: 7,
};
/** The same for a user without rights. */
const USER: Partial<Facts> = { uid: 1000, privileged: false };

function settings(more: Facts["settings"]): Facts["settings"] {
  return { ...HOST.settings, ...more };
}

function others(part: Partial<Facts>): Row[] {
  return diagnosis({ ...HOST, ...part }).rows.filter(({ answer }) => answer !== "ok");
}

Deno.test("diagnosis() finds nothing amiss where nothing is", () => {
  for (const part of [{}, USER]) {
    deepEqual(others(part), []);
    equal(diagnosis({ ...HOST, ...part }).able, true);
  }
});

type Case = readonly [name: string, part: Partial<Facts>, answer: Row["answer"], remedy: RegExp];
const KERNEL = /^apt-get install .*linux-image-amd64, then restart/;
const APPARMOR = settings({ usernsApparmor: "1" });

const ESSENTIAL: readonly Case[] = [
  ["architecture", { arch: "riscv64" }, "missing", /x86_64 or aarch64/],
  ["kernel 5.12", { settings: settings({ release: "5.11.22" }) }, "missing", KERNEL],
  ["kernel 5.12", { settings: settings({ release: "4.18.0-553.el8" }) }, "missing", KERNEL],
  [
    "kernel 5.12",
    { settings: settings({ release: "5.4.0" }), ...USER, distribution: "ubuntu" },
    "missing",
    /^sudo apt-get .* linux-generic,/,
  ],
  [
    "kernel 5.12",
    { settings: settings({ release: "5.4.0" }), distribution: "fedora" },
    "missing",
    /this system's own/,
  ],
  ["kernel 5.12", { settings: {} }, "unknown", KERNEL],
  ["openat2", { calls: { ...CALLS, openat2: ERRNO.ENOSYS } }, "missing", /container's seccomp profile/],
  ["new mount calls (fsopen)", { calls: { ...CALLS, fsopen: ERRNO.ENOSYS } }, "missing", KERNEL],
  ["mount_setattr", { calls: { ...CALLS, mount_setattr: ERRNO.EPERM }, trials: NONE }, "unknown", KERNEL],
  ["clone3", { calls: { ...CALLS, clone3: ERRNO.ENOSYS } }, "missing", KERNEL],
  ["tmpfs", { fileSystems: ["overlay"] }, "missing", KERNEL],
  ["tmpfs", { fileSystems: undefined }, "unknown", KERNEL],
  ["user namespaces", { ...USER, namespaces: NAMES.filter((name) => name !== "user") }, "missing", /./],
  ["pid namespaces", { namespaces: undefined }, "unknown", KERNEL],
  ["root or user namespaces", { ...USER, trials: NONE }, "unknown", /run it as root/],
  [
    "root or user namespaces",
    { ...USER, trials: NONE, settings: settings({ usernsMost: "0" }) },
    "missing",
    /run it as root, or: sudo sysctl -w user\.max_user_namespaces=/,
  ],
  [
    "root or user namespaces",
    { ...USER, trials: NONE, settings: settings({ usernsClone: "0" }) },
    "missing",
    /^run it as root; .*no narrower way.*sudo sysctl -w kernel\.unprivileged_userns_clone=1$/,
  ],
  [
    "root or user namespaces",
    { ...USER, trials: NONE, settings: APPARMOR },
    "missing",
    /^printf .*userns,.* '\/opt\/bin\/runtime' \| sudo tee \/etc\/apparmor\.d\/ai-sandbox && sudo apparmor_parser/,
  ],
  [
    "root or user namespaces",
    { ...USER, trials: NONE, settings: APPARMOR, program: "/usr/bin/deno" },
    "missing",
    /^deno task build && printf .*\$PWD\/bin\/runtime/,
  ],
  ["a sandbox for a program", { trials: NONE }, "missing", /report this line/],
  [
    "executable images",
    { trials: NONE, settings: settings({ memfdNoexec: "2" }) },
    "unknown",
    /findmnt .* \/tmp .*unshare --mount/,
  ],
];

const OPTIONAL: readonly Case[] = [
  ["time namespaces", { namespaces: NAMES.filter((name) => name !== "time") }, "missing", KERNEL],
  ["user namespaces", { namespaces: NAMES.filter((name) => name !== "user") }, "missing", KERNEL],
  [
    "overlayfs",
    { trials: { ...HOST.trials, overlay: FAILS }, fileSystems: ["tmpfs"] },
    "missing",
    /^modprobe overlay$/,
  ],
  ["overlayfs", { trials: { ...HOST.trials, overlay: FAILS } }, "missing", KERNEL],
  ["overlayfs", { trials: NONE }, "unknown", KERNEL],
  [
    "overlayfs in a user namespace",
    { trials: { ...HOST.trials, userns: FAILS }, settings: settings({ usernsMost: "0" }) },
    "missing",
    /^sysctl -w user\.max_user_namespaces=/,
  ],
  ["seccomp", { settings: settings({ seccompActions: "kill_thread allow" }) }, "missing", KERNEL],
  ["seccomp", { settings: { release: "6.1.0" } }, "unknown", KERNEL],
  ["libseccomp", { libseccomp: false }, "missing", /^apt-get install .*libseccomp2$/],
  ["libseccomp", { ...USER, libseccomp: false }, "missing", /^sudo apt-get install .*libseccomp2$/],
  ["libnftables", { libnftables: false }, "missing", /^apt-get install .*libnftables1$/],
  ["landlock", { landlock: 0 }, "missing", /lsm=/],
  ["landlock", { landlock: undefined }, "unknown", /lsm=/],
  ["landlock", { landlock: 1 }, "missing", KERNEL],
  ["landlock for --fallback", { landlock: 5 }, "missing", KERNEL],
  ["landlock for --fallback", { landlock: 0 }, "missing", /lsm=/],
  ["cgroups", { cgroups: [] }, "missing", /^mount -t cgroup2 /],
  ["cgroups", { cgroups: undefined }, "unknown", /^mount -t cgroup2 /],
  [
    "writable cgroup version 2",
    { writableCgroups: [] },
    "missing",
    /^mount -o remount,rw \/sys\/fs\/cgroup$/,
  ],
  [
    "writable cgroup version 2",
    { cgroups: [{ ...GROUP, version: 1, controllers: "cpu" }] },
    "missing",
    /^mount -t cgroup2 /,
  ],
  ["writable cgroup version 2", { ...USER, writableCgroups: [] }, "missing", /^systemd-run --user --scope /],
  ["CAP_SYS_RESOURCE", { capabilities: 0n }, "missing", /--cap-add SYS_RESOURCE/],
  ["CAP_SYS_RESOURCE", { ...USER, capabilities: 0n }, "missing", /sudo prlimit/],
  ["CAP_SYS_RESOURCE", { capabilities: undefined }, "unknown", /./],
  ["subordinate ids", { ...USER, newuidmap: false }, "missing", /install .*uidmap && sudo usermod/],
  ["subordinate ids", { ...USER, subordinate: false }, "missing", /^sudo usermod --add-subuids/],
  ["subordinate ids", { ...USER, subordinate: undefined }, "unknown", /./],
  ["kept images", { images: { directory: "/run", writable: false } }, "missing", /^mount -t tmpfs /],
  ["kept images", { ...USER, images: undefined }, "missing", /XDG_RUNTIME_DIR=/],
  ["CRIU", { criu: undefined }, "missing", /^\.\/setup$/],
  ["CRIU", { criu: { path: "/opt/criu", works: false, says: "no" } }, "missing", /newer CRIU by \.\/setup/],
  ["CRIU", { ...USER, criu: { path: "/opt/criu", works: undefined, says: "" } }, "unknown", /criu check$/],
];

for (const [essential, cases] of [[true, ESSENTIAL], [false, OPTIONAL]] as const) {
  for (const [name, part, answer, remedy] of cases) {
    const facts = Deno.inspect(part, { breakLength: Infinity, depth: 3 });
    Deno.test(`diagnosis() says ${answer} for ${name} of ${facts}`, () => {
      const found = others(part).find((row) => row.name === name);
      ok(found, "there is no such row");
      deepEqual([found.answer, found.essential], [answer, essential]);
      match(found.remedy ?? "", remedy);
      ok(found.costs);
      if (essential && answer === "missing") equal(diagnosis({ ...HOST, ...part }).able, false);
    });
  }
}

Deno.test("diagnosis() still finds a host able that lacks only what can be done without", () => {
  const part = { libseccomp: false, criu: undefined, landlock: 0, capabilities: 0n, writableCgroups: [] };
  equal(others(part).length, 6);
  equal(diagnosis({ ...HOST, ...part }).able, true);
});

Deno.test("diagnosis() takes a sandbox that works as proof", () => {
  const refused = { clone3: 1, openat2: 1, fsopen: 1, mount_setattr: 1 };
  const [noexec, apparmor] = [settings({ memfdNoexec: "2" }), APPARMOR];
  for (const part of [{ ...USER, calls: refused }, { settings: noexec }, { ...USER, settings: apparmor }]) {
    deepEqual(others(part), []);
  }
});

Deno.test("diagnosis() never advises to turn AppArmor's restriction or the protection of memory files off", () => {
  const strict = settings({ usernsApparmor: "1", memfdNoexec: "2", usernsClone: "1" });
  const remedies = others({ ...USER, trials: NONE, settings: strict }).map(({ remedy }) => remedy ?? "");
  ok(!/apparmor_restrict|memfd_noexec|--privileged|seccomp=unconfined/.test(remedies.join("\n")));
});

Deno.test("diagnosis() has a row for each kind of namespace", () => {
  const { rows } = diagnosis(HOST);
  for (const type of NAMESPACES) ok(rows.some(({ name }) => name === `${type} namespaces`), type);
});
