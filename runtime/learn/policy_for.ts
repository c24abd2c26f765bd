import { outcomes } from "../policy/calls.ts";
import { FAMILIES, NETLINK } from "../policy/families.ts";
import { NEEDED } from "../policy/needed.ts";
import type { CallGroup, FileRules, Policy, PortRules } from "../policy/policy.ts";
import { FILE_USES, type Needs, noNeeds } from "./needs.ts";
import { outermost, shortened } from "./shorten.ts";

/** What every program may come to call, whenever a signal reaches it or it ends. */
const AT_ANY_TIME = ["exit", "restart_syscall", "rt_sigreturn"];
const AF_NETLINK = FAMILIES.AF_NETLINK!;
const SOCKET_CALLS = ["socket", "socketpair"];
/** A description or a reason may have 1024 characters; so many are left for where it was learned. */
const MAX_ORIGIN = 500;

/** What a learned policy says beside what was seen. */
export interface PolicyForOptions {
  /** Small letters, digits and `-`. */
  readonly name: string;
  /** Where it comes from: the command line and the date. */
  readonly origin: string;
  /** Whether files and TCP ports are named, which takes Landlock to keep. */
  readonly names: { readonly files: boolean; readonly ports: boolean };
}

/**
 * The smallest policy that allows `needs`, as far as `base` allows them. It is whole, so that it stays what it is: the
 * rest of the base is written down in it, with the conditions and exceptions for the calls that are left.
 */
export function policyFor(needs: Needs, base: Policy, { name, origin, names }: PolicyForOptions): Policy {
  const where = origin.length > MAX_ORIGIN ? `${origin.slice(0, MAX_ORIGIN - 1)}…` : origin;
  const reason = `learned from ${where}`;
  const { files: _files, ports: _ports, sockets: _sockets, ...rest } = base;
  const sockets = socketsOf(needs, base);
  return {
    ...rest,
    name,
    description: `What a run has needed, within ${base.name}; ${reason}.`,
    ...(sockets && { sockets: { ...sockets, reason } }),
    seccomp: { unlisted: "refuse", groups: [...groupsOf(needs, base, { reason, sockets })] },
    ...(names.files && { files: filesOf(needs, reason) }),
    ...(names.ports && { ports: portsOf(needs, reason) }),
  };
}

/** Whether TCP ports are of any use: without internet sockets there are none. */
export function usesInternet({ families }: Needs): boolean {
  return [FAMILIES.AF_INET!, FAMILIES.AF_INET6!].some((family) => families.has(family));
}

function* groupsOf(
  needs: Needs,
  base: Policy,
  { reason, sockets }: { readonly reason: string; readonly sockets: SocketNames | undefined },
): Iterable<CallGroup> {
  const because = (why: string): string => `${reason}; ${why}`.slice(0, 1024);
  const used = new Set([...needs.calls, ...NEEDED, ...AT_ANY_TIME]);
  const named = outcomes(base).calls;
  if (base.seccomp.unlisted === "allow") {
    const free = (call: string): boolean => !named.has(call) && !(sockets && SOCKET_CALLS.includes(call));
    const calls = [...used].filter((call) => free(call) && /^[a-z_]\w*$/.test(call)).sort();
    yield {
      name: "not named by the base",
      action: "allow",
      reason: because("nothing is said about them"),
      calls,
    };
  }
  for (const group of base.seccomp.groups) {
    // Programs tell by ENOSYS what to do instead; a killer stays one.
    const stays = group.when === undefined && (group.action === "missing" || group.action === "kill");
    const calls = stays ? group.calls : group.calls.filter((call) => used.has(call));
    if (calls.length > 0) yield stays ? group : { ...group, calls, reason: because(group.reason) };
  }
  const unused = SOCKET_CALLS.filter((call) => sockets && !used.has(call));
  if (unused.length > 0) {
    yield { name: "unused sockets", action: "refuse", reason: because("none was made"), calls: unused };
  }
}

type SocketNames = Omit<NonNullable<Policy["sockets"]>, "reason">;

/** Nothing where the base has no word on sockets and what was made cannot be said by names. */
function socketsOf({ families, netlink, calls }: Needs, base: Policy): SocketNames | undefined {
  const names = namesOf(FAMILIES, families);
  const protocols = namesOf(NETLINK, netlink);
  const nameless = names.length < families.size || protocols.length < netlink.size;
  if (!base.sockets && (nameless || calls.has("socketpair"))) return undefined;
  const within = (all: readonly string[], allowed: readonly string[] | undefined): string[] =>
    all.filter((each) => !allowed || allowed.includes(each));
  return {
    families: within(names.filter((each) => FAMILIES[each] !== AF_NETLINK), base.sockets?.families),
    netlink: within(protocols, base.sockets?.netlink),
  };
}

function namesOf(table: Readonly<Record<string, number>>, numbers: ReadonlySet<number>): string[] {
  return Object.keys(table).filter((name) => numbers.has(table[name]!));
}

function filesOf({ files }: Needs, reason: string): FileRules {
  const execute = outermost(files.execute);
  const read = shortened(files.read);
  const readable = new Set(outermost([...read, ...execute]));
  const list = outermost([...files.list, ...read.filter((path) => path.endsWith("/"))]);
  return {
    read: read.filter((path) => readable.has(path) && !execute.includes(path)),
    list: list.filter((path) => !read.includes(path)),
    write: outermost(files.write),
    execute,
    reason,
  };
}

function portsOf({ ports }: Needs, reason: string): PortRules {
  const sorted = (each: ReadonlySet<number>): number[] => [...each].sort((a, b) => a - b);
  return { connect: sorted(ports.connect), bind: sorted(ports.bind), reason };
}

/** What a policy that was learned before allows, to be learned again with more. */
export function needsOf({ sockets, files, ports, ...policy }: Policy): Needs {
  const found = noNeeds();
  const { calls } = outcomes({ ...policy, ...(sockets && { sockets }) });
  for (const [call, { action }] of calls) if (action === "allow") found.calls.add(call);
  for (const family of sockets?.families ?? []) found.families.add(FAMILIES[family]!);
  for (const protocol of sockets?.netlink ?? []) found.netlink.add(NETLINK[protocol]!);
  if (found.netlink.size > 0) found.families.add(AF_NETLINK);
  for (const use of FILE_USES) for (const path of files?.[use] ?? []) found.files[use].add(path);
  for (const port of ports?.connect ?? []) found.ports.connect.add(port);
  for (const port of ports?.bind ?? []) found.ports.bind.add(port);
  return found;
}
