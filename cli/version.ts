import config from "../deno.json" with { type: "json" };
import { BUILD_ID } from "../mod.ts";

/** The version of runc whose commands these take the place of. */
const LIKE_RUNC = "1.3.0";

/** What engines read: the first line names the runtime, the others the commit and the specification. */
export function versionText(): string {
  return [
    `ai-sandbox version ${config.version}, in place of runc version ${LIKE_RUNC}`,
    `commit: ${BUILD_ID || "checkout"}`,
    "spec: 1.3.0",
    `deno: ${Deno.version.deno}`,
    "",
  ].join("\n");
}
