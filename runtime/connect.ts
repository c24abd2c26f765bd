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
  const isRoot = Deno.uid() === 0;
  if (network.mode === "pasta" && isRoot) {
    throw new UnsupportedError("the network pasta", "root needs nobody's help to connect it", "use bridge");
  }
  if (network.mode !== "pasta" && !isRoot) {
    const [what, instead] = network.mode === "bridge"
      ? ["the network bridge", "on network pasta"]
      : ["a network policy", "without a network"];
    const reason = "only root may make network devices and firewall rules of the host";
    throw new UnsupportedError(what, reason, `run it as root, or ${instead}`);
  }
  const provider = await networkProvider();
  return await provider.connect(id, network);
}
