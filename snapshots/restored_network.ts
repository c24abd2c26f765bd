import { placed } from "../runtime/connect.ts";
import type { Bundle } from "../runtime/bundle.ts";
import { LifecycleError } from "../runtime/errors.ts";
import {
  annotatedNetwork,
  type Connection,
  needsConnection,
  type NetworkOptions,
} from "../runtime/network.ts";
import type { Spec } from "../runtime/spec/config.ts";
import type { Images } from "./open_images.ts";
import type { RestoreOptions } from "./restore_options.ts";

/** What a restored container asks of the network now, and its place there. */
export interface RestoredNetwork {
  readonly network?: NetworkOptions;
  readonly connection?: Connection;
}

/**
 * Takes a place on the network for a container that is restored: by an address of its own, under the policy that is asked
 * for now.
 *
 * @throws {LifecycleError} if it had one, and nothing is asked for.
 */
export async function networkFor(
  id: string,
  { spec }: Bundle,
  { images, options }: { readonly images: Images; readonly options: RestoreOptions },
): Promise<RestoredNetwork> {
  const network = options.network ?? annotatedNetwork(spec);
  if (network && needsConnection(network)) {
    return { network, connection: await placed(id, { ...network, root: options.root }) };
  }
  checkConnected(id, images, { spec, network });
  return network ? { network } : {};
}

/** @throws {LifecycleError} if a container had a place on the network, and nothing is asked for now. */
export function checkConnected(
  id: string,
  { manifest }: Pick<Images, "manifest">,
  asked: { readonly spec: Spec; readonly network: NetworkOptions | undefined },
): void {
  if (!manifest?.isConnected) return;
  const network = asked.network ?? annotatedNetwork(asked.spec);
  if (network && needsConnection(network)) return;
  throw new LifecycleError(
    `Cannot restore container "${id}": it had a network, and nothing is asked for now; say what it reaches by --network-policy, --allow or --network bridge`,
  );
}
