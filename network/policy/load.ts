/** From a file to a policy. */

import { SpecError } from "../../runtime/errors.ts";
import type { NetworkPolicy } from "./policy.ts";
import { MAX_NETWORK_POLICY_BYTES, parseNetworkPolicy } from "./read.ts";

/**
 * Reads the policy in a file, YAML or JSON.
 *
 * @throws {SpecError} if it is no regular file of at most 256 KiB, or what is in it is no policy
 */
export async function loadNetworkPolicy(file: string): Promise<NetworkPolicy> {
  return await parseNetworkPolicy(await textOf(file), file);
}

async function textOf(file: string): Promise<string> {
  const refuse = (message: string): SpecError => new SpecError(file, [{ pointer: "", message }]);
  try {
    const { isFile, size } = await Deno.stat(file);
    if (!isFile) throw refuse("Cannot read it: it is not a regular file");
    if (size > MAX_NETWORK_POLICY_BYTES) {
      throw refuse(`Cannot read ${size} bytes: at most ${MAX_NETWORK_POLICY_BYTES} are allowed`);
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(await Deno.readFile(file));
  } catch (cause) {
    if (cause instanceof SpecError) throw cause;
    if (cause instanceof Deno.errors.NotFound) throw refuse("Cannot read it: no such file");
    throw refuse(`Cannot read it: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
