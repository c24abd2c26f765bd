import { FAMILIES, NETLINK } from "./families.ts";
import type { Action, CallGroup, Policy, When } from "./policy.ts";

/** What a policy says about one system call. */
export interface Outcome {
  /** What happens to the call. */
  readonly action: Action;
  /** The conditions under which `action` is taken, any of these; empty: always. Otherwise the call is refused. */
  readonly alternatives: readonly (readonly When[])[];
  /** The group that decided. */
  readonly group: string;
  /** Why. */
  readonly reason: string;
}

/** What a policy makes of each call that it names. */
export interface Outcomes {
  /** By the name of the call. */
  readonly calls: ReadonlyMap<string, Outcome>;
  /** Groups that take some uses out of what is allowed otherwise. */
  readonly exceptions: readonly CallGroup[];
}

/** Decides over every call that `policy` names. */
export function outcomes(policy: Policy): Outcomes {
  const calls = new Map<string, Outcome>();
  const exceptions: CallGroup[] = [];
  for (const group of [...socketGroups(policy), ...policy.seccomp.groups]) {
    const { name, reason, action, when } = group;
    if (when !== undefined && action !== "allow") {
      exceptions.push(group);
      continue;
    }
    for (const call of group.calls) {
      const known = calls.get(call);
      const more = when !== undefined && known?.action === "allow" && known.alternatives.length > 0
        ? known.alternatives
        : [];
      calls.set(call, { action, group: name, reason, alternatives: when ? [...more, when] : [] });
    }
  }
  return { calls, exceptions };
}

/** The groups that stand for the families of sockets that can be made. */
function socketGroups({ sockets }: Policy): CallGroup[] {
  if (!sockets) return [];
  const { families, netlink, reason } = sockets;
  const common = { action: "allow", reason } as const;
  const one = (argument: number, values: number[]): When => ({ argument, equals: values.map(BigInt) });
  const groups: CallGroup[] = [
    {
      ...common,
      name: "socket families",
      calls: ["socket"],
      when: [one(0, families.map((each) => FAMILIES[each]!))],
    },
    { ...common, name: "pairs of sockets", calls: ["socketpair"], when: [one(0, [FAMILIES.AF_UNIX!])] },
  ];
  if (netlink.length > 0) {
    const protocols = one(2, netlink.map((each) => NETLINK[each]!));
    groups.push({
      ...common,
      name: "netlink",
      calls: ["socket"],
      when: [one(0, [FAMILIES.AF_NETLINK!]), protocols],
    });
  }
  return groups;
}
