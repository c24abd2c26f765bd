import { decideConnection, decideRequest } from "../../policy/decide.ts";
import { Refusal } from "../refusal.ts";
import type { SandboxTraffic } from "../sandbox.ts";
import type { Filled } from "../secrets.ts";
import type { Place, Request } from "./request.ts";
import { asksForWebSocket, checkAsking } from "./websocket.ts";

/** A request that is let through: by which rule, and with what instead of placeholders. */
export interface Admitted {
  readonly rule: string;
  readonly filled: Filled;
}

/**
 * Decides over a request, and puts in the credentials that it may have.
 *
 * @throws {Refusal} if it is not let through.
 */
export function admit(traffic: SandboxTraffic, place: Place, request: Request): Admitted {
  const { headers, host: name, target } = request;
  if (!traffic.hasRoomForRequest) {
    throw new Refusal("limit:pending", "there are too many requests under way", 429);
  }
  if (!traffic.takeRequest()) throw new Refusal("limit:requests", "there are too many requests", 429);
  const rule = ruleFor(traffic, place, request);
  if (asksForWebSocket(request)) checkAsking(request, request.early);
  return { rule, filled: traffic.secrets.fill({ scheme: place.scheme, name, target, headers }) };
}

/** The rule that lets a request through. @throws {Refusal} If none does. */
function ruleFor({ policy }: SandboxTraffic, place: Place, request: Request): string {
  const { method, path, headers, host } = request;
  const literal = host.startsWith("[") ? host.slice(1, -1) : host;
  const names = place.names();
  const isHere = place.tlsName === undefined
    ? names.includes(host) || (literal === place.address)
    : host === place.tlsName;
  if (!isHere) {
    throw new Refusal("builtin:host", `Host says "${host}", which this connection is not for`, 403);
  }
  if ((request.port ?? (place.scheme === "https" ? 443 : 80)) !== place.port) {
    throw new Refusal("builtin:host", "the port in Host is not the one of this connection", 403);
  }
  const connection = decideConnection(policy, {
    names: names.includes(host) ? [host] : [],
    address: place.address,
    port: place.port,
    protocol: place.scheme,
  });
  if (connection.verdict === "deny") throw new Refusal(connection.rule, connection.reason, 403);
  const verdict = decideRequest(policy, {
    scheme: place.scheme,
    name: host,
    port: place.port,
    method,
    path,
    headers,
    address: place.address,
    names,
    isWebSocket: asksForWebSocket(request),
  });
  if (verdict.verdict === "deny") throw new Refusal(verdict.rule, verdict.reason, 403);
  return verdict.rule;
}

/** Whether a request that has gone over would be let through by the policy of now. */
export function isStillAllowed(traffic: SandboxTraffic, place: Place, request: Request): boolean {
  try {
    ruleFor(traffic, place, request);
    return true;
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}
