import { THERE_IS_ONE } from "./watch.ts";

/**
 * Is the proxy of a network until its last sandbox has been gone for a while.
 *
 * @param directory Of the network, in which its settings, its sandboxes and its socket are.
 * @param keptDescriptor A file in memory in which credentials outlive this process.
 * @returns Its exit code, when it has ended.
 */
export async function serveNetwork(directory: string, keptDescriptor?: number): Promise<number> {
  const { serve } = await import("./main.ts"); // what nobody else needs
  return await serve(directory, keptDescriptor) ? 0 : THERE_IS_ONE;
}
