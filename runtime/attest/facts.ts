import type { Place } from "../../ffi/look.ts";
import { NAMES, plainNumbers, sysctlReport, userLimitReport, UTSNAME } from "../plan/reports.ts";
import type { RlimitType } from "../spec/config.ts";
import {
  cgroupOf,
  descriptorFlags,
  idInside,
  limitOf,
  parseIdMap,
  parseOffsets,
  type Status,
  statusNumbers,
} from "./parse.ts";

/** What is known of a process: the files of its directory in /proc. */
export interface Process {
  /** The text of a file. */
  text(file: string): string;
  /** What its file `status` says. */
  readonly status: Status;
  /** Where a link leads. */
  link(name: string): string;
  /** The names in a directory. */
  names(directory: string): readonly string[];
}

/** Init as it is seen from here. */
export interface Source extends Process {
  /** The same of this process. */
  readonly ours: Process;
  /** What lies at a path of the sandbox; `undefined` if nothing does. */
  lookup(path: string): Place | undefined;
  /** Init's working directory. */
  cwd(): Place;
  /** What init has reported of itself. @throws {Error} if it has not. */
  report(name: string): Uint8Array;
  /** The programs of its filters, the oldest first; `undefined` where the kernel does not tell. */
  readonly filters: readonly Uint8Array[] | undefined;
}

/** The titles of the limits in /proc/<pid>/limits (fs/proc/base.c). */
const LIMIT_TITLES: Readonly<Record<RlimitType | "RLIMIT_RTTIME", string>> = {
  RLIMIT_CPU: "Max cpu time",
  RLIMIT_FSIZE: "Max file size",
  RLIMIT_DATA: "Max data size",
  RLIMIT_STACK: "Max stack size",
  RLIMIT_CORE: "Max core file size",
  RLIMIT_RSS: "Max resident set",
  RLIMIT_NPROC: "Max processes",
  RLIMIT_NOFILE: "Max open files",
  RLIMIT_MEMLOCK: "Max locked memory",
  RLIMIT_AS: "Max address space",
  RLIMIT_LOCKS: "Max file locks",
  RLIMIT_SIGPENDING: "Max pending signals",
  RLIMIT_MSGQUEUE: "Max msgqueue size",
  RLIMIT_NICE: "Max nice priority",
  RLIMIT_RTPRIO: "Max realtime priority",
  RLIMIT_RTTIME: "Max realtime timeout",
};
/** The names of the namespaces in /proc/<pid>/ns, by their names in config.json. */
const NAMESPACE_LINKS: Readonly<Record<string, string>> = { mount: "mnt", network: "net" };
const CAPABILITY_LINES: Readonly<Record<string, string>> = {
  bounding: "CapBnd",
  permitted: "CapPrm",
  effective: "CapEff",
  inheritable: "CapInh",
  ambient: "CapAmb",
};
const O_CLOEXEC = 0o2000000;
const [S_IFMT, S_IFIFO, S_IFCHR, S_IFBLK] = [0o170000, 0o10000, 0o20000, 0o60000];
/** The signals that callers leave ignored, as bits: 13 (SIGPIPE), 25 (SIGXFSZ), and glibc's own 32 and 33. */
const OFTEN_IGNORED = [13n, 25n, 32n, 33n].reduce((mask, signal) => mask | (1n << (signal - 1n)), 0n);
const LISTENER = "anon_inode:seccomp notify";

/** Each fact, and how it is read: as a text, for a message too. Ids are those inside. */
export const FACTS = {
  "user": (of: Source) => idsInside(of, "Uid", "uid_map"),
  "group": (of: Source) => idsInside(of, "Gid", "gid_map"),
  "groups": (of: Source) => idsInside(of, "Groups", "gid_map"),
  "groups outside": (of: Process) => listed(statusNumbers(of.status, "Groups")),
  "umask": (of: Process) => of.status.get("Umask") ?? "",
  "capabilities": (of: Process, set: string) => `0x${of.status.get(CAPABILITY_LINES[set]!)}`,
  "no_new_privs": (of: Process) => of.status.get("NoNewPrivs") ?? "0",
  "seccomp filters": (of: Source) => String(filters(of) - filters(of.ours)),
  "blocked signals": (of: Process) => `0x${of.status.get("SigBlk")}`,
  "ignored signals": ignoredSignals,
  "threads": (of: Process) => of.status.get("Threads") ?? "",
  "tracer": (of: Process) => of.status.get("TracerPid") ?? "",
  "parent": parent,
  "uid_map": (of: Process) => idMap(of.text("uid_map")),
  "gid_map": (of: Process) => idMap(of.text("gid_map")),
  "setgroups": (of: Process) => of.text("setgroups").trim(),
  "namespace": (of: Process, type: string) => of.link(`ns/${NAMESPACE_LINKS[type] ?? type}`),
  "clock": (of: Process, clock: string) => parseOffsets(of.text("timens_offsets")).get(clock) ?? "",
  "cgroup": (of: Process, controllers: string) => cgroupOf(of.text("cgroup"), controllers),
  "oom_score_adj": (of: Process) => of.text("oom_score_adj").trim(),
  "personality": (of: Process) => of.text("personality").trim(),
  "limit": (of: Process, type: string) => limitOf(of.text("limits"), LIMIT_TITLES[type as RlimitType]),
  "descriptors": descriptors,
  "descriptors left to the program": inherited,
  "host name": (of: Source) => nameIn(of, UTSNAME.host),
  "domain name": (of: Source) => nameIn(of, UTSNAME.domain),
  "kernel parameter": (of: Source, key: string) => plainNumbers(textOf(of.report(sysctlReport(key)))),
  "limit of the user namespace": userLimit,
  "seccomp program": seccompProgram,
  "root": (of: Process) => of.link("root"),
  "working directory": workingDirectory,
  "device": device,
} as const satisfies Readonly<Record<string, (of: Source, which: string) => string>>;
/** The name of a fact. */
export type FactName = keyof typeof FACTS;

function idsInside(of: Source, line: string, map: string): string {
  const ranges = parseIdMap(of.text(map));
  return listed(statusNumbers(of.status, line).map((id) => idInside(ranges, id)));
}

/** Numbers in order; -1 is an id that nobody inside has. */
function listed(numbers: readonly number[]): string {
  if (numbers.length === 0) return "none";
  return numbers.toSorted((a, b) => a - b).map((id) => id < 0 ? "nobody" : id).join(" ");
}

/** How many filters there are; a kernel without seccomp has none, one that does not count them tells too little. */
function filters(of: Process): number {
  const { status } = of;
  return Number(status.get("Seccomp_filters") ?? (status.has("Seccomp") ? NaN : 0));
}

function ignoredSignals(of: Process): string {
  const ignored = BigInt(`0x${of.status.get("SigIgn")}`);
  return `0x${(ignored & OFTEN_IGNORED).toString(16)}`;
}

/** Also tells whether this /proc is the one of our own pid namespace: whose pids would be others'. */
function parent(of: Source): string {
  const [pid, own] = [of.status.get("PPid"), of.ours.status.get("Tgid")];
  return pid !== undefined && pid === own ? "this process" : `process ${pid}`;
}

/** `inside outside count`, the lowest first. */
function idMap(text: string): string {
  return parseIdMap(text).map(({ inside, outside, count }) => `${inside} ${outside} ${count}`).join(", ");
}

function nameIn(of: Source, field: number): string {
  return textOf(of.report(NAMES).subarray(field * UTSNAME.fieldBytes, (field + 1) * UTSNAME.fieldBytes));
}

/** What this kernel does not have at all is at most anything. */
function userLimit(of: Source, key: string): string {
  const value = textOf(of.report(userLimitReport(key))).trim();
  return value === "" ? "0:0" : `${value}:${value}`;
}

/** Up to the first NUL. */
function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** A filter of its own, by its place among those; empty where the kernel does not tell. */
function seccompProgram(of: Source, index: string): string {
  if (of.filters === undefined) return "";
  const program = of.filters[filters(of.ours) + Number(index)];
  return program ? program.toBase64() : "none";
}

/** The numbers of the descriptors, those of seccomp listeners as a word. */
function descriptors(of: Process): string {
  return numbers(of).map((fd) => isListener(of, fd) ? "listener" : fd).join(" ");
}

/** 0, 1, 2 are named without a look: they are handed over on purpose. */
function inherited(of: Process): string {
  return numbers(of).filter((fd) => {
    return fd <= 2 || (descriptorFlags(of.text(`fdinfo/${fd}`)) & O_CLOEXEC) === 0;
  }).join(" ");
}

function numbers(of: Process): number[] {
  return of.names("fd").map(Number).sort((a, b) => a - b);
}

function isListener(of: Process, fd: number): boolean {
  return fd > 4 && of.link(`fd/${fd}`) === LISTENER;
}

/** The path that was asked for if it is that very directory. */
function workingDirectory(of: Source, path: string): string {
  const [there, here] = [of.lookup(path), of.cwd()];
  const same = there && there.inode === here.inode && there.mount === here.mount &&
    there.device === here.device;
  return same ? path : of.link("cwd");
}

function device(of: Source, path: string): string {
  const found = of.lookup(path);
  if (!found) return "missing";
  switch (found.mode & S_IFMT) {
    case S_IFCHR:
      return `c ${found.node}`;
    case S_IFBLK:
      return `b ${found.node}`;
    case S_IFIFO:
      return "p";
    default:
      return "no device";
  }
}
