import { UnsupportedError } from "../errors.ts";
import type { PlanRequest } from "../plan/context.ts";
import { forbidden } from "./permits.ts";

/**
 * The same request, to be attested.
 *
 * @throws {UnsupportedError} if nobody could: there is no supervisor, or the filter forbids init to wait.
 */
export function attestable<Request extends PlanRequest>(request: Request): Request {
  if (request.form === "standalone") {
    throw new UnsupportedError("attestation", "an executable has nobody to look at it", "use run instead");
  }
  const call = request.filter && forbidden(request.filter, request.host.arch);
  if (call !== undefined) {
    throw new UnsupportedError(
      "/linux/seccomp",
      `the filter forbids ${call}, without which it cannot be attested before the program begins`,
      `allow ${call}, or run without attestation`,
    );
  }
  return { ...request, attest: true };
}
