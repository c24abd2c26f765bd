import { deepEqual } from "node:assert/strict";
import type { Policy } from "../../mod.ts";
import { builtinPolicy } from "../../runtime/policy/builtin.ts";
import { FAMILIES, NETLINK } from "../../runtime/policy/families.ts";
import { skip } from "../helpers/skip.ts";
import { type Form, inSandbox, onControl, Victims } from "./run_probes.ts";
import { attackTest } from "./setup.ts";

const DEFAULT = builtinPolicy("default");

/** `default` with a hole, and the probes that must see it: what they say of a sandbox without it is worth something. */
interface Hole {
  readonly what: string;
  readonly policy: Policy;
  readonly seen: string;
  readonly form?: Form;
  /** A setting of the host, and what it may be at most: beyond that the kernel shuts the hole itself. */
  readonly most?: readonly [file: string, value: number];
  readonly sharing?: string;
}

/** The policy that allows some calls in addition. */
function allowing(calls: string, more: Partial<Policy> = {}): Policy {
  const group = { name: "hole", action: "allow", reason: "a test", calls: calls.split(" ") } as const;
  return changed({ ...more, seccomp: { ...DEFAULT.seccomp, groups: [...DEFAULT.seccomp.groups, group] } });
}

/** The policy without some of its groups. */
function without(...names: readonly string[]): Policy {
  const groups = DEFAULT.seccomp.groups.filter(({ name }) => !names.includes(name));
  if (groups.length !== DEFAULT.seccomp.groups.length - names.length) throw new Error(`No group ${names}`);
  return changed({ seccomp: { ...DEFAULT.seccomp, groups } });
}

function changed(part: Partial<Policy>): Policy {
  return { ...DEFAULT, ...part, name: "hole" };
}

const [NO_LIMITS, SHARED] = [{ userLimits: { limits: {}, reason: "" } }, {
  namespaces: { own: [], reason: "" },
}];
const HOST_USERS = { userNamespace: { own: false, reason: "" } };
const ALL_SOCKETS = { families: Object.keys(FAMILIES), netlink: Object.keys(NETLINK), reason: "" };

const HOLES: readonly Hole[] = [
  { what: "user faults", policy: allowing("userfaultfd"), seen: "userfaultfd" },
  { what: "io_uring", policy: allowing("io_uring_setup"), seen: "io-uring" },
  {
    what: "keys",
    policy: allowing("add_key request_key keyctl"),
    seen: "add-key request-key session-keyring user-keyring",
  },
  {
    what: "execution domains",
    policy: allowing("personality"),
    seen: "personality-no-randomize personality-read-implies-exec personality-page-zero",
  },
  { what: "segments", policy: allowing("modify_ldt"), seen: "modify-ldt" },
  {
    what: "tracing",
    policy: allowing("ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd"),
    seen: "ptrace-traceme ptrace-seize process-vm-readv process-vm-writev kcmp pidfd-getfd",
  },
  { what: "handles", policy: allowing("name_to_handle_at"), seen: "name-to-handle" },
  {
    what: "events",
    policy: allowing("perf_event_open"),
    seen: "perf-event",
    most: ["perf_event_paranoid", 2],
  },
  { what: "hidden memory", policy: allowing("memfd_secret"), seen: "memfd-secret" },
  {
    what: "the placement of memory",
    policy: allowing("mbind set_mempolicy move_pages"),
    seen: "mbind set-mempolicy move-pages",
  },
  { what: "mount tables", policy: allowing("listmount statmount"), seen: "listmount statmount" },
  { what: "security modules", policy: allowing("lsm_list_modules"), seen: "lsm-list-modules" },
  { what: "quotas", policy: allowing("quotactl_fd"), seen: "quotactl-fd" },
  {
    what: "new user namespaces",
    policy: allowing("unshare clone clone3", NO_LIMITS),
    seen: "unshare-user clone-user clone3",
    most: ["apparmor_restrict_unprivileged_userns", 0],
  },
  {
    what: "all sockets",
    policy: changed({ sockets: ALL_SOCKETS }),
    seen: "af-alg af-vsock af-can af-bluetooth netlink-generic netlink-sock-diag netlink-netfilter",
  },
  {
    what: "rare protocols",
    policy: without("rare internet protocols", "rare internet protocols by the type of the socket"),
    seen: "sctp sctp-packets dccp mptcp udp-lite",
  },
  {
    what: "terminal injection",
    policy: without("terminal injection"),
    seen: "tiocsti tiocsti-wide tiocsti-signed tiocsetd",
  },
  { what: "protocols over TCP", policy: without("upper layer protocols"), seen: "tcp-ulp" },
  {
    what: "set-user-id by chmod",
    policy: without("set-user-id files"),
    seen: "setuid-chmod setuid-fchmod setuid-creat",
  },
  {
    what: "set-user-id at a directory",
    policy: without("set-user-id files at a directory"),
    seen: "setuid-fchmodat setgid-fchmodat setuid-fchmodat2 setuid-wide setuid-mknodat",
  },
  { what: "set-user-id by openat", policy: without("set-user-id files by openat"), seen: "setuid-openat" },
  { what: "openat2", policy: allowing("openat2"), seen: "setuid-openat2" },
  {
    what: "files that tell of the host",
    policy: changed({ maskedPaths: { paths: [], reason: "" } }),
    seen: "vmcoreinfo file-locks diskstats command-line interrupts",
    form: "bundle",
  },
  {
    what: "core dumps",
    policy: changed({ rlimits: { limits: [], reason: "" } }),
    seen: "core-limit",
    form: "bundle",
  },
  {
    what: "files shared to be written",
    policy: DEFAULT,
    seen: "shared-write shared-truncate shared-chmod shared-times",
    sharing: "rw",
  },
  {
    what: "devices among shared files",
    policy: DEFAULT,
    seen: "planted-device planted-disk",
    sharing: "dev",
  },
  {
    what: "the host's users",
    policy: changed({ ...HOST_USERS, landlock: false }),
    seen: "host-root foreign-user foreign-group foreign-groups foreign-owner",
    form: "bundle",
  },
  {
    what: "the host's namespaces",
    policy: changed({ ...SHARED, ...HOST_USERS, landlock: false }),
    // Not environment-of-neighbour: a sandbox's user namespace is its own user's, not the host's root's.
    seen:
      "signal pidfd process-list abstract-socket loopback sysv-memory sysv-queue host-interfaces host-name",
    form: "bundle",
  },
];

function setting(file: string): number {
  try {
    return Number(Deno.readTextFileSync(`/proc/sys/kernel/${file}`));
  } catch {
    return 0; // this kernel has no such setting
  }
}

for (const { what, policy, seen, most, form = "command", sharing = "ro" } of HOLES) {
  attackTest(`the probes see a policy that lets through ${what}`, async (world) => {
    if (most && setting(most[0]) > most[1]) return skip(`needs kernel.${most[0]} of at most ${most[1]}`);
    // What this kernel lacks cannot be seen.
    const known = await onControl(world, seen.split(" "));
    const names = seen.split(" ").filter((name) => known.get(name)?.state === "open");
    if (names.length === 0) return skip(`needs a kernel with ${what}`);
    await using victims = await Victims.start(world, "default");
    const verdicts = await inSandbox(world, names, { policy, form, sharing, victims: victims.pids });
    const unseen = names.filter((name) => verdicts.get(name)?.state !== "open");
    deepEqual(unseen.map((name) => `${name}: ${verdicts.get(name)?.why}`), []);
  });
}
