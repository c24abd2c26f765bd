/** The bundle's own filter of system calls: it comes on top of what is in force anyway, and may only take away. */

import type { Seccomp, SeccompAction, SeccompRule, Spec } from "../spec/config.ts";
import { onSpec, type Rule, type Terms, without } from "./rule.ts";

export const SECCOMP_RULES: readonly Rule[] = [
  onFilter(nobodyIsAsked),
  onFilter(listenersGo),
  onFilter(nothingIsLogged),
  onFilter(filterFlagsGo),
];

function onFilter(rule: (seccomp: Seccomp, terms: Terms) => Seccomp): Rule {
  const whole = onSpec((spec: Spec, terms) => {
    if (!spec.linux?.seccomp) return spec;
    return { ...spec, linux: { ...spec.linux, seccomp: rule(spec.linux.seccomp, terms) } };
  });
  return { ...whole, name: rule.name };
}

/** Who answers could let pass what a program made of its arguments meanwhile, and is a process of the host. */
function nobodyIsAsked(seccomp: Seccomp, terms: Terms): Seccomp {
  const syscalls = replaced(seccomp, "SCMP_ACT_NOTIFY", "SCMP_ACT_ERRNO", {
    ...terms,
    reason: "an agent of the host would answer",
  });
  return syscalls ? { ...seccomp, syscalls } : seccomp;
}

function listenersGo(seccomp: Seccomp, { cut }: Terms): Seccomp {
  const { listenerPath } = seccomp;
  if (listenerPath) cut("/linux/seccomp/listenerPath", listenerPath, "it is a socket of the host");
  return without(without(seccomp, "listenerPath"), "listenerMetadata");
}

/** Each call would be a line in the host's log. */
function nothingIsLogged(seccomp: Seccomp, terms: Terms): Seccomp {
  const reason = "it would fill the host's log";
  const syscalls = replaced(seccomp, "SCMP_ACT_LOG", "SCMP_ACT_ALLOW", { ...terms, reason });
  const changed = syscalls ? { ...seccomp, syscalls } : seccomp;
  if (seccomp.defaultAction !== "SCMP_ACT_LOG") return changed;
  terms.cut("/linux/seccomp/defaultAction", "SCMP_ACT_LOG", reason, "SCMP_ACT_ALLOW");
  return { ...changed, defaultAction: "SCMP_ACT_ALLOW" };
}

/** SPEC_ALLOW switches a mitigation off, LOG writes to the host's log; the others are of no use here. */
function filterFlagsGo(seccomp: Seccomp, { cut }: Terms): Seccomp {
  if (seccomp.flags?.length) {
    cut("/linux/seccomp/flags", seccomp.flags.join(", "), "how a filter works is not the bundle's affair");
  }
  return without(seccomp, "flags");
}

function replaced(
  { syscalls }: Seccomp,
  from: SeccompAction,
  to: SeccompAction,
  { cut, reason }: Pick<Terms, "cut"> & { readonly reason: string },
): readonly SeccompRule[] | undefined {
  return syscalls?.map((rule, index) => {
    if (rule.action !== from) return rule;
    cut(`/linux/seccomp/syscalls/${index}/action`, from, reason, to);
    return { ...without(rule, "errnoRet"), action: to };
  });
}
