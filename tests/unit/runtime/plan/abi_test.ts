import { deepEqual } from "node:assert/strict";
import * as abi from "../../../../runtime/plan/abi.ts";
import * as kernel from "../../../../runtime/plan/kernel.ts";
import { CAPABILITIES } from "../../../../runtime/spec/words.ts";
import { evaluate, type EvaluateOptions, hasCompiler } from "../../../helpers/c_program.ts";

/** Compares numbers with what the headers say of their names; `newer` are those that older headers may lack. */
function test(
  name: string,
  numbers: Readonly<Record<string, number | bigint>>,
  options: EvaluateOptions,
  newer: readonly string[] = [],
): void {
  Deno.test({
    name,
    ignore: !hasCompiler,
    fn: () => {
      const found = evaluate(Object.keys(numbers), options);
      const wrong = Object.entries(numbers).filter(([key, value]) => {
        const real = found.get(key);
        return real === undefined ? !newer.includes(key) : real !== BigInt(value);
      });
      deepEqual(wrong.map(([key, value]) => `${key} is ${found.get(key)} and not ${value}`), []);
    },
  });
}

function prefixed(prefix: string, table: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [prefix + key, value]));
}

const calls = Object.entries(abi.SYSCALLS);

if (Deno.build.arch === "x86_64") {
  test(
    "SYSCALLS has the numbers of x86_64",
    Object.fromEntries(calls.map(([name, [number]]) => [`__NR_${name}`, number])),
    { includes: ["asm/unistd_64.h"] },
  );
}

// The wants of arch/arm64/include/uapi/asm/unistd.h.
const ARM64 = ["RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "TIME32_SYSCALLS", "SYS_CLONE3", "MEMFD_SECRET"];
test(
  "SYSCALLS has the numbers of aarch64",
  Object.fromEntries(calls.map(([name, [, number]]) => [`__NR_${name}`, number])),
  {
    includes: ["asm-generic/unistd.h"],
    defines: ["#include <asm/bitsperlong.h>", ...ARM64.map((word) => `#define __ARCH_WANT_${word}`)],
  },
);

Deno.test("syscallNumber() answers for the architecture", () => {
  deepEqual([abi.syscallNumber("execve", "x86_64"), abi.syscallNumber("execve", "aarch64")], [59, 221]);
});

test("ERRNO has the numbers of errno.h", abi.ERRNO, { includes: ["errno.h"] });

const NATIVE = Deno.build.arch as "x86_64" | "aarch64";
test("O has the numbers of fcntl.h", {
  ...prefixed("O_", abi.O),
  O_DIRECTORY: abi.O_DIRECTORY[NATIVE],
  O_NOFOLLOW: abi.O_NOFOLLOW[NATIVE],
}, { includes: ["fcntl.h"] });

const MOUNT_H = { includes: ["linux/mount.h", "linux/fcntl.h"] };
test("AT has the numbers of fcntl.h", {
  ...prefixed("AT_", kernel.AT),
  AT_FDCWD: kernel.AT_FDCWD.value,
}, { includes: ["linux/fcntl.h"] });
test("CLONE has the numbers of sched.h", prefixed("CLONE_", kernel.CLONE), { includes: ["linux/sched.h"] });
test("NAMESPACE_FLAG has the numbers of sched.h", {
  CLONE_NEWPID: kernel.NAMESPACE_FLAG.pid,
  CLONE_NEWNET: kernel.NAMESPACE_FLAG.network,
  CLONE_NEWNS: kernel.NAMESPACE_FLAG.mount,
  CLONE_NEWIPC: kernel.NAMESPACE_FLAG.ipc,
  CLONE_NEWUTS: kernel.NAMESPACE_FLAG.uts,
  CLONE_NEWUSER: kernel.NAMESPACE_FLAG.user,
  CLONE_NEWCGROUP: kernel.NAMESPACE_FLAG.cgroup,
  CLONE_NEWTIME: kernel.NAMESPACE_FLAG.time,
}, { includes: ["linux/sched.h"] });
test("RESOLVE has the numbers of openat2.h", prefixed("RESOLVE_", kernel.RESOLVE), {
  includes: ["linux/openat2.h"],
});
test("MOUNT_ATTR has the numbers of mount.h", {
  ...prefixed("MOUNT_ATTR_", kernel.MOUNT_ATTR),
  MOUNT_ATTR__ATIME: kernel.MOUNT_ATTR_ATIME,
}, MOUNT_H);
test("PROPAGATION has the numbers of mount.h", prefixed("MS_", kernel.PROPAGATION), MOUNT_H);
test("the constants of the mount interface have the numbers of mount.h", {
  ...prefixed("OPEN_TREE_", kernel.OPEN_TREE),
  ...prefixed("MOVE_MOUNT_", kernel.MOVE_MOUNT),
  FSOPEN_CLOEXEC: kernel.FSOPEN_CLOEXEC.value,
  FSMOUNT_CLOEXEC: kernel.FSMOUNT_CLOEXEC.value,
}, MOUNT_H);
// These are members of an enum.
test("FSCONFIG has the numbers of mount.h", {
  "(FSCONFIG_SET_FLAG)": kernel.FSCONFIG.SET_FLAG,
  "(FSCONFIG_SET_STRING)": kernel.FSCONFIG.SET_STRING,
  "(FSCONFIG_CMD_CREATE)": kernel.FSCONFIG.CMD_CREATE,
}, MOUNT_H);
test("MNT_DETACH has the number of sys/mount.h", { "(MNT_DETACH)": kernel.MNT_DETACH.value }, {
  includes: ["sys/mount.h"],
});
test("CLOSE_RANGE_CLOEXEC has the number of close_range.h", {
  CLOSE_RANGE_CLOEXEC: kernel.CLOSE_RANGE_CLOEXEC.value,
}, { includes: ["linux/close_range.h"] });
const { CAPBSET_DROP, ...PR } = kernel.PR;
test("PR has the numbers of prctl.h", { ...prefixed("PR_", PR), PR_CAPBSET_DROP: CAPBSET_DROP }, {
  includes: ["sys/prctl.h"],
});
// Debian 12's header is of version 2.
const LANDLOCK_H = { includes: ["linux/landlock.h"] };
const SINCE_3 = [
  "LANDLOCK_ACCESS_FS_TRUNCATE",
  "LANDLOCK_ACCESS_FS_IOCTL_DEV",
  ...Object.keys(prefixed("LANDLOCK_ACCESS_NET_", kernel.LANDLOCK_ACCESS_NET)),
  ...Object.keys(prefixed("LANDLOCK_SCOPE_", kernel.LANDLOCK_SCOPE)),
];
test(
  "the constants of Landlock have the numbers of landlock.h",
  {
    ...prefixed("LANDLOCK_ACCESS_FS_", kernel.LANDLOCK_ACCESS_FS),
    ...prefixed("LANDLOCK_ACCESS_NET_", kernel.LANDLOCK_ACCESS_NET),
    ...prefixed("LANDLOCK_SCOPE_", kernel.LANDLOCK_SCOPE),
    "(LANDLOCK_RULE_PATH_BENEATH)": kernel.LANDLOCK_RULE.PATH_BENEATH,
  },
  LANDLOCK_H,
  SINCE_3,
);
test("SIGKILL has the number of signal.h", { SIGKILL: kernel.SIGKILL.value }, { includes: ["signal.h"] });
test("S has the numbers of stat.h", {
  "(S_IFIFO)": kernel.S.IFIFO,
  "(S_IFCHR)": kernel.S.IFCHR,
  "(S_IFBLK)": kernel.S.IFBLK,
}, { includes: ["sys/stat.h"] });
test(
  "CAPABILITIES are in the order of capability.h",
  Object.fromEntries(CAPABILITIES.map((name, number) => [name, number])),
  { includes: ["linux/capability.h"] },
);

const PAIRS = [[0, 0], [1, 3], [5, 255], [8, 256], [255, 4095], [259, 70000], [4095, 0xfffff], [
  511,
  511,
]] as const;
test(
  "deviceNumber() agrees with makedev()",
  Object.fromEntries(PAIRS.map(([major, minor]) => [
    `(unsigned)gnu_dev_makedev(${major}, ${minor})`,
    kernel.deviceNumber(major, minor),
  ])),
  { includes: ["sys/sysmacros.h"] },
);
