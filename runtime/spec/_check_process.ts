/** Rules for the process: where and as whom it runs, and with which limits and capabilities. */

import type { Issue } from "../errors.ts";
import { harmless, quote } from "./problems.ts";
import { environment, isAbsolute, isNew, isNumberList, namespaceOf, type Rule } from "./_rule.ts";
import { CAPABILITY_SETS, isCapability } from "./config.ts";
import type { Capabilities, CapabilitySet, IdMapping, Spec, User } from "./config.ts";

/** As an id this means "no change" to the kernel. */
const NO_ID = 0xffff_ffff;

export const PROCESS_RULES: readonly Rule[] = [
  { about: "/process/cwd", check: cwdIsAbsolute },
  { about: "/process/args", check: argsNameAProgram },
  { about: "/process/env", check: ({ process }) => environment(process?.env, "/process/env") },
  {
    about: "/process/consoleSize",
    reads: ["/process/consoleSize", "/process/terminal"],
    check: consoleSizeFitsATerminal,
  },
  { about: "/process/user", check: userIsPossible },
  {
    about: "/linux/uidMappings",
    reads: ["/linux/uidMappings", "/linux/gidMappings", "/linux/namespaces", "/process/user"],
    check: userIsMapped,
  },
  { about: "/process/rlimits", check: rlimitsAreOrdered },
  { about: "/process/capabilities", check: capabilitySetsAreNested },
  { about: "/process/oomScoreAdj", check: oomScoreIsInRange },
  { about: "/process/execCPUAffinity", check: affinityIsAList },
];

function* cwdIsAbsolute({ process }: Spec): Iterable<Issue> {
  if (!process || isAbsolute(process.cwd)) return;
  yield { pointer: "/process/cwd", message: "Cannot start in the working directory: it is not absolute" };
}

function* argsNameAProgram({ process }: Spec): Iterable<Issue> {
  if (!process || process.args[0]) return;
  const state = process.args.length === 0 ? "args is empty" : "its name is empty";
  yield { pointer: "/process/args", message: `Cannot run a program: ${state}` };
}

function* consoleSizeFitsATerminal({ process }: Spec): Iterable<Issue> {
  if (!process?.terminal || !process.consoleSize) return; // the specification ignores it then
  for (const side of ["height", "width"] as const) {
    if (process.consoleSize[side] <= 0xffff) continue; // unsigned short in struct winsize
    yield {
      pointer: `/process/consoleSize/${side}`,
      message: "Cannot size the terminal: it has at most 65535 cells",
    };
  }
}

function* userIsPossible({ process }: Spec): Iterable<Issue> {
  if (!process?.user) return;
  const { umask = 0 } = process.user;
  if (umask > 0o777) {
    yield { pointer: "/process/user/umask", message: "Cannot set the umask: it has bits above 0777" };
  }
  for (const [pointer, id] of idsOf(process.user)) {
    if (id === NO_ID) yield { pointer, message: `Cannot become ${NO_ID}: it means no change to the kernel` };
  }
}

function* userIsMapped(spec: Spec): Iterable<Issue> {
  const { uidMappings, gidMappings } = spec.linux ?? {};
  if (!spec.process || !isNew(namespaceOf(spec, "user")) || !uidMappings?.length || !gidMappings?.length) {
    return;
  }
  for (const [pointer, id] of idsOf(spec.process.user ?? { uid: 0, gid: 0 })) {
    const field = pointer.endsWith("/uid") ? "uidMappings" : "gidMappings";
    if (contains(field === "uidMappings" ? uidMappings : gidMappings, id)) continue;
    yield { pointer, message: `Cannot become ${id}: it is not in ${field}` };
  }
}

function* idsOf(user: User): Iterable<[string, number]> {
  yield ["/process/user/uid", user.uid];
  yield ["/process/user/gid", user.gid];
  for (const [index, gid] of (user.additionalGids ?? []).entries()) {
    yield [`/process/user/additionalGids/${index}`, gid];
  }
}

function contains(mappings: readonly IdMapping[], id: number): boolean {
  return mappings.some(({ containerID, size }) => id >= containerID && id < containerID + size);
}

function* rlimitsAreOrdered({ process }: Spec): Iterable<Issue> {
  const seen = new Set<string>();
  for (const [index, { type, soft, hard }] of (process?.rlimits ?? []).entries()) {
    const pointer = `/process/rlimits/${index}`;
    if (soft > hard) yield { pointer, message: `Cannot limit ${type}: soft is above hard` };
    if (seen.has(type)) yield { pointer, message: `Cannot limit ${type}: it is limited already` };
    seen.add(type);
  }
}

function* capabilitySetsAreNested({ process }: Spec): Iterable<Issue> {
  yield* outside(process?.capabilities, "effective", "permitted");
}

/**
 * Capabilities that nobody can grant: those that Linux does not have, and ambient ones that are not permitted and
 * inheritable too. The specification wants a warning, not an error; what is not granted harms nobody.
 */
export function* notGranted({ process }: Spec): Iterable<Issue> {
  const { ambient = [], permitted, inheritable } = process?.capabilities ?? {};
  for (const set of CAPABILITY_SETS) {
    for (const [index, name] of (process?.capabilities?.[set] ?? []).entries()) {
      if (isCapability(name)) continue;
      const message = `ignoring unknown or unavailable capabilities: [${quoteless(name)}]`;
      yield { pointer: `/process/capabilities/${set}/${index}`, message };
    }
  }
  for (const [index, name] of ambient.entries()) {
    if (!isCapability(name)) continue;
    const lacking = permitted?.includes(name)
      ? inheritable?.includes(name) ? "" : "inheritable"
      : "permitted";
    if (lacking === "") continue;
    const message = `can't raise ambient capability ${name}: it is not ${lacking}`;
    yield { pointer: `/process/capabilities/ambient/${index}`, message };
  }
}

/** Short enough for a message, and unable to steer the reader's terminal. */
function quoteless(name: string): string {
  return harmless(name.slice(0, 64));
}

function* outside(sets: Capabilities = {}, inner: CapabilitySet, outer: CapabilitySet): Iterable<Issue> {
  for (const [index, name] of (sets[inner] ?? []).entries()) {
    if (sets[outer]?.includes(name) || !isCapability(name)) continue;
    const message = `Cannot make ${quote(name)} ${inner}: it is not ${outer}`;
    yield { pointer: `/process/capabilities/${inner}/${index}`, message };
  }
}

function* oomScoreIsInRange({ process }: Spec): Iterable<Issue> {
  if (Math.abs(process?.oomScoreAdj ?? 0) <= 1000) return;
  yield {
    pointer: "/process/oomScoreAdj",
    message: "Cannot adjust the OOM score: it goes from -1000 to 1000",
  };
}

function* affinityIsAList({ process }: Spec): Iterable<Issue> {
  for (const when of ["initial", "final"] as const) {
    const list = process?.execCPUAffinity?.[when];
    if (!list || isNumberList(list)) continue;
    const message = `Cannot choose CPUs: ${quote(list)} is no list such as "0-3,7"`;
    yield { pointer: `/process/execCPUAffinity/${when}`, message };
  }
}
