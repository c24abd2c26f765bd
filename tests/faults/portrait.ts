import { cgroups } from "../../runtime/host/probe.ts";

/** Lines of /proc/<pid>/status that say what a process may do. */
const STATUS =
  /^(Umask|Uid|Gid|Groups|NSpid|Threads|SigBlk|SigIgn|Cap\w+|NoNewPrivs|Seccomp\w*|Cpus_allowed):/;
/** Files of cgroups that say what the processes in them may use. */
const LIMITS = [
  "memory.limit_in_bytes",
  "memory.max",
  "memory.swap.max",
  "pids.max",
  "cpu.shares",
  "cpu.weight",
  "cpu.max",
  "cpu.cfs_quota_us",
  "devices.list",
  "cpuset.cpus",
  "freezer.state",
  "cgroup.freeze",
];

/** All that can be seen from outside of a container and its first process, but for what differs from one to the next. */
export function portrait(pid: number): string[] {
  const proc = (name: string): string => Deno.readTextFileSync(`/proc/${pid}/${name}`);
  return [
    ...proc("status").split("\n").filter((line) => STATUS.test(line)).map(withoutPid),
    ...proc("mountinfo").trim().split("\n").map((line) => `mount ${mountOf(line)}`),
    ...proc("limits").trim().split("\n").map((line) => `limit ${line}`),
    ...["oom_score_adj", "cmdline", "environ", "uid_map", "gid_map", "cgroup", "setgroups"].map((name) => {
      return `${name} ${proc(name).trim()}`;
    }),
    ...["cwd", "root", "exe"].map((name) => `${name} ${Deno.readLinkSync(`/proc/${pid}/${name}`)}`),
    ...descriptors(pid),
    ...namespaces(pid),
    ...limits(proc("cgroup")),
  ];
}

/** What one of them has and the other has not. */
export function compare(expected: readonly string[], found: readonly string[]): string[] {
  return [
    ...expected.filter((line) => !found.includes(line)).map((line) => `is missing: ${line}`),
    ...found.filter((line) => !expected.includes(line)).map((line) => `is new: ${line}`),
  ];
}

function withoutPid(line: string): string {
  return line.startsWith("NSpid:") ? `NSpid of ${line.split("\t").length - 1} namespaces` : line;
}

/** Without the numbers of the mount, of its parent, its group and its device. */
function mountOf(line: string): string {
  const [, , , ...rest] = line.split(" ");
  return rest.map((word) => word.replace(/^(shared|master|propagate_from):\d+$/, "$1")).join(" ");
}

function descriptors(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => {
    const to = Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
    return `descriptor ${name} ${to.replace(/\[\d+\]/, "").replace(/said-\d+/, "said")}`;
  });
}

function namespaces(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/ns`)].map(({ name }) => {
    const same = Deno.readLinkSync(`/proc/${pid}/ns/${name}`) === Deno.readLinkSync(`/proc/self/ns/${name}`);
    return `namespace ${name} ${same ? "shared" : "own"}`;
  });
}

function limits(membership: string): string[] {
  return cgroups(Deno.readTextFileSync("/proc/self/mountinfo"), membership).flatMap(({ mountPoint, own }) => {
    return LIMITS.flatMap((file) => {
      const text = textOf(`${mountPoint}${own}/${file}`);
      return text === undefined ? [] : [`${mountPoint}${own}/${file} ${text.trim()}`];
    });
  });
}

function textOf(file: string): string | undefined {
  try {
    return Deno.readTextFileSync(file);
  } catch {
    return undefined; // not every hierarchy has it
  }
}
