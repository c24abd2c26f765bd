/**
 * Is the proxy of a network until its last sandbox has been gone for a while.
 *
 * @param directory Of the network, in which its settings, its sandboxes and its socket are.
 * @returns When it has ended.
 */
export async function serveNetwork(directory: string): Promise<void> {
  const { serve } = await import("./main.ts"); // what nobody else needs
  await serve(directory);
}
