import { hasSeccomp, resolveSyscall } from "../ffi/seccomp.ts";
import { SpecError, UnsupportedError } from "./errors.ts";
import type { Host } from "./host/facts.ts";
import type { Filter } from "./plan/context.ts";
import { INSTRUCTION_BYTES, MAX_INSTRUCTIONS } from "./seccomp/code.ts";
import { ARCHES, firstSyscall, FLAG_NEW_LISTENER, FLAGS, NATIVE, NEWER_SYSCALLS } from "./seccomp/numbers.ts";
import {
  type Call,
  calls,
  conditionalsOf,
  defaultValue,
  isIgnored,
  type Rule,
  UNKNOWN,
  verdictOf,
} from "./seccomp/rules.ts";
import {
  compileByLibrary,
  FAMILY,
  isForLibrary,
  isLibraryValue,
  type LibraryRule,
} from "./seccomp/library.ts";
import { addMultiplexed, I386_NUMBERS } from "./seccomp/multiplexed.ts";
import { assembleFilter, type Said, type Section } from "./seccomp/search.ts";
import type { Seccomp } from "./spec/linux.ts";

/** A filter, and what of its spec it leaves out. */
export interface CompiledFilter extends Filter {
  /** Calls that nothing was made of, as in runc: nobody here knows their number. */
  readonly ignored: readonly string[];
  /** Calls whose rules libseccomp was not given: on one architecture at least it gets them wrong, or makes too much. */
  readonly ours: readonly string[];
}

/** Who compiles: libseccomp what it gets right, or nobody but us. */
export type Compiler = "libseccomp" | "ours";

const MAX_ARGUMENTS = 6;
/** So many conditions on one architecture libseccomp compiles in less than 1 ms. */
const MAX_LIBRARY_CONDITIONALS = 128;
/** Calls that nobody has heard of get through these, or reach someone who can see to them: no ENOSYS for them. */
const PERMISSIVE: readonly string[] = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"];
/** libseccomp's token for what it was built for, and the one that this is. */
const [LIBRARY, LIBRARY_ARCH] = [0, NATIVE[Deno.build.arch as Host["arch"]]];

/**
 * Compiles `linux.seccomp` to the program that the kernel runs at each system call, with the meaning runc gives it:
 *
 * - Calls of an architecture that is not listed kill the process; the sandbox's own is always listed.
 * - Where one argument appears twice in a rule, each of its conditions is a rule of its own; else all must hold.
 * - A call's first rule without conditions wins; else, of those that hold, the strictest.
 * - Calls above the highest one that the spec names fail with ENOSYS, unless the default lets calls through: programs
 *   then fall back to what the author of the spec knew.
 *
 * libseccomp compiles the rules, one program for each architecture. What stands before them is ours: the ENOSYS, and
 * the calls whose rules libseccomp cannot be told, gets wrong or never ends with ({@linkcode isForLibrary}).
 *
 * @param path What to call the spec in errors.
 * @param compiler `ours` leaves libseccomp only the numbers of the calls: it makes half as many instructions.
 * @returns Nothing if there is nothing to filter by.
 * @throws {SpecError} where the kernel would refuse it.
 * @throws {UnsupportedError} if libseccomp is not installed.
 *
 * @example
 * ```ts ignore
 * const filter = compileFilter(bundle.spec.linux?.seccomp, probeHost());
 * ```
 */
export function compileFilter(
  seccomp: Seccomp,
  host: Pick<Host, "arch">,
  path?: string,
  compiler?: Compiler,
): CompiledFilter;
export function compileFilter(
  seccomp: Seccomp | undefined,
  host: Pick<Host, "arch">,
  path?: string,
  compiler?: Compiler,
): CompiledFilter | undefined;
export function compileFilter(
  seccomp: Seccomp | undefined,
  { arch }: Pick<Host, "arch">,
  path: string = "config.json",
  compiler: Compiler = "libseccomp",
): CompiledFilter | undefined {
  if (seccomp === undefined) return undefined;
  if (!hasSeccomp()) {
    const reason = "libseccomp.so.2 cannot be opened";
    throw new UnsupportedError("linux.seccomp", reason, "install the Debian package libseccomp2");
  }
  const refuse: Refuse = (pointer, message) =>
    new SpecError(path, [{ pointer: `/linux/seccomp${pointer}`, message }]);
  const tokens = [...new Set([NATIVE[arch], ...(seccomp.architectures ?? []).map((name) => ARCHES[name])])];
  const named = calls(seccomp, (name) => resolveSyscall(name, LIBRARY));
  check(named, refuse);
  const decided = decide(named);
  const fallback = defaultValue(seccomp);
  const compile = (family: readonly number[]): Assembled => {
    const sections = tokens.map((token) =>
      section(seccomp, decided, { token, byLibrary: family.includes(token) && isLibraryValue(fallback) })
    );
    const ours = sections.filter(({ token }) => FAMILY[arch].includes(token)).flatMap((one) => one.ours);
    return { program: assembleFilter(sections, fallback), ours: [...new Set(ours)] };
  };
  let { program, ours } = compile(compiler === "ours" ? [] : FAMILY[arch]);
  // libseccomp does not share conditions between calls.
  if (length(program) > MAX_INSTRUCTIONS) ({ program, ours } = compile([]));
  const count = length(program);
  if (count > MAX_INSTRUCTIONS) {
    throw refuse("/syscalls", `Cannot filter by ${count} instructions: Linux takes ${MAX_INSTRUCTIONS}`);
  }
  const notify = (seccomp.syscalls ?? []).some(({ action }) => action === "SCMP_ACT_NOTIFY");
  const ignored = named.filter(isIgnored).flatMap(({ names }) => names);
  return { program, flags: flags(seccomp, notify), notify, ignored, ours };
}

type Refuse = (pointer: string, message: string) => SpecError;

interface Assembled {
  readonly program: Uint8Array<ArrayBuffer>;
  readonly ours: readonly string[];
}

function length(program: Uint8Array): number {
  return program.length / INSTRUCTION_BYTES;
}

/** What the numbers of one architecture decide, and the names of the calls that libseccomp is not told of. */
function section(
  seccomp: Seccomp,
  decided: ReadonlyMap<Call, Said | undefined>,
  { token, byLibrary }: { readonly token: number; readonly byLibrary: boolean },
): Section & { readonly ours: readonly string[] } {
  const verdicts = new Map<number, Said>();
  const theirs = new Map<number, LibraryRule>();
  const ruled: [name: string, number: number][] = [];
  let last = 0;
  let conditionals = 0;
  for (const [call, verdict] of decided) {
    for (const name of call.names) {
      const number = numberOf(name, call.number, token);
      if (number < 0) continue;
      last = Math.max(last, number);
      if (verdict === undefined) continue;
      if (typeof verdict !== "number") conditionals += verdict.length;
      ruled.push([name, number]);
      const isTheirs = byLibrary && !verdicts.has(number) && conditionals <= MAX_LIBRARY_CONDITIONALS &&
        isForLibrary(call, verdict, token);
      if (isTheirs) theirs.set(number, { number: call.number, verdict });
      else theirs.delete(number); // what has two names
      verdicts.set(number, verdict);
    }
  }
  if (token === ARCHES.SCMP_ARCH_X86) {
    const named = [...decided].flatMap(([{ names }, verdict]) =>
      verdict === undefined ? [] : names.map((name) => [name, verdict] as const)
    );
    addMultiplexed(verdicts, named, defaultValue(seccomp));
    last = Math.max(last, ...verdicts.keys());
  }
  for (const number of theirs.keys()) verdicts.delete(number);
  const rest = theirs.size > 0 ? compileByLibrary(token, theirs, defaultValue(seccomp)) : undefined;
  const { defaultAction } = seccomp;
  const ours = ruled.filter(([, number]) => !theirs.has(number)).map(([name]) => name);
  const closed = last > 0 && !PERMISSIVE.includes(defaultAction);
  return { token, verdicts, last: closed ? last : undefined, rest, ours };
}

/** The number of a call on an architecture; negative if there is none. */
function numberOf(name: string, number: number, token: number): number {
  if (token === ARCHES.SCMP_ARCH_X86 && I386_NUMBERS.has(name)) return I386_NUMBERS.get(name)!;
  if (number !== UNKNOWN) return token === LIBRARY_ARCH ? number : resolveSyscall(name, token);
  const newer = NEWER_SYSCALLS.get(name);
  return newer === undefined ? UNKNOWN : firstSyscall(token) + newer;
}

/** What to do about each call where its number is all there is of it. Calls with the same rules share one object. */
function decide(named: readonly Call[]): Map<Call, Said | undefined> {
  const shared = new Map<string, Said>();
  const ids = new Map<Rule, number>();
  return new Map(named.map((call) => {
    if (call.rules.length === 0) return [call, undefined];
    const always = verdictOf(call);
    if (always !== undefined) return [call, always];
    const key = call.rules.map((rule) => {
      if (!ids.has(rule)) ids.set(rule, ids.size);
      return ids.get(rule);
    }).join();
    const same = shared.get(key) ?? conditionalsOf(call);
    shared.set(key, same);
    return [call, same];
  }));
}

/** Keeps out what no filter can say, before time is spent on it. */
function check(named: readonly Call[], refuse: Refuse): void {
  let count = 0;
  const rules = new Set(named.flatMap((call) => call.rules)); // calls share them
  for (const { comparisons, pointer } of [...rules].flatMap(({ alternatives }) => alternatives)) {
    if (comparisons.some(({ arg }) => arg >= MAX_ARGUMENTS)) {
      throw refuse(pointer, "Cannot compare an argument of a system call: index goes from 0 to 5");
    }
    if (comparisons.length > 0 && ++count > MAX_INSTRUCTIONS) {
      throw refuse("/syscalls", `Cannot filter by more than ${MAX_INSTRUCTIONS} conditions`);
    }
  }
}

/** The flags of seccomp(2). What installs the filter has one thread: there are no others to synchronise. */
function flags({ flags = [] }: Seccomp, notify: boolean): number {
  const bits = flags.reduce((bits, name) => bits | FLAGS[name], 0) & ~FLAGS.SECCOMP_FILTER_FLAG_TSYNC;
  if (!notify) return bits & ~FLAGS.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV; // nobody receives
  return bits | FLAG_NEW_LISTENER;
}
