import { O } from "./abi.ts";
import type { Context } from "./context.ts";
import { endBySignals } from "./gate_signals.ts";
import { hasStartHooks, startHooks } from "./hooks.ts";
import { dropBounding, raiseAdmin, reserveAdmin, setCapabilities, setUser } from "./identity.ts";
import { landlock } from "./landlock.ts";
import { rlimits, scheduling } from "./limits.ts";
import { flags, type Op, op } from "./op.ts";
import { passDescriptors, reporting, reportPreserved } from "./preserved.ts";
import {
  closeDescriptors,
  dumpable,
  enterDirectory,
  execute,
  findProgram,
  noNewPrivileges,
  policyFilter,
  seccomp,
  setUmask,
  startGate,
  tryDirectory,
} from "./process.ts";
import { GATE_FD, STATUS_FD } from "./protocol.ts";

/** Where a step fails that comes before whoever starts it can be told. */
const UNTOLD = "fail:untold";

/**
 * The last steps of whoever becomes the program, in its namespaces and its root already: limits, rights, directory,
 * filters, start gate, execve. Their order is explained in docs/processes.md.
 */
export function* becomeProgram(all: Context): Iterable<Op> {
  const { spec, form } = all;
  yield* rlimits(all);
  yield* scheduling(all);
  yield* dropBounding(all);
  // While every path can be reached and CAP_SYS_ADMIN is there: without no_new_privs Landlock takes it.
  yield* landlock(all);
  // Without no_new_privs a filter takes CAP_SYS_ADMIN too: it comes before the last rights are dropped.
  const early = all.filter && spec.process?.noNewPrivileges !== true ? all.filter : undefined;
  const late = early ? undefined : all.filter;
  // A filter that nobody looks at beforehand need not allow what waiting at the gate takes.
  // One that asks does, for a detached sandbox: whoever starts it knows nothing of the agent.
  const asks = all.filter?.notify === true && form === "detached";
  const gateLast = !all.filter || all.attest === true || asks;
  const changes = Boolean(spec.process?.user?.uid);
  if (changes) {
    yield* closeDescriptors(all); // before any path is looked up
    yield* tryDirectory(all);
  }
  yield* setUser(all);
  if (!changes) yield* closeDescriptors(all);
  yield* enterDirectory(all, changes);
  if (early) yield reserveAdmin(all);
  else yield* setCapabilities(all);
  if (spec.process?.noNewPrivileges) yield noNewPrivileges();
  yield setUmask(all);
  yield* blame(form, 1);
  yield* findProgram(all);
  yield* blame(form, 0);
  // The change of user shut /proc/<pid> to who lacks CAP_SYS_PTRACE. Nobody else has rights in a new user namespace.
  if (all.attest && all.namespace("user") === "new") yield dumpable("let the supervisor look", 1);
  if (early) {
    if (!gateLast) yield* gate(all, false);
    yield raiseAdmin(all);
    yield* seccomp(early);
    yield* setCapabilities(all);
  }
  for (const filter of all.confinement?.filters ?? []) yield* policyFilter(filter);
  if (late && !gateLast) yield* gate(all, false);
  if (late) yield* seccomp(late);
  if (gateLast) yield* gate(all, true);
  yield* startHooks(all); // under the filter, as with runc
  yield* blame(form, 1);
  yield* passDescriptors(all);
  yield reporting(all, execute(all));
  yield* reportPreserved(all);
  if (tellsStarter(all, gateLast)) yield* reportAtGate();
}

function* gate(all: Context, last: boolean): Iterable<Op> {
  if (all.form === "standalone") return;
  // Under a filter, which may not allow that, signals are dropped.
  yield* startGate(last && all.filter ? undefined : endBySignals(all));
  if (!tellsStarter(all, last)) return;
  yield op("tell failures to who starts it", "dup3", [
    GATE_FD,
    STATUS_FD,
    flags("O_", { CLOEXEC: O.CLOEXEC }),
  ], {
    failed: UNTOLD,
  });
}

/**
 * Whether failures behind the gate are written into it: who created a detached sandbox has gone, and the gate is a fifo
 * that init and who starts it both read and write. Under a filter, which may not allow that, there is nobody to tell.
 */
function tellsStarter(all: Context, gateLast: boolean): boolean {
  const isLeft = all.form === "detached" && all.attended === false && !hasStartHooks(all);
  return isLeft && !(gateLast && all.filter);
}

/** Where the step fails that makes it so. */
function* reportAtGate(): Iterable<Op> {
  const told = { label: UNTOLD, failed: "over" } as const;
  yield op("report the failure", "write", [GATE_FD, { address: "failed" }, 16], told);
  yield op("end", "exit_group", [1], { failed: "over" });
}

/** Whether what fails from here on is the program's fault; a supervisor tells by the step. */
function* blame(form: Context["form"], program: 0 | 1): Iterable<Op> {
  if (form === "standalone") {
    yield op("remember whose fault it is", "let", [program], { into: "program:fault" });
  }
}
