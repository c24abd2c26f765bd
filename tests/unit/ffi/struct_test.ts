import { deepEqual, equal, ok } from "node:assert/strict";
import type { Struct } from "../../../runtime/plan/op.ts";
import { plan } from "../../../runtime/plan/plan.ts";
import { evaluate, hasCompiler } from "../../helpers/c_program.ts";
import { everythingRequest, structs } from "../../helpers/plan_samples.ts";

/** What a struct of a plan is in C: its type, the members by our names, and its size where the kernel is told it. */
interface Layout {
  readonly type: string;
  readonly members: Readonly<Record<string, string>>;
  readonly size?: boolean;
}

const same = (...names: string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, name]));
const LAYOUTS: Readonly<Record<string, Layout>> = {
  open_how: { type: "struct open_how", members: same("flags", "mode", "resolve"), size: true },
  mount_attr: {
    type: "struct mount_attr",
    members: same("attr_set", "attr_clr", "propagation", "userns_fd"),
    size: true,
  },
  clone_args: {
    type: "struct clone_args",
    members: same(
      ..."flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size cgroup"
        .split(" "),
    ),
    size: true,
  },
  sched_attr: {
    type: "struct sched_attr",
    members: same(
      ..."size sched_policy sched_flags sched_nice sched_priority sched_runtime sched_deadline sched_period"
        .split(" "),
    ),
  },
  rlimit: { type: "struct rlimit64", members: { cur: "rlim_cur", max: "rlim_max" }, size: true },
  ifreq: { type: "struct ifreq", members: { name: "ifr_name", flags: "ifr_flags" }, size: true },
  msghdr: {
    type: "struct msghdr",
    members: {
      name: "msg_name",
      namelen: "msg_namelen",
      iov: "msg_iov",
      iovlen: "msg_iovlen",
      control: "msg_control",
      controllen: "msg_controllen",
      flags: "msg_flags",
    },
    size: true,
  },
  cmsghdr: { type: "struct cmsghdr", members: { len: "cmsg_len", level: "cmsg_level", type: "cmsg_type" } },
  iovec: { type: "struct iovec", members: { base: "iov_base", len: "iov_len" }, size: true },
  winsize: {
    type: "struct winsize",
    members: { row: "ws_row", col: "ws_col", xpixel: "ws_xpixel", ypixel: "ws_ypixel" },
    size: true,
  },
  sock_fprog: { type: "struct sock_fprog", members: same("len", "filter"), size: true },
};
const C = {
  // Both the kernel's and the C library's headers have this one.
  defines: ["#define sched_param linux_sched_param", "#include <linux/sched/types.h>", "#undef sched_param"],
  includes: [
    ..."sys/socket.h sys/ioctl.h sys/uio.h sys/resource.h sys/epoll.h sys/un.h sys/time.h signal.h poll.h termios.h spawn.h"
      .split(" "),
    ..."net/if.h time.h linux/openat2.h linux/mount.h linux/sched.h linux/filter.h linux/stat.h"
      .split(" "),
  ],
};

/** Where each member begins, and where the last one ends. */
function offsets({ members }: Struct): Map<string, number> {
  let at = 0;
  const found = new Map(members.map(([name, size]) => [name, (at += size) - size]));
  return found.set("", at);
}

Deno.test({
  name: "plan() writes structs as C lays them out",
  ignore: !hasCompiler,
  fn: () => {
    const seen = structs(plan(everythingRequest()));
    const expressions = Object.values(LAYOUTS).flatMap(({ type, members }) => [
      `(sizeof(${type}))`,
      ...Object.values(members).map((member) => `(offsetof(${type}, ${member}))`),
    ]);
    const real = evaluate(expressions, C);
    for (const [name, { type, members, size }] of Object.entries(LAYOUTS)) {
      const found = seen.get(name);
      ok(found, `no plan has a struct ${name}`);
      const ours = offsets(found);
      for (const [our, theirs] of Object.entries(members)) {
        equal(BigInt(ours.get(our)!), real.get(`(offsetof(${type}, ${theirs}))`), `${name}.${our}`);
      }
      if (size) equal(BigInt(ours.get("")!), real.get(`(sizeof(${type}))`), `size of ${name}`);
    }
    const known = new Set([...Object.keys(LAYOUTS), "message", "int", "errno names", "pollfd[2]"]);
    deepEqual([...seen.keys()].filter((name) => !known.has(name)), []);
  },
});

/** Sizes and offsets that are written as numbers. */
const NUMBERS: readonly (readonly [where: string, expression: string, value: number])[] = [
  ["ffi/process.ts: the file actions of spawn()", "sizeof(posix_spawn_file_actions_t)", 80],
  ["ffi/process.ts: usage", "sizeof(struct rusage)", 18 * 8],
  ["ffi/process.ts: usage[0]", "offsetof(struct rusage, ru_utime)", 0],
  ["ffi/process.ts: usage[2]", "offsetof(struct rusage, ru_stime)", 16],
  ["ffi/process.ts: usage[4]", "offsetof(struct rusage, ru_maxrss)", 32],
  ["ffi/socket.ts: header", "sizeof(struct msghdr)", 7 * 8],
  ["ffi/socket.ts: header[5]", "offsetof(struct msghdr, msg_controllen)", 40],
  ["ffi/socket.ts: CONTROL_BYTES", "CMSG_SPACE(sizeof(int))", 24],
  ["ffi/socket.ts: the type in control", "offsetof(struct cmsghdr, cmsg_type)", 12],
  ["ffi/socket.ts: the descriptor in control", "CMSG_LEN(0)", 16],
  ["ffi/socket.ts: a descriptor's length", "CMSG_LEN(sizeof(int))", 20],
  ["ffi/socket.ts: struct sockaddr_un", "sizeof(struct sockaddr_un)", 2 + 108],
  [
    "runtime/launch/reactor.ts: EVENT_BYTES",
    "sizeof(struct epoll_event)",
    Deno.build.arch === "x86_64" ? 12 : 16,
  ],
  [
    "runtime/launch/reactor.ts: DATA_OFFSET",
    "offsetof(struct epoll_event, data)",
    Deno.build.arch === "x86_64" ? 4 : 8,
  ],
  ["runtime/launch/reactor.ts: after()", "sizeof(struct itimerspec)", 4 * 8],
  ["runtime/plan/launcher.ts: pollfd[2]", "sizeof(struct pollfd)", 8],
  ["runtime/plan/launcher.ts: pollFd()", "offsetof(struct pollfd, events)", 4],
  ["runtime/plan/launcher.ts: siginfo", "sizeof(siginfo_t)", 128],
  ["runtime/plan/launcher.ts: init:status", "offsetof(siginfo_t, si_status)", 24],
  ["runtime/plan/launcher.ts: init:end", "offsetof(siginfo_t, si_code)", 8],
  ["runtime/plan/devices.ts: statx", "sizeof(struct statx)", 256],
  ["runtime/plan/devices.ts: stx_rdev_major", "offsetof(struct statx, stx_rdev_major)", 128],
  ["runtime/plan/devices.ts: stx_rdev_minor", "offsetof(struct statx, stx_rdev_minor)", 132],
  ["runtime/plan/devices.ts: STATX_TYPE", "STATX_TYPE", 1],
  ["runtime/plan/limits.ts: an rlimit that is none", "RLIM64_INFINITY == ~0ULL", 1],
  ["runtime/plan/process.ts: struct sock_filter", "sizeof(struct sock_filter)", 8],
];

Deno.test({
  name: "sizes and offsets of C structs are as C prints them",
  ignore: !hasCompiler,
  fn: () => {
    const real = evaluate(NUMBERS.map(([, expression]) => `(${expression})`), C);
    const wrong = NUMBERS.filter(([, expression, value]) => real.get(`(${expression})`) !== BigInt(value));
    deepEqual(wrong.map(([where, expression]) => `${where}: ${real.get(`(${expression})`)}`), []);
  },
});

Deno.test({
  name: "resetSignals() writes the kernel's struct sigaction",
  ignore: !hasCompiler,
  fn: () => {
    const real = evaluate(["(sizeof(struct sigaction))", "(sizeof(sigset_t))"], {
      includes: ["asm/signal.h"],
    });
    deepEqual([...real.values()], [32n, 8n]);
  },
});
