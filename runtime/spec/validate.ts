/** What a Spec means: rules that its shape cannot say. Each lives with its topic; here is the list. */

import { type Issue, SpecError } from "../errors.ts";
import { DOCUMENT_RULES, laterVersion } from "./_check_document.ts";
import { MOUNT_RULES } from "./_check_mounts.ts";
import { NAMESPACE_RULES } from "./_check_namespaces.ts";
import { notGranted, PROCESS_RULES } from "./_check_process.ts";
import { notLimited, RESOURCE_RULES } from "./_check_resources.ts";
import { SCHEDULING_RULES } from "./_check_scheduling.ts";
import { SECCOMP_RULES } from "./_check_seccomp.ts";
import { SYSCTL_RULES } from "./_check_sysctl.ts";
import { Problems } from "./problems.ts";
import type { Rule } from "./_rule.ts";
import type { Spec } from "./config.ts";
import { readSpec } from "./decode.ts";

const RULES: readonly Rule[] = [
  ...DOCUMENT_RULES,
  ...MOUNT_RULES,
  ...PROCESS_RULES,
  ...SCHEDULING_RULES,
  ...NAMESPACE_RULES,
  ...RESOURCE_RULES,
  ...SYSCTL_RULES,
  ...SECCOMP_RULES,
];

/**
 * Says everything that is wrong with the meaning of a spec, at most fifty problems.
 *
 * @example
 * ```ts
 * import { validateSpec } from "./validate.ts";
 * const issues = validateSpec({ ociVersion: "1.3.0", root: { path: "rootfs" }, hostname: "box" });
 * if (issues[0]?.message !== "Cannot set a hostname: the uts namespace is shared") throw new Error();
 * ```
 */
export function validateSpec(spec: Spec): Issue[] {
  const problems = new Problems();
  checkAll(spec, problems);
  return problems.list;
}

/**
 * Reads a config.json and checks what it means.
 *
 * @param path where the bytes came from, for the error
 * @throws {SpecError} the problems of both stages at once (at most fifty), each with its JSON pointer
 * @example
 * ```ts
 * import { parseSpec } from "./validate.ts";
 * const spec = parseSpec('{ "ociVersion": "1.3.0", "root": { "path": "rootfs" } }', "config.json");
 * if (spec.root.path !== "rootfs") throw new Error();
 * ```
 */
export function parseSpec(bytes: Uint8Array | string, path: string): Spec {
  const problems = new Problems();
  const spec = readSpec(bytes, problems);
  if (spec) checkAll(spec, problems);
  if (spec === undefined || problems.list.length > 0) throw new SpecError(path, problems.list);
  return spec;
}

/**
 * Says what of a valid spec will not be granted and must be told to the user, as the specification demands:
 * what a later version of the specification may have added, capabilities that Linux does not have, ambient ones that are
 * not permitted and inheritable, and limits of kernel memory.
 */
export function specWarnings(spec: Spec): Issue[] {
  return [...laterVersion(spec), ...notGranted(spec), ...notLimited(spec)];
}

function checkAll(spec: Spec, problems: Problems): void {
  if (problems.full) return; // there may be holes that nobody told of
  const shape = new Problems();
  for (const { pointer, message } of problems.list) shape.add(pointer, message);
  for (const { about, reads = [about], check } of RULES) {
    if (!isThere(spec, about)) continue;
    // A rule about something misshapen would only repeat the problem, or find holes.
    if (shape.list.length > 0 && reads.some((pointer) => shape.touch(pointer))) continue;
    for (const { pointer, message } of check(spec)) {
      problems.add(pointer, message);
      if (problems.full) return;
    }
  }
}

function isThere(spec: Spec, pointer: string): boolean {
  let value: unknown = spec;
  for (const key of pointer.slice(1).split("/")) {
    value = (value as Record<string, unknown> | undefined)?.[key];
  }
  return value !== undefined;
}
