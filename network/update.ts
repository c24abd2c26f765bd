import { LifecycleError } from "../runtime/errors.ts";
import { lockContainer, specOf, type StoreOptions } from "../runtime/lifecycle/container.ts";
import { withNetworkAnnotations } from "../runtime/network.ts";
import { networkDirectory } from "./paths.ts";
import { parseNetworkPolicy } from "./policy/read.ts";
import { Proxied } from "./proxied.ts";
import { networkSettings } from "./settings.ts";

/**
 * Gives a container another network policy, at once: each attempt is decided by the one before or by this.
 *
 * @param policy The text of a policy, in YAML or JSON.
 * @throws {LifecycleError} if the container has no network policy: its network would have to be another one.
 * @throws {SpecError} if that is no policy; the one before stays.
 */
export async function updateNetworkPolicy(
  id: string,
  policy: string,
  store: StoreOptions = {},
): Promise<void> {
  using container = await lockContainer(id, store);
  const { network } = container.record;
  const read = await parseNetworkPolicy(policy, "network policy");
  const settings = networkSettings(network?.directory ?? networkDirectory(store.root));
  if (network?.address === undefined || !Proxied.has(settings, { id, address: network.address })) {
    throw new LifecycleError(
      `Cannot change the network policy of "${id}": it was made without one; make it anew with --network-policy`,
    );
  }
  await Proxied.update(settings, id, read);
  // Who goes on from it later, such as a fork, is under this policy.
  container.entry.writeSpec(withNetworkAnnotations(await specOf(container), { policy }));
}
