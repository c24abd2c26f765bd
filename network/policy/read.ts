/** From the text of a policy to a policy. */

import { SpecError, UsageError } from "../../runtime/errors.ts";
import { harmless, Problems, quote } from "../../runtime/spec/problems.ts";
import { Place } from "../../runtime/spec/shape.ts";
import { isPolicy, policyDocument } from "./document.ts";
import type { NetworkPolicy } from "./policy.ts";
import { policyShape } from "./shapes.ts";

/** The longest policy that is read, in UTF-16 units or bytes. */
export const MAX_NETWORK_POLICY_BYTES = 256 * 1024;
/** How many values there may be, each reference in YAML counted as what it stands for. */
const MAX_VALUES = 32_768;
const MAX_DEPTH = 16;

/** The annotation of config.json that holds a policy, as JSON or YAML. */
export const NETWORK_POLICY_ANNOTATION = "dev.ai-sandbox.network.policy";

/** A policy that allows nothing. */
export const NOTHING_ALLOWED: NetworkPolicy = {
  allow: [],
  deny: [],
  credentials: [],
  secrets: { detectors: [], patterns: {} },
  limits: {},
  nameServers: [],
};

/**
 * Reads the text of a policy, YAML or JSON.
 *
 * @param path where the text came from, for the error
 * @param pointer where the text is in that document, if it is a part of one
 * @throws {SpecError} every problem at once, each with its JSON pointer
 */
export async function parseNetworkPolicy(text: string, path: string, pointer = ""): Promise<NetworkPolicy> {
  const refuse = (message: string): SpecError => new SpecError(path, [{ pointer, message }]);
  if (text.length > MAX_NETWORK_POLICY_BYTES) {
    throw refuse(`Cannot read ${text.length} characters: at most ${MAX_NETWORK_POLICY_BYTES} are allowed`);
  }
  const { parse } = await import("@std/yaml/parse");
  let value: unknown;
  try {
    value = parse(text, { schema: "core" });
  } catch (error) {
    value = asJson(text, error);
    if (value === undefined) throw refuse(`Cannot read the text: ${messageOf(error)}`);
  }
  return decodeNetworkPolicy(value, path, pointer);
}

/**
 * Reads a policy from what a parser or a program made; what is a policy already is read once more.
 *
 * @throws {SpecError} as {@linkcode parseNetworkPolicy}
 */
export function decodeNetworkPolicy(value: unknown, path: string, pointer = ""): NetworkPolicy {
  const problems = new Problems();
  const excess = excessOf(value);
  if (excess) throw new SpecError(path, [{ pointer, message: `Cannot read the policy: it ${excess}` }]);
  const policy = policyShape(isPolicy(value) ? policyDocument(value) : value, new Place(problems));
  if (policy !== undefined && problems.list.length === 0) return policy;
  throw new SpecError(
    path,
    problems.list.map((issue) => ({ ...issue, pointer: pointer + issue.pointer })),
  );
}

/**
 * The policy in the annotations of a config.json, if there is one.
 *
 * @throws {SpecError} as {@linkcode parseNetworkPolicy}
 */
export async function annotatedPolicy(
  annotations: Readonly<Record<string, string>> | undefined,
  path: string,
): Promise<NetworkPolicy | undefined> {
  const text = annotations?.[NETWORK_POLICY_ANNOTATION];
  if (text === undefined) return;
  return await parseNetworkPolicy(text, path, `/annotations/${NETWORK_POLICY_ANNOTATION}`);
}

/**
 * A policy that also allows what words such as `github.com:22/tcp` say.
 *
 * @throws {UsageError} for the first word that says nothing
 */
export function withAllowed(policy: NetworkPolicy, words: readonly string[]): NetworkPolicy {
  const more = words.map((word, index) => {
    try {
      const [rule] = decodeNetworkPolicy([word], "--allow").allow;
      return { ...rule!, id: `--allow[${index}]` };
    } catch (error) {
      if (!(error instanceof SpecError)) throw error;
      const { message } = error.issues[0]!;
      throw new UsageError(
        `Cannot use ${quote(word)} for --allow: ${message.replace(/^Cannot [^:]*: /, "")}`,
      );
    }
  });
  return { ...policy, allow: [...policy.allow, ...more] };
}

/** What YAML does not take, such as tabs; keys that are there twice stay refused. */
function asJson(text: string, error: unknown): unknown {
  if (/duplicate/i.test(messageOf(error))) return;
  try {
    return JSON.parse(text);
  } catch {
    return;
  }
}

function messageOf(error: unknown): string {
  return harmless(error instanceof Error ? error.message : String(error)).slice(0, 500);
}

/** What there is too much of. A reference may lead to what it is in: the depth ends that. */
function excessOf(root: unknown): string | undefined {
  let values = 0;
  const visit = (value: unknown, depth: number): string | undefined => {
    if (++values > MAX_VALUES) return `holds more than ${MAX_VALUES} values`;
    if (typeof value !== "object" || value === null) return;
    if (depth > MAX_DEPTH) return `nests deeper than ${MAX_DEPTH} levels`;
    for (const each of Object.values(value)) {
      const excess = visit(each, depth + 1);
      if (excess) return excess;
    }
  };
  return visit(root, 1);
}
