/** Rules for how the kernel schedules the process: CPU, I/O, NUMA memory, personality. */

import type { Issue } from "../errors.ts";
import { quote } from "./problems.ts";
import { isNumberList, type Rule } from "./_rule.ts";
import type { MemoryPolicyMode, Scheduler, Spec } from "./config.ts";

export const SCHEDULING_RULES: readonly Rule[] = [
  { about: "/process/scheduler", check: schedulerSuitsItsPolicy },
  { about: "/process/ioPriority", check: ioPriorityIsInRange },
  { about: "/linux/memoryPolicy", check: memoryPolicySuitsItsMode },
  { about: "/linux/personality", check: personalityHasNoFlags },
];

function* schedulerSuitsItsPolicy({ process }: Spec): Iterable<Issue> {
  const scheduler = process?.scheduler;
  if (!scheduler) return;
  const { policy, nice = 0, priority = 0 } = scheduler;
  const refuse = (field: string, state: string): Issue => ({
    pointer: `/process/scheduler/${field}`,
    message: `Cannot schedule with ${policy}: ${state}`,
  });
  if (policy === "SCHED_ISO") yield refuse("policy", "Linux reserves the name and has no such policy");
  // The kernel looks at it only for SCHED_OTHER and SCHED_BATCH.
  if (nice < -20 || nice > 19) yield refuse("nice", "nice goes from -20 to 19");
  if (policy === "SCHED_FIFO" || policy === "SCHED_RR") {
    if (priority < 1 || priority > 99) yield refuse("priority", "priority goes from 1 to 99");
  } else if (priority !== 0) {
    yield refuse("priority", "priority is for SCHED_FIFO and SCHED_RR");
  }
  yield* deadlineTimes(scheduler, refuse);
}

function* deadlineTimes(
  { policy, runtime = 0, deadline = 0, period = 0 }: Scheduler,
  refuse: (field: string, state: string) => Issue,
): Iterable<Issue> {
  if (policy !== "SCHED_DEADLINE") {
    for (const [field, value] of Object.entries({ runtime, deadline, period })) {
      if (BigInt(value) !== 0n) yield refuse(field, `${field} is for SCHED_DEADLINE`);
    }
    return;
  }
  // sched_setattr(2): 1024 ns <= runtime <= deadline <= period, where no period means the deadline.
  if (runtime < 1024) yield refuse("runtime", "runtime is at least 1024 ns");
  if (runtime > deadline) yield refuse("deadline", "deadline is shorter than runtime");
  if (BigInt(period) !== 0n && deadline > period) yield refuse("period", "period is shorter than deadline");
}

function* ioPriorityIsInRange({ process }: Spec): Iterable<Issue> {
  const priority = process?.ioPriority?.priority ?? 0;
  if (priority >= 0 && priority <= 7) return;
  yield {
    pointer: "/process/ioPriority/priority",
    message: "Cannot set the I/O priority: it goes from 0 to 7",
  };
}

/** Whether a mode of set_mempolicy(2) goes with nodes; one that is not here may or may not have them. */
const NODES: { readonly [mode in MemoryPolicyMode]?: boolean } = {
  MPOL_DEFAULT: false,
  MPOL_LOCAL: false,
  MPOL_BIND: true,
  MPOL_INTERLEAVE: true,
  MPOL_WEIGHTED_INTERLEAVE: true,
  MPOL_PREFERRED_MANY: true,
};

function* memoryPolicySuitsItsMode({ linux }: Spec): Iterable<Issue> {
  if (!linux?.memoryPolicy) return;
  const { mode, nodes = "", flags = [] } = linux.memoryPolicy;
  const refuse = (field: string, state: string): Issue => ({
    pointer: `/linux/memoryPolicy/${field}`,
    message: `Cannot use ${mode}: ${state}`,
  });
  if (nodes !== "" && !isNumberList(nodes)) {
    yield refuse("nodes", `${quote(nodes)} is no list such as "0-3,7"`);
  }
  if (NODES[mode] === true && nodes === "") yield refuse("nodes", "it needs nodes");
  if (NODES[mode] === false && nodes !== "") yield refuse("nodes", "it takes no nodes");
  if (flags.includes("MPOL_F_STATIC_NODES") && flags.includes("MPOL_F_RELATIVE_NODES")) {
    yield refuse("flags", "nodes are either static or relative");
  }
  const balances = mode === "MPOL_BIND" || mode === "MPOL_PREFERRED_MANY";
  if (flags.includes("MPOL_F_NUMA_BALANCING") && !balances) {
    yield refuse("flags", "MPOL_F_NUMA_BALANCING is for MPOL_BIND and MPOL_PREFERRED_MANY");
  }
}

function* personalityHasNoFlags({ linux }: Spec): Iterable<Issue> {
  if (!linux?.personality?.flags?.length) return;
  yield {
    pointer: "/linux/personality/flags",
    message: "Cannot set personality flags: the specification has none",
  };
}
