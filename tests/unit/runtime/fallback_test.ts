import { deepEqual, equal, throws } from "node:assert/strict";
import { bareRequest } from "../../../runtime/bare.ts";
import { UnsupportedError } from "../../../runtime/errors.ts";
import { isForbidden } from "../../../runtime/fallback.ts";
import { ERRNO, type Errno } from "../../../runtime/plan/abi.ts";
import type { Call } from "../../../runtime/plan/op.ts";
import { privateDirectory } from "../../../runtime/private_directory.ts";
import { ROOTLESS } from "../../helpers/plan_samples.ts";

const APPARMOR = { usernsApparmor: "1" };
for (
  const [call, errno, settings, forbidden] of [
    ["clone3", "EPERM", {}, true], // kernel.unprivileged_userns_clone=0
    ["clone3", "ENOSPC", {}, true], // user.max_user_namespaces=0
    ["clone3", "ENOSYS", {}, true], // the filter of a container
    ["clone3", "ENOMEM", {}, false],
    ["clone3", "EAGAIN", {}, false],
    // AppArmor lets the namespace be made.
    ["mount_setattr", "EACCES", APPARMOR, true],
    ["sethostname", "EPERM", APPARMOR, true],
    ["mount_setattr", "EACCES", { usernsApparmor: "0" }, false],
    ["mount_setattr", "EACCES", {}, false],
    ["mount_setattr", "EINVAL", APPARMOR, false],
    // The program's own fault.
    ["execve", "EACCES", APPARMOR, false],
    ["faccessat2", "EACCES", APPARMOR, false],
  ] as const satisfies readonly (readonly [Call, Errno, object, boolean])[]
) {
  const where = JSON.stringify(settings);
  Deno.test(`isForbidden() says ${forbidden} to ${call}: ${errno} with ${where}`, () => {
    const does = call === "clone3" ? "start init in 7 new namespaces" : "do something";
    equal(isForbidden({ op: { call, does }, errno: ERRNO[errno] }, { settings }), forbidden);
  });
}

Deno.test("isForbidden() does not take the clone of a helper for that of the sandbox", () => {
  const op = { call: "clone3", does: "start the guard of init" } as const;
  equal(isForbidden({ op, errno: ERRNO.EPERM }, { settings: {} }), false);
});

Deno.test("bareRequest() takes binds at their own place for rules", () => {
  const bind = (...options: string[]): object => ({
    destination: "/usr",
    source: "/usr",
    type: "bind",
    options,
  });
  const access = (mount: object): unknown => {
    const { landlock } = bareRequest({ command: ["true"], mounts: [mount as never] }, ROOTLESS, "/tmp");
    return landlock?.rules.at(-1)?.access.join();
  };
  deepEqual([bind("rbind"), bind("rbind", "rro"), bind("ro", "noexec")].map(access), [
    "read,execute,write,truncate",
    "read,execute",
    "read",
  ]);
});

for (
  const [mount, says] of [
    [{ destination: "/t", type: "tmpfs" }, /tmpfs mount at "\/t"/],
    [{ destination: "/t", type: "bind", source: "/usr" }, /"\/usr" at "\/t"/],
    [{ destination: "/nowhere", type: "bind", source: "/nowhere" }, /"\/nowhere".*not there/],
    [
      { destination: "/usr", type: "bind", source: "/usr", options: ["idmap"] },
      /options of the mount at "\/usr"/,
    ],
    [{ destination: "/usr", type: "bind", source: "/usr", options: ["rshared"] }, /options of the mount/],
  ] as const
) {
  Deno.test(`bareRequest() refuses ${JSON.stringify(mount)}`, () => {
    const mounts = [mount];
    throws(() => bareRequest({ command: ["true"], mounts }, ROOTLESS, "/tmp"), (error) => {
      return error instanceof UnsupportedError && says.test(error.message);
    });
  });
}

for (
  const [asked, flag] of [
    [{ cpus: 1 }, "--cpu"],
    [{ cpuset: "0" }, "--cpuset"],
    [{ memoryBytes: 1 << 26 }, "--memory"],
    [{ memorySwapBytes: -1 }, "--memory-swap"],
    [{ pids: 9 }, "--pids"],
    [{ ioMax: [{ device: "8:0", rbps: 1 }] }, "--io-max"],
    [{ policy: "strict" }, "a policy"],
    [{ attest: true }, "attestation"],
  ] as const
) {
  Deno.test(`bareRequest() refuses ${JSON.stringify(asked)}`, () => {
    throws(() => bareRequest({ command: ["true"], ...asked }, ROOTLESS, "/tmp"), (error) => {
      return error instanceof UnsupportedError && error.feature === `${flag} with --fallback landlock`;
    });
  });
}

Deno.test("privateDirectory() removes what a command that is gone has left, and nothing else", () => {
  const parent = Deno.makeTempDirSync();
  const before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", parent);
  try {
    using living = privateDirectory();
    const [, namespace] = /ai-sandbox-own-(\d+)-/.exec(living.path)!;
    const left = [`ai-sandbox-own-${namespace}-${Deno.pid}-1-x`, `ai-sandbox-own-${namespace}-4194303-1-y`];
    const others = ["note", `ai-sandbox-own-1-${Deno.pid}-1-z`];
    for (const name of [...left, ...others]) Deno.mkdirSync(`${parent}/${name}/deep/er`, { recursive: true });
    Deno.chmodSync(`${parent}/${left[0]}/deep`, 0);
    const second = privateDirectory();
    second[Symbol.dispose]();
    second[Symbol.dispose]();
    const found = [...Deno.readDirSync(parent)].map(({ name }) => name).sort();
    deepEqual(found, [...others, living.path.slice(parent.length + 1)].sort());
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
    Deno.removeSync(parent, { recursive: true });
  }
});
