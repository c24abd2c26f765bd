import { ERRNO } from "../plan/abi.ts";
import { NAMESPACES, type NamespaceType, SECCOMP_ACTIONS } from "../spec/words.ts";
import { type Facts, PROBED_CALLS, type ProbedCall } from "./facts.ts";
import { type Answer, asRoot, install, newerKernel, type Row, row } from "./row.ts";

const [MAJOR, MINOR] = [5, 12];
const NOTHING_RUNS = "nothing runs";

/** What the kernel itself must have. */
export const KERNEL_CHECKS: readonly ((facts: Facts) => Row | readonly Row[])[] = [
  architecture,
  kernel,
  calls,
  namespaces,
  tmpfs,
  overlayfs,
  seccomp,
  libseccomp,
  libnftables,
  landlock,
];

function architecture({ arch }: Facts): Row {
  const known = arch === "x86_64" || arch === "aarch64";
  return row("architecture", [known ? "ok" : "missing", arch], {
    costs: NOTHING_RUNS,
    remedy: "use a machine with x86_64 or aarch64",
    essential: true,
  });
}

function kernel(facts: Facts): Row {
  const { release } = facts.settings;
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release ?? "")?.map(Number) ?? [];
  const answer = major === undefined || minor === undefined
    ? "unknown"
    : major > MAJOR || (major === MAJOR && minor >= MINOR)
    ? "ok"
    : "missing";
  const found = `Linux ${release ?? "of unknown version"}`;
  const remedy = newerKernel(facts);
  return row("kernel 5.12", [answer, found], { costs: NOTHING_RUNS, remedy, essential: true });
}

/** A call that a user may not make looks like one that a filter around us forbids, unless a sandbox could be made. */
function calls(facts: Facts): Row[] {
  const names: Record<ProbedCall, string> = {
    clone3: "clone3",
    openat2: "openat2",
    fsopen: "new mount calls (fsopen)",
    mount_setattr: "mount_setattr",
  };
  return PROBED_CALLS.map((call) => {
    const errno = facts.calls[call];
    const refused = errno === ERRNO.EPERM && !facts.trials.sandbox.works;
    const found: [Answer, string] = errno === ERRNO.ENOSYS
      ? ["missing", "the kernel, or a filter around this process, does not know it"]
      : refused
      ? ["unknown", "not permitted, which hides whether it is there"]
      : ["ok", "the kernel knows it"];
    const around = "or, in a container, allow it in the container's seccomp profile";
    const remedy = `${newerKernel(facts)}; ${around}`;
    return row(names[call], found, { costs: NOTHING_RUNS, remedy, essential: true });
  });
}

/** How /proc/self/ns calls a namespace, where it differs. */
const FILES: Partial<Record<NamespaceType, string>> = { mount: "mnt", network: "net" };

function namespaces(facts: Facts): Row[] {
  return NAMESPACES.map((type) => {
    const there = facts.namespaces?.includes(FILES[type] ?? type);
    const found: [Answer, string] = there === undefined
      ? ["unknown", "/proc/self/ns cannot be read"]
      : there
      ? ["ok", "the kernel has it"]
      : ["missing", "the kernel was built without it"];
    // Without rights every sandbox takes a user namespace; the time namespace is for bundles that ask for one.
    const essential = type === "user" ? !facts.privileged : type !== "time";
    const costs = essential ? NOTHING_RUNS : `bundles that ask for a ${type} namespace fail`;
    return row(`${type} namespaces`, found, { costs, remedy: newerKernel(facts), essential });
  });
}

function tmpfs(facts: Facts): Row {
  const there = facts.fileSystems?.includes("tmpfs");
  const found: [Answer, string] = there === undefined
    ? ["unknown", "/proc/filesystems cannot be read"]
    : there
    ? ["ok", "the kernel has it"]
    : ["missing", "the kernel was built without it"];
  return row("tmpfs", found, { costs: NOTHING_RUNS, remedy: newerKernel(facts), essential: true });
}

function overlayfs(facts: Facts): Row[] {
  const { sandbox, overlay, userns } = facts.trials;
  const absent = facts.fileSystems && !facts.fileSystems.includes("overlay");
  const load = asRoot(facts, "modprobe overlay");
  const plain: [Answer, string] = overlay.works
    ? ["ok", "a bundle was mounted under one"]
    : sandbox.works || absent
    ? ["missing", overlay.says]
    : ["unknown", "no sandbox can be made to try it"];
  const costs = "bundles run only with --overlay none, and then change their rootfs";
  const rows = [row("overlayfs", plain, { costs, remedy: absent ? load : newerKernel(facts) })];
  // For everybody but root the first trial was made in a user namespace already.
  if (!facts.privileged) return rows;
  const nested: [Answer, string] = userns.works
    ? ["ok", "a bundle was mounted under one"]
    : overlay.works
    ? ["missing", userns.says]
    : ["unknown", "no overlay can be made to try it"];
  const lack = {
    costs: "bundles with a user namespace fail, or run only with --overlay none",
    remedy: facts.settings.usernsMost === "0"
      ? asRoot(facts, "sysctl -w user.max_user_namespaces=10000")
      : newerKernel(facts),
  };
  return [...rows, row("overlayfs in a user namespace", nested, lack)];
}

function seccomp(facts: Facts): Row {
  const there = facts.settings.seccompActions?.split(/\s+/);
  const wanted = [...new Set(SECCOMP_ACTIONS.map(kernelsName))];
  const lacking = wanted.filter((name) => !there?.includes(name));
  const found: [Answer, string] = there === undefined
    ? ["unknown", "/proc/sys/kernel/seccomp/actions_avail cannot be read"]
    : lacking.length === 0
    ? ["ok", `the kernel knows every action`]
    : ["missing", `the kernel does not know: ${lacking.join(", ")}`];
  const costs = "bundles with a seccomp filter fail";
  return row("seccomp", found, { costs, remedy: newerKernel(facts) });
}

/** `SCMP_ACT_KILL_PROCESS` → `kill_process`, as the kernel lists them. */
function kernelsName(action: string): string {
  const name = action.replace("SCMP_ACT_", "").toLowerCase();
  return { kill: "kill_thread", notify: "user_notif" }[name] ?? name;
}

function libseccomp(facts: Facts): Row {
  const found: [Answer, string] = facts.libseccomp
    ? ["ok", "libseccomp.so.2 can be opened"]
    : ["missing", "libseccomp.so.2 cannot be opened"];
  const costs = "programs without a bundle, policies, and bundles with a seccomp filter are refused";
  return row("libseccomp", found, { costs, remedy: install(facts, "libseccomp2") });
}

function libnftables(facts: Facts): Row {
  const found: [Answer, string] = facts.libnftables
    ? ["ok", "libnftables.so.1 can be opened"]
    : ["missing", "libnftables.so.1 cannot be opened"];
  const costs = "sandboxes with a network policy, or on a bridge, are refused";
  return row("libnftables", found, { costs, remedy: install(facts, "libnftables1") });
}

/** What `--landlock` and `--fallback landlock` take of its interface. */
const [LAYER_ABI, FALLBACK_ABI] = [2, 6];

function landlock(facts: Facts): Row[] {
  return [
    landlockFor(facts, "landlock", LAYER_ABI, "--landlock is refused, and policies do without that layer"),
    landlockFor(
      facts,
      "landlock for --fallback",
      FALLBACK_ABI,
      "where user namespaces are forbidden, programs cannot be run without them either",
    ),
  ];
}

function landlockFor(facts: Facts, name: string, least: number, costs: string): Row {
  const version = facts.landlock;
  const found: [Answer, string] = version === undefined
    ? ["unknown", "the kernel does not say"]
    : version >= least
    ? ["ok", `version ${version} of its interface`]
    : version > 0
    ? ["missing", `version ${version} of its interface, ${least} is needed`]
    : ["missing", "the kernel does not have it, or it was not enabled when the host started"];
  const remedy = version
    ? newerKernel(facts)
    : "add landlock to the list of the kernel parameter lsm= and restart";
  return row(name, found, { costs, remedy });
}
