import type { CgroupHierarchy } from "../host/facts.ts";
import type { Facts } from "./facts.ts";
import { type Answer, asRoot, install, type Row, row } from "./row.ts";
import { forbidden } from "./user_namespaces.ts";

const CAP_SYS_RESOURCE = 24n;

/** What this user and this system must allow or have. */
export const HOST_CHECKS: readonly ((facts: Facts) => Row | readonly Row[])[] = [
  rights,
  memoryFiles,
  sandbox,
  cgroups,
  resources,
  subordinates,
  images,
  criu,
];

function rights(facts: Facts): Row {
  const { privileged, trials: { sandbox, overlay, userns } } = facts;
  // Only a refusal that comes from the kernel says something about the rights.
  const works = sandbox.works || overlay.works || userns.works;
  const reason = forbidden(facts);
  const found: [Answer, string] = privileged
    ? ["ok", "root"]
    : works
    ? ["ok", "a user namespace was made"]
    : reason
    ? ["missing", reason.found]
    : ["unknown", "no sandbox can be made, and no setting is known that forbids user namespaces"];
  return row("root or user namespaces", found, {
    costs: "nothing runs",
    remedy: reason?.remedy ??
      "run it as root; in a container, allow clone3 and mounts in its seccomp profile",
    essential: true,
  });
}

function sandbox({ trials: { sandbox } }: Facts): Row {
  const found: [Answer, string] = sandbox.works ? ["ok", "one was made"] : ["missing", sandbox.says];
  return row("a sandbox for a program", found, {
    costs: "nothing runs",
    remedy: "mend what is missing above; if nothing is, report this line as a defect",
    essential: true,
  });
}

/** `vm.memfd_noexec=2` is a protection that may stay: files without names in /tmp take the place of memory files. */
function memoryFiles({ settings: { memfdNoexec }, trials: { sandbox } }: Facts): Row {
  const found: [Answer, string] = memfdNoexec !== "2"
    ? ["ok", "memory files may be executed"]
    : sandbox.works
    ? ["ok", "vm.memfd_noexec is 2; files without names in /tmp take their place"]
    : ["unknown", "vm.memfd_noexec is 2, and files in /tmp may not be executable"];
  return row("executable images", found, {
    costs: "nothing runs if /tmp is mounted noexec too",
    remedy: "if findmnt -no OPTIONS -T /tmp says noexec, mount a tmpfs without it for this program alone: " +
      "unshare --mount sh -c 'mount -t tmpfs -o mode=1777 tmpfs /tmp && exec runtime …'",
    essential: true,
  });
}

function cgroups(facts: Facts): Row[] {
  const found = facts.cgroups;
  const layout = found &&
    (found.every(({ version }) => version === 2)
      ? "version 2"
      : found.every(({ version }) => version === 1)
      ? "version 1"
      : "hybrid: controllers in version 1, processes in version 2");
  const there: [Answer, string] = found === undefined
    ? ["unknown", "/proc/self/mountinfo or /proc/self/cgroup cannot be read"]
    : found.length === 0
    ? ["missing", "none is mounted"]
    : ["ok", layout!];
  const second = found?.find(({ version }) => version === 2);
  const writable: [Answer, string] = found === undefined
    ? ["unknown", "the layout is unknown"]
    : second && facts.writableCgroups.includes(second.mountPoint)
    ? ["ok", `groups can be made in ${group(second)}`]
    : ["missing", second ? `no group can be made in ${group(second)}` : "there is no version 2"];
  const costs = facts.privileged
    ? "bundles without a pid namespace are refused, and nothing can be limited by cgroup"
    : "nothing can be limited by cgroup";
  const mount = asRoot(facts, "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
  const delegate = facts.uid === 0
    ? "mount -o remount,rw " + (second?.mountPoint ?? "/sys/fs/cgroup")
    : "systemd-run --user --scope -p Delegate=yes runtime …";
  return [
    row("cgroups", there, { costs, remedy: mount }),
    row("writable cgroup version 2", writable, { costs, remedy: second ? delegate : mount }),
  ];
}

function group({ mountPoint, own }: CgroupHierarchy): string {
  return own === "/" ? mountPoint : mountPoint + own;
}

function resources({ capabilities, uid }: Facts): Row {
  const there = capabilities === undefined ? undefined : ((capabilities >> CAP_SYS_RESOURCE) & 1n) === 1n;
  const found: [Answer, string] = there === undefined
    ? ["unknown", "/proc/self/status cannot be read"]
    : there
    ? ["ok", "this user has it"]
    : ["missing", "this user does not have it"];
  return row("CAP_SYS_RESOURCE", found, {
    costs: "bundles cannot have rlimits above this user's hard ones",
    remedy: uid === 0
      ? "give it to this container, as docker run --cap-add SYS_RESOURCE does"
      : "run it as root, or raise the limit of one shell: sudo prlimit --nofile=1048576 --pid $$",
  });
}

function subordinates(facts: Facts): Row {
  const found: [Answer, string] = facts.uid === 0
    ? ["ok", "root needs none"]
    : !facts.newuidmap
    ? ["missing", "newuidmap is not on PATH"]
    : facts.subordinate === undefined
    ? ["unknown", "/etc/subuid cannot be read"]
    : facts.subordinate
    ? ["ok", "newuidmap, and a range in /etc/subuid"]
    : ["missing", "/etc/subuid has no range for this user"];
  const add = `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "$(id -un)"`;
  return row("subordinate ids", found, {
    costs: "a bundle sees one user only: no further groups, no change of user inside",
    remedy: facts.newuidmap ? add : `${install(facts, "uidmap")} && ${add}`,
  });
}

function images({ images, uid }: Facts): Row {
  const found: [Answer, string] = images === undefined
    ? ["missing", "XDG_RUNTIME_DIR is not set"]
    : images.writable
    ? ["ok", `${images.directory} can be written to`]
    : ["missing", `${images.directory} cannot be written to`];
  return row("kept images", found, {
    costs: "each command plans its bundle anew, which takes some milliseconds",
    remedy: uid === 0
      ? "mount -t tmpfs -o mode=755 tmpfs /run"
      : "sudo loginctl enable-linger $(id -un); export XDG_RUNTIME_DIR=/run/user/$(id -u)",
  });
}

function criu({ criu }: Facts): Row {
  const found: [Answer, string] = criu === undefined
    ? ["missing", "it is not installed"]
    : criu.works === undefined
    ? ["unknown", `${criu.path}; only root can tell whether it works`]
    : criu.works
    ? ["ok", `${criu.path} works with this kernel`]
    : ["missing", `${criu.path} check: ${criu.says}`];
  return row("CRIU", found, {
    costs: "no snapshots, which this version does not make yet; all else works",
    remedy: criu === undefined
      ? "./setup"
      : criu.works === undefined
      ? `sudo ${criu.path} check`
      : `mend what \`${criu.path} check\` says: a newer CRIU by ./setup, or another kernel`,
  });
}
