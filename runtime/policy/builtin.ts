import type { Policy } from "./policy.ts";
import standard from "./default.json" with { type: "json" };
import permissive from "./permissive.json" with { type: "json" };
import strict from "./strict.json" with { type: "json" };
import { isPolicyName, type PolicyName } from "./names.ts";
import { decodePolicy, type PolicyText } from "./decode.ts";

const TEXTS: Record<PolicyName, unknown> = { permissive, default: standard, strict };
const known = new Map<PolicyName, Policy>();

/** The policy of this name. */
export function builtinPolicy(name: PolicyName): Policy {
  let policy = known.get(name);
  if (!policy) known.set(name, policy = completed(decodePolicy(TEXTS[name], `policy ${name}`)));
  return policy;
}

/**
 * A policy with everything that it leaves out taken from the one that it extends, `default` if it names none. Its
 * groups of system calls come behind those of the other, so that they decide.
 */
export function completed(text: PolicyText): Policy {
  const { extends: base, seccomp, ...own } = text;
  if (base === undefined && isWhole(text)) return text;
  const other = builtinPolicy(isPolicyName(base ?? "") ? base as PolicyName : "default");
  return {
    ...other,
    ...own,
    description: own.description ?? `As ${other.name}, with changes.`,
    seccomp: {
      unlisted: seccomp?.unlisted ?? other.seccomp.unlisted,
      groups: [...other.seccomp.groups, ...seccomp?.groups ?? []],
    },
  };
}

function isWhole(text: PolicyText): text is PolicyText & Policy {
  const { description, userNamespace, namespaces, capabilities, seccomp } = text;
  const { maskedPaths, readonlyPaths, rlimits, landlock, attest } = text;
  const needed = [
    description,
    userNamespace,
    namespaces,
    capabilities,
    maskedPaths,
    readonlyPaths,
    rlimits,
    landlock,
    attest,
  ];
  return [...needed, seccomp?.unlisted, seccomp?.groups].every((each) => each !== undefined);
}
