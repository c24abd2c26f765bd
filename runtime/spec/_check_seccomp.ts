/** Rules for the filter of system calls. */

import type { Issue } from "../errors.ts";
import { quote } from "./problems.ts";
import { isAbsolute, type Rule } from "./_rule.ts";
import type { SeccompAction, SeccompRule, Spec } from "./config.ts";

export const SECCOMP_RULES: readonly Rule[] = [
  { about: "/linux/seccomp", check: defaultActionIsPossible },
  { about: "/linux/seccomp/syscalls", check: rulesAreWhole },
  { about: "/linux/seccomp", check: notificationsHaveAListener },
];

/** What `errnoRet` may be: an errno of the kernel for one action, 16 bits for a tracer for the other. */
const LAST_ERRNO: { readonly [action in SeccompAction]?: number } = {
  SCMP_ACT_ERRNO: 4095,
  SCMP_ACT_TRACE: 0xffff,
};

function* defaultActionIsPossible({ linux }: Spec): Iterable<Issue> {
  if (!linux?.seccomp) return;
  const { defaultAction, defaultErrnoRet } = linux.seccomp;
  if (defaultAction === "SCMP_ACT_NOTIFY") {
    // The agent's descriptor could not be handed over: sending it would wait for the agent.
    const message = "Cannot filter system calls: SCMP_ACT_NOTIFY is no default";
    yield { pointer: "/linux/seccomp/defaultAction", message };
  }
  yield* errnoFits(defaultAction, defaultErrnoRet, "/linux/seccomp/defaultErrnoRet");
}

function* rulesAreWhole({ linux }: Spec): Iterable<Issue> {
  for (const [index, rule] of (linux?.seccomp?.syscalls ?? []).entries()) {
    const pointer = `/linux/seccomp/syscalls/${index}`;
    yield* namesAreCalls(rule, pointer);
    yield* errnoFits(rule.action, rule.errnoRet, `${pointer}/errnoRet`);
    for (const [at, { index: argument }] of (rule.args ?? []).entries()) {
      if (argument <= 5) continue;
      const message = "Cannot compare an argument of a system call: index goes from 0 to 5";
      yield { pointer: `${pointer}/args/${at}/index`, message };
    }
  }
}

function* namesAreCalls({ names, action }: SeccompRule, pointer: string): Iterable<Issue> {
  if (names.length === 0) {
    yield { pointer: `${pointer}/names`, message: "Cannot filter system calls: none is named" };
  }
  for (const [index, name] of names.entries()) {
    if (!/^\w+$/.test(name)) {
      const message = `Cannot filter ${quote(name)}: it is no name of a system call`;
      yield { pointer: `${pointer}/names/${index}`, message };
    } else if (name === "write" && action === "SCMP_ACT_NOTIFY") {
      // The runtime itself writes after the filter is there, before anybody can answer.
      const message =
        "Cannot notify of write: SCMP_ACT_NOTIFY cannot be used for the write syscall: the agent is not there when the first one comes";
      yield { pointer: `${pointer}/names/${index}`, message };
    }
  }
}

function* errnoFits(action: SeccompAction, errno: number | undefined, pointer: string): Iterable<Issue> {
  if (errno === undefined) return;
  const last = LAST_ERRNO[action];
  if (last === undefined) yield { pointer, message: `Cannot return an errno: ${action} has none` };
  else if (errno > last) {
    yield { pointer, message: `Cannot return ${errno}: ${action} takes at most ${last}` };
  }
}

function* notificationsHaveAListener({ linux }: Spec): Iterable<Issue> {
  if (!linux?.seccomp) return;
  const { syscalls = [], listenerPath, listenerMetadata } = linux.seccomp;
  const pointer = "/linux/seccomp/listenerPath";
  if (syscalls.some(({ action }) => action === "SCMP_ACT_NOTIFY")) {
    if (!listenerPath) yield { pointer, message: "Cannot notify an agent: there is no listenerPath" };
    else if (!isAbsolute(listenerPath)) {
      yield { pointer, message: "Cannot notify an agent: listenerPath is not absolute" };
    }
  }
  if (listenerMetadata !== undefined && !listenerPath) {
    const message = "Cannot pass metadata to an agent: there is no listenerPath";
    yield { pointer: "/linux/seccomp/listenerMetadata", message };
  }
}
