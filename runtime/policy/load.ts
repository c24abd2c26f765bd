import { SpecError, UsageError } from "../errors.ts";
import { builtinPolicy, completed } from "./builtin.ts";
import { outcomes } from "./calls.ts";
import { decodePolicy, type PolicyText } from "./decode.ts";
import { isPolicyName, POLICY_NAMES } from "./names.ts";
import { NEEDED } from "./needed.ts";
import type { Policy } from "./policy.ts";

/** More than any real policy; what is longer is not read. */
const MAX_POLICY_BYTES = 1 << 20;

/** The policy of a name that comes along, or of a file; see read.ts. */
export async function loadPolicy(nameOrFile: string): Promise<Policy> {
  if (isPolicyName(nameOrFile)) return builtinPolicy(nameOrFile);
  if (!/[./]/.test(nameOrFile)) {
    const names = POLICY_NAMES.join(", ");
    throw new UsageError(
      `Cannot use policy "${nameOrFile}": name one of ${names}, or a file such as ./${nameOrFile}.yaml`,
    );
  }
  return policyOf(await parse(textOf(nameOrFile), nameOrFile), nameOrFile);
}

/**
 * A policy from what JSON or YAML made of its text.
 *
 * @param where What to call it in errors.
 * @throws {SpecError} with every problem, each with its JSON pointer.
 */
export function policyOf(value: unknown, where: string): Policy {
  const text = decodePolicy(value, where);
  const refuse = (pointer: string, message: string): SpecError =>
    new SpecError(where, [{ pointer, message }]);
  const { extends: base } = text;
  if (base !== undefined && !isPolicyName(base)) {
    throw refuse("/extends", `Cannot extend "${base}": it is one of ${POLICY_NAMES.join(", ")}`);
  }
  if (isPolicyName(text.name)) throw refuse("/name", `Cannot use "${text.name}": that is one of ours`);
  const policy = completed(text);
  check(policy, text, refuse);
  return policy;
}

function check(
  policy: Policy,
  { seccomp }: PolicyText,
  refuse: (at: string, why: string) => SpecError,
): void {
  const { calls } = outcomes(policy);
  for (const call of NEEDED) {
    const outcome = calls.get(call) ?? { action: policy.seccomp.unlisted, alternatives: [] };
    if (outcome.action === "allow" && outcome.alternatives.length === 0) continue;
    const index = seccomp?.groups?.findLastIndex(({ calls }) => calls.includes(call)) ?? -1;
    throw refuse(
      index < 0 ? "/seccomp" : `/seccomp/groups/${index}`,
      `Cannot keep "${call}" from the sandbox: it is needed before the program begins`,
    );
  }
  if (policy.userLimits && !policy.userNamespace.own) {
    throw refuse("/userLimits", "Cannot limit the host's users: that takes userNamespace.own");
  }
}

function textOf(file: string): string {
  const refuse = (message: string): SpecError => new SpecError(file, [{ pointer: "", message }]);
  try {
    const { isFile, size } = Deno.statSync(file);
    if (!isFile) throw refuse("it is not a regular file");
    if (size > MAX_POLICY_BYTES) throw refuse(`it has ${size} bytes, at most ${MAX_POLICY_BYTES} are read`);
    return Deno.readTextFileSync(file);
  } catch (cause) {
    if (cause instanceof SpecError) throw cause;
    if (cause instanceof Deno.errors.NotFound) throw refuse("no such file");
    throw refuse(cause instanceof Error ? cause.message : String(cause));
  }
}

async function parse(text: string, file: string): Promise<unknown> {
  try {
    if (file.endsWith(".json")) return JSON.parse(text);
    const { parse } = await import("@std/yaml/parse");
    return parse(text, { schema: "core" });
  } catch (cause) {
    throw new SpecError(file, [{
      pointer: "",
      message: cause instanceof Error ? cause.message : String(cause),
    }]);
  }
}
