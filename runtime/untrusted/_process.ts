/** The process: its rights, its limits, its place among others. */

import { CAPABILITY_SETS, type Process, type Rlimit, type Spec } from "../spec/config.ts";
import { depth } from "./_file_systems.ts";
import { onSpec, type Rule, type Terms, without } from "./rule.ts";

export const PROCESS_RULES: readonly Rule[] = [
  onProcess(argumentsAreBounded),
  onProcess(directoryIsShallow),
  onProcess(capabilitiesAreFew),
  onProcess(capabilitiesAreNotPassedOn),
  onProcess(privilegesAreNotGained),
  onProcess(limitsAreNotRaised),
  onProcess(othersAreKilledLater),
  onProcess(othersRunFirst),
  onProcess(othersReadFirst),
  onProcess(labelsAreNotChosen),
];

function onProcess(rule: (process: Process, terms: Terms) => Process): Rule {
  const { name } = rule;
  const whole = onSpec((spec: Spec, terms) => {
    return spec.process ? { ...spec, process: rule(spec.process, terms) } : spec;
  });
  return { ...whole, name };
}

function argumentsAreBounded(process: Process, { ceiling, refuse }: Terms): Process {
  const all = [...process.args, ...process.env ?? []];
  const bytes = all.reduce((sum, each) => sum + each.length, 0); // at least
  if (bytes > ceiling.argumentBytes) {
    const most = `at most ${ceiling.argumentBytes} are allowed`;
    refuse("/process/args", `Cannot pass on ${bytes} bytes of arguments and environment: ${most}`);
  }
  return process;
}

const MOST_NAMES = 64;

function directoryIsShallow(process: Process, { refuse }: Terms): Process {
  if (depth(process.cwd) > MOST_NAMES) {
    refuse("/process/cwd", `Cannot make the working directory: it has more than ${MOST_NAMES} names`);
  }
  return process;
}

function capabilitiesAreFew(process: Process, { ceiling, cut }: Terms): Process {
  const { capabilities } = process;
  if (!capabilities) return process;
  const allowed = (name: string): boolean => (ceiling.capabilities as readonly string[]).includes(name);
  const kept = CAPABILITY_SETS.flatMap((set) => {
    const asked = capabilities[set];
    if (!asked) return [];
    const over = asked.filter((name) => !allowed(name));
    if (over.length > 0) {
      cut(`/process/capabilities/${set}`, over.join(", "), "they reach beyond the sandbox");
    }
    return [[set, asked.filter(allowed)]];
  });
  return { ...process, capabilities: Object.fromEntries(kept) };
}

function capabilitiesAreNotPassedOn(process: Process, { cut }: Terms): Process {
  const { capabilities } = process;
  if (!capabilities) return process;
  for (const set of ["inheritable", "ambient"] as const) {
    const asked = capabilities[set];
    if (asked?.length) cut(`/process/capabilities/${set}`, asked.join(", "), "programs get none by execve");
  }
  return { ...process, capabilities: { ...capabilities, inheritable: [], ambient: [] } };
}

function privilegesAreNotGained(process: Process, { cut }: Terms): Process {
  if (process.noNewPrivileges === false) {
    cut("/process/noNewPrivileges", false, "set-user-id programs give nothing here", true);
  }
  return { ...process, noNewPrivileges: true };
}

function limitsAreNotRaised(process: Process, { ceiling, facts, cut }: Terms): Process {
  const rlimits = process.rlimits?.map((limit, index): Rlimit => {
    const { type, soft, hard } = limit;
    const bounds = [ceiling.rlimits.find((each) => each.type === type)?.hard, facts.rlimits.get(type)]
      .flatMap((each) => each === undefined ? [] : [BigInt(each)]);
    const bound = bounds.reduce<bigint | undefined>((a, b) => a !== undefined && a < b ? a : b, undefined);
    if (bound === undefined || BigInt(hard) <= bound) return limit;
    cut(
      `/process/rlimits/${index}`,
      `${type} ${soft}:${hard}`,
      "it is above the caller's or the ceiling",
      bound,
    );
    return { type, soft: BigInt(soft) < bound ? soft : bound, hard: bound };
  });
  return rlimits ? { ...process, rlimits } : process;
}

function othersAreKilledLater(process: Process, { cut }: Terms): Process {
  const { oomScoreAdj = 0 } = process;
  if (oomScoreAdj >= 0) return process;
  cut("/process/oomScoreAdj", oomScoreAdj, "others would be killed in its place", 0);
  return { ...process, oomScoreAdj: 0 };
}

function othersRunFirst(process: Process, { cut }: Terms): Process {
  const { scheduler } = process;
  if (!scheduler) return process;
  const { policy, nice = 0, flags = [] } = scheduler;
  const ordinary = ["SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE"].includes(policy);
  const harmless = flags.every((flag) => flag === "SCHED_FLAG_RESET_ON_FORK");
  if (ordinary && nice >= 0 && harmless) return process;
  cut("/process/scheduler", scheduler, "others would have to wait for it", "the caller's");
  return without(process, "scheduler");
}

/** What a process without a priority has (ioprio_set(2)). */
const USUAL_IO_PRIORITY = 4;

function othersReadFirst(process: Process, { cut }: Terms): Process {
  const { ioPriority } = process;
  if (!ioPriority) return process;
  const { class: name, priority = 0 } = ioPriority;
  if (name === "IOPRIO_CLASS_IDLE" || (name === "IOPRIO_CLASS_BE" && priority >= USUAL_IO_PRIORITY)) {
    return process;
  }
  cut("/process/ioPriority", ioPriority, "others would have to wait for it", "the caller's");
  return without(process, "ioPriority");
}

function labelsAreNotChosen(process: Process, { cut }: Terms): Process {
  let left = process;
  for (const field of ["apparmorProfile", "selinuxLabel"] as const) {
    if (process[field] === undefined) continue;
    if (process[field] !== "") cut(`/process/${field}`, process[field], "it could be a wider one");
    left = without(left, field);
  }
  return left;
}
