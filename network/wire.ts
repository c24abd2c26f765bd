import { type NetworkProvider, provideNetwork } from "../runtime/network.ts";

/**
 * Lets sandboxes have networks.
 *
 * @param program How the command line is started, for the proxy. @default as it lies beside the library
 */
export function useNetworks(program?: () => readonly string[]): void {
  let provider: Promise<NetworkProvider> | undefined;
  provideNetwork(() => provider ??= loaded(program));
}

async function loaded(program?: () => readonly string[]): Promise<NetworkProvider> {
  if (program) (await import("./proxy/spawn.ts")).proxyProgram(program());
  return (await import("./attach.ts")).provider;
}

useNetworks();
