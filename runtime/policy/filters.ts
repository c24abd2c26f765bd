import type { Seccomp, SeccompArg, SeccompRule } from "../spec/linux.ts";
import { outcomes } from "./calls.ts";
import type { Action, Policy, When } from "./policy.ts";

const EPERM = 1;
const ENOSYS = 38;
/** What needs no rule of its own: the fewer instructions, the sooner the kernel has taken them. */
const REFUSE = { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: EPERM } as const;
const ALL_BITS = 2n ** 64n - 1n;

/** Who is there to hear of a call that is to end the sandbox. */
export interface FilterOptions {
  /** Whether a supervisor listens, who kills the whole sandbox and notes the call; else the kernel kills the caller. */
  readonly supervised: boolean;
}

/** What a policy says about system calls as `linux.seccomp` objects, which no single list of rules can say. */
export interface PolicyRules {
  /** Decides over whole calls. */
  readonly whole: Seccomp;
  /** Takes single uses out of what that allows. */
  readonly single?: Seccomp;
}

/** The rules of a policy; where both answer, the stricter counts. */
export function policyRules(policy: Policy, { supervised }: FilterOptions): PolicyRules {
  const { calls, exceptions } = outcomes(policy);
  const rules: SeccompRule[] = [...calls].flatMap(([call, { action, alternatives }]) => {
    const common = { names: [call], ...actionOf(action, supervised) };
    return alternatives.length === 0
      ? [common]
      : alternatives.flatMap(ways).map((args) => ({ ...common, args }));
  });
  const allow = { defaultAction: "SCMP_ACT_ALLOW" } as const;
  const whole: Seccomp = policy.seccomp.unlisted === "allow"
    ? { ...allow, syscalls: rules.filter(({ action }) => action !== "SCMP_ACT_ALLOW") }
    : { ...REFUSE, syscalls: rules.filter(({ errnoRet }) => errnoRet !== EPERM) };
  if (exceptions.length === 0) return { whole };
  const syscalls = exceptions.flatMap(({ calls, action, when = [] }) =>
    ways(when).map((args) => ({ names: calls, ...actionOf(action, supervised), args }))
  );
  return { whole, single: { ...allow, syscalls } };
}

/** The same as filters of their own, in the order in which they are installed. */
export function policyFilters(policy: Policy, options: FilterOptions): Seccomp[] {
  const { whole, single } = policyRules(policy, options);
  if (!single) return [whole];
  // In this order the kernel takes both sooner than in the other, but the first may forbid to install another.
  const { action, alternatives } = outcomes(policy).calls.get("seccomp") ??
    { action: policy.seccomp.unlisted, alternatives: [] };
  return action === "allow" && alternatives.length === 0 ? [whole, single] : [single, whole];
}

function actionOf(action: Action, supervised: boolean): Pick<SeccompRule, "action" | "errnoRet"> {
  switch (action) {
    case "allow":
      return { action: "SCMP_ACT_ALLOW" };
    case "refuse":
      return { action: "SCMP_ACT_ERRNO", errnoRet: EPERM };
    case "missing":
      return { action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS };
    case "kill":
      return { action: supervised ? "SCMP_ACT_NOTIFY" : "SCMP_ACT_KILL_PROCESS" };
    default:
      return action satisfies never;
  }
}

/** Every combination of one value for each condition: a rule holds where all of its comparisons do. */
function ways(when: readonly When[]): SeccompArg[][] {
  return when.reduce<SeccompArg[][]>(
    (sofar, { argument: index, mask = ALL_BITS, equals }) =>
      sofar.flatMap((args) =>
        equals.map((value): SeccompArg[] => [
          ...args,
          mask === ALL_BITS
            ? { index, value: small(value), op: "SCMP_CMP_EQ" }
            : { index, value: small(mask), valueTwo: small(value), op: "SCMP_CMP_MASKED_EQ" },
        ])
      ),
    [[]],
  );
}

/** A bigint only where a number could not hold it. */
function small(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
