/** The policies that come along, from the loosest to the tightest. */
export const POLICY_NAMES = ["permissive", "default", "strict"] as const;
/** The name of a policy that comes along. */
export type PolicyName = (typeof POLICY_NAMES)[number];

/** Whether a policy of this name comes along. */
export function isPolicyName(name: string): name is PolicyName {
  return (POLICY_NAMES as readonly string[]).includes(name);
}
