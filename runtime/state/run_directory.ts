import { inUserNamespace } from "../../ffi/user_namespace.ts";

/**
 * Where a user's things are kept until the machine is started again: `/run` for root, `$XDG_RUNTIME_DIR` for others, and
 * for engines of others, which call as root of a user namespace. `undefined` where there is no such place.
 */
export function runDirectory(): string | undefined {
  const own = Deno.env.get("XDG_RUNTIME_DIR");
  if (Deno.uid() !== 0) return own;
  return own && Deno.env.get("USER") !== "root" && inUserNamespace() ? own : "/run";
}
