import { deepEqual, ok } from "node:assert/strict";
import type { NamespaceType, UntrustedOptions } from "../../mod.ts";
import { MOUNTS, NEW, type Part, type TestBundle } from "../helpers/launch_bundle.ts";
import { all, bind, type Request } from "../helpers/untrusted_bundle.ts";

/** Something that a hostile bundle tries. */
export interface Attack {
  readonly name: string;
  /** What the bundle asks for; `outside` is a directory of the host with a file `secret`. */
  readonly asks: (bundle: TestBundle, outside: string) => Request;
  readonly script: string;
  /** What the program finds where the bundle is trusted; without it, trust does not get it either. */
  readonly trusted?: RegExp;
  readonly untrusted: RegExp;
  readonly allows?: UntrustedOptions;
  /** What must be true on the host afterwards. */
  readonly after?: (bundle: TestBundle, outside: string) => void;
}

function without(type: NamespaceType): Part {
  return { linux: { namespaces: NEW.filter((each) => each !== type).map((each) => ({ type: each })) } };
}

const secret = { script: "cat /x/secret || echo none", trusted: /the host's secret/, untrusted: /^none$/m };
/** The host's namespace of a kind, as a link shows it. */
const hosts = (kind: string): RegExp => new RegExp(RegExp.escape(Deno.readLinkSync(`/proc/self/ns/${kind}`)));
const NOT_HOSTS = /^\w+:\[\d+\]\nown$/;

function shared(kind: string, type: NamespaceType): Attack {
  const host = Deno.readLinkSync(`/proc/self/ns/${kind}`);
  return {
    name: `share the host's ${type} namespace`,
    asks: () => without(type),
    script: `readlink /proc/self/ns/${kind}; [ "$(readlink /proc/self/ns/${kind})" = '${host}' ] || echo own`,
    trusted: hosts(kind),
    untrusted: NOT_HOSTS,
  };
}

/** Each is shown to work where the bundle is trusted, if it names what the program finds then. */
export const ATTACKS: readonly Attack[] = [
  { name: "bind a directory of the host", asks: (_, outside) => all(bind(outside, "ro")), ...secret },
  {
    name: "bind a directory of the host through a link in the bundle",
    asks: ({ path }, outside) => (Deno.symlinkSync(outside, `${path}/link`), all(bind("link", "ro"))),
    ...secret,
  },
  {
    name: "bind a directory of the host through a link among its directories",
    asks: ({ path }, outside) => {
      Deno.symlinkSync(outside.replace(/\/[^/]+$/, ""), `${path}/link`);
      return all(bind(`link/${outside.split("/").at(-1)}`, "ro"));
    },
    ...secret,
  },
  {
    name: "bind a directory that climbs out of the bundle",
    asks: (_, outside) => all(bind(`../${outside.split("/").slice(-2).join("/")}`, "ro")),
    ...secret,
  },
  {
    name: "lay an overlay over a directory of the host",
    asks: (_, outside) =>
      all({ destination: "/x", type: "overlay", options: [`lowerdir=${outside}:/usr/share/zoneinfo`] }),
    ...secret,
  },
  {
    name: "write into the bundle",
    asks: ({ path }) => (Deno.mkdirSync(`${path}/data`), all(bind("data", "rw"))),
    script: "echo x > /x/file || echo refused",
    trusted: /^$/,
    untrusted: /^refused$/,
    after: ({ path }) => deepEqual([...Deno.readDirSync(`${path}/data`)], []),
  },
  {
    name: "write where only reading is allowed",
    asks: (_, outside) => all(bind(outside)),
    script: "cat /x/secret; echo x > /x/file || echo refused",
    trusted: /the host's secret/,
    untrusted: /the host's secretrefused/,
    allows: { binds: [{ path: "OUTSIDE" }] },
    after: (_, outside) => deepEqual([...Deno.readDirSync(outside)].map(({ name }) => name), ["secret"]),
  },
  {
    name: "bind a fifo",
    asks: ({ path }) => {
      ok(new Deno.Command("mkfifo", { args: [`${path}/fifo`] }).outputSync().success);
      return all(bind("fifo"));
    },
    script: "[ -p /x ] && echo fifo || echo none",
    trusted: /^fifo$/,
    untrusted: /^none$/,
  },
  {
    name: "run a set-user-id program of an allowed directory, where the bundle asks for suid",
    asks: (_, outside) => all(bind(outside, "ro", "suid", "dev")),
    script: "grep ' /x ' /proc/mounts",
    trusted: /^(?!.*nosuid)/,
    untrusted: /nosuid,nodev/,
    allows: { binds: [{ path: "OUTSIDE" }] },
  },
  {
    name: "join the host's network",
    asks: () => ({
      linux: {
        namespaces: NEW.map((type) => type === "network" ? { type, path: "/proc/self/ns/net" } : { type }),
      },
    }),
    script: shared("net", "network").script,
    trusted: hosts("net"),
    untrusted: NOT_HOSTS,
  },
  shared("uts", "uts"),
  shared("ipc", "ipc"),
  shared("net", "network"),
  {
    name: "be root of the host by an id map",
    asks: () => ({
      linux: {
        namespaces: [...NEW, "user" as const].map((type) => ({ type })),
        uidMappings: [{ containerID: 0, hostID: 0, size: 65_536 }],
        gidMappings: [{ containerID: 0, hostID: 0, size: 65_536 }],
      },
    }),
    script: "cat /proc/self/uid_map",
    trusted: /^ *0 +0 /,
    untrusted: /^ *0 +[1-9]\d{7,} +65536$/,
  },
  {
    name: "run a hook on the host",
    asks: (_, outside) => ({
      hooks: { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", `echo x > ${outside}/hooked`] }] },
    }),
    script: "echo ran",
    untrusted: /^ran$/,
    after: (_, outside) => deepEqual([...Deno.readDirSync(outside)].map(({ name }) => name), ["secret"]),
  },
  {
    name: "mount a second proc, where nothing is masked",
    asks: () => all({ destination: "/p", type: "proc" }),
    script: "[ -e /p/self ] && echo proc || echo none",
    trusted: /^proc$/,
    untrusted: /^none$/,
  },
  {
    name: "read what every sandbox is kept from",
    asks: () => ({}),
    script: "wc -c < /proc/keys; grep -c ' /proc/keys ' /proc/mounts",
    trusted: /^[1-9]\d*\n0$/,
    untrusted: /^0\n1$/,
  },
  {
    name: "switch the kernel",
    asks: () => ({}),
    script: "grep -c ' /proc/sys proc ro,' /proc/mounts",
    trusted: /^0$/,
    untrusted: /^1$/,
  },
  {
    name: "look at the cgroups of others",
    asks: () => ({
      ...all({ destination: "/sys/fs/cgroup", type: "cgroup" }),
      linux: {
        namespaces: [...NEW, "cgroup" as const].map((type) => ({ type })),
        resources: { pids: { limit: 100 } },
      },
    }),
    script: "find /sys/fs/cgroup -name cgroup.procs | grep -c .",
    trusted: /^[1-9]/,
    untrusted: /^[01]$/,
  },
  {
    name: "write to sysfs",
    asks: () => ({
      mounts: MOUNTS.map((each) => each.type === "sysfs" ? { ...each, options: ["rw"] } : each),
    }),
    script: "grep ' /sys ' /proc/mounts",
    trusted: /sysfs rw/,
    untrusted: /sysfs ro/,
  },
  {
    name: "fill the host's memory with files",
    asks: () => all({ destination: "/x", type: "tmpfs", options: ["size=1t", "nr_inodes=0"] }),
    script: "df -k /x | tail -n 1 | tr -s ' ' | cut -d' ' -f2",
    trusted: /^1073741824$/,
    untrusted: /^\d{1,6}$/,
  },
  {
    name: "make the host's devices",
    asks: () => ({
      linux: {
        namespaces: NEW.map((type) => ({ type })),
        devices: [{ type: "c", path: "/dev/mem", major: 1, minor: 1 }],
      },
    }),
    script: "[ -e /dev/mem ] && echo device || echo none",
    trusted: /^device$/,
    untrusted: /^none$/,
  },
  {
    name: "have every capability, and gain more",
    asks: () => ({}),
    script: "grep -E 'CapBnd|CapAmb|NoNewPrivs' /proc/self/status | tr -d '\\t'",
    trusted: /CapBnd:000000.*[1-9a-f].*NoNewPrivs:0/s,
    untrusted: /^CapBnd:00000000000004fb\nCapAmb:0{16}\nNoNewPrivs:1$/,
  },
  {
    name: "be killed last",
    asks: () => ({ process: { oomScoreAdj: -500 } }),
    script: "cat /proc/self/oom_score_adj",
    untrusted: /^500$/, // as the policy has it at least
  },
  {
    name: "run first, read first",
    asks: () => ({
      process: {
        scheduler: { policy: "SCHED_OTHER", nice: -10 },
        ioPriority: { class: "IOPRIO_CLASS_RT", priority: 0 },
      },
    }),
    script: "cut -d' ' -f19 /proc/self/stat; ionice -p $$",
    trusted: /^-10\nrealtime/,
    untrusted: /^0\n(none|best-effort)/,
  },
  {
    name: "have limits above the caller's",
    asks: () => ({ process: { rlimits: [{ type: "RLIMIT_CORE", soft: 2 ** 40, hard: 2 ** 40 }] } }),
    script: "grep core /proc/self/limits | tr -s ' '",
    trusted: /1099511627776 1099511627776/,
    untrusted: / 0 0 /,
  },
  {
    name: "set a kernel parameter",
    asks: () => ({
      linux: { namespaces: NEW.map((type) => ({ type })), sysctl: { "net.ipv4.ip_default_ttl": "7" } },
    }),
    script: "cat /proc/sys/net/ipv4/ip_default_ttl",
    trusted: /^7$/,
    untrusted: /^64$/,
  },
  {
    name: "be another machine",
    asks: () => ({
      linux: { namespaces: NEW.map((type) => ({ type })), personality: { domain: "LINUX32" } },
    }),
    script: "cat /proc/self/personality",
    trusted: /^0*8$/,
    untrusted: /^0+$/,
  },
  {
    name: "ask an agent of the host about system calls",
    asks: (_, outside) => ({
      linux: {
        namespaces: NEW.map((type) => ({ type })),
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          listenerPath: `${outside}/agent`,
          syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
        },
      },
    }),
    script: "mkdir /tmp/x && echo made || echo refused",
    untrusted: /^refused$/,
  },
  {
    name: "spread mounts",
    asks: () => ({ linux: { namespaces: NEW.map((type) => ({ type })), rootfsPropagation: "shared" } }),
    script: "grep -c shared: /proc/self/mountinfo",
    trusted: /^[1-9]/,
    untrusted: /^0$/,
  },
];
