import { loadBundle } from "./bundle.ts";
import { UnsupportedError } from "./errors.ts";
import {
  annotatedNetwork,
  type Connection,
  needsConnection,
  type NetworkOptions,
  networkProvider,
} from "./network.ts";
import type { InnerOptions } from "./options.ts";

/** Options with a place on the network, if they or the bundle ask for one. */
export async function connected<Options extends InnerOptions & { readonly id: string }>(
  options: Options,
): Promise<Options> {
  const { bundle: given, id } = options;
  const bundle = typeof given === "string" && !options.untrusted ? loadBundle(given) : given;
  const spec = typeof bundle === "object" && !options.untrusted ? bundle.spec : undefined;
  const network = options.network ?? (spec && annotatedNetwork(spec));
  if (!network) return options;
  const named = { ...options, ...(bundle !== undefined && { bundle }), network };
  if (!needsConnection(network)) return named;
  const connection = await placed(id, network);
  const { env } = connection;
  return { ...named, connection, ...(env.length > 0 && { env: [...env, ...(options.env ?? [])] }) };
}

/** Takes a place on the network. */
export async function placed(id: string, network: NetworkOptions): Promise<Connection> {
  if (Deno.uid() !== 0) {
    throw new UnsupportedError(
      network.mode === "bridge" ? "the network bridge" : "a network policy",
      "only root may make network devices and firewall rules of the host",
      "run it as root, or without a network",
    );
  }
  const provider = await networkProvider();
  return await provider.connect(id, network);
}
