/** What the checks of a Spec have in common. */

import type { Issue } from "../errors.ts";
import type { Namespace, NamespaceType, Spec } from "./config.ts";

/** A check and the place it is about. */
export interface Rule {
  /** Where nothing is there, there is nothing to check. */
  readonly about: string;
  /** What it looks at, when that is not just `about`: where the shape is wrong already, it is skipped. */
  readonly reads?: readonly string[];
  readonly check: (spec: Spec) => Iterable<Issue>;
}

/** The namespace of that type the bundle asks for; undefined means the host's is shared. */
export function namespaceOf(spec: Spec, type: NamespaceType): Namespace | undefined {
  return spec.linux?.namespaces?.find((namespace) => namespace.type === type);
}

/** Whether the sandbox gets a namespace of its own, made for it. */
export function isNew(namespace: Namespace | undefined): boolean {
  return namespace !== undefined && namespace.path === undefined;
}

/** Why a namespace that has to be new is not. */
export function notNew(type: NamespaceType, namespace: Namespace | undefined): string {
  return `the ${type} namespace is ${namespace ? "joined" : "shared"}, and a new one is needed`;
}

export function isAbsolute(path: string): boolean {
  return path.startsWith("/");
}

/** Whether some component of the path is `..`. */
export function climbs(path: string): boolean {
  return path.includes("..") && path.split("/").includes("..");
}

/** Whether the text is a list of numbers and ranges such as `0-3,7`. */
export function isNumberList(text: string): boolean {
  return text.split(",").every((range) => {
    const match = /^ *(\d{1,5}) *(?:- *(\d{1,5}) *)?$/.exec(range);
    return match !== null && (match[2] === undefined || Number(match[1]) <= Number(match[2]));
  });
}

/** Whether the kernel takes it as the name of a network interface. */
export function isInterfaceName(name: string): boolean {
  return /^[^\s/:]{1,15}$/.test(name) && name !== "." && name !== "..";
}

/** `NAME=value` with a name. */
export function* environment(env: readonly string[] | undefined, pointer: string): Iterable<Issue> {
  for (const [index, entry] of (env ?? []).entries()) {
    const equals = entry.indexOf("=");
    if (equals > 0) continue;
    const state = equals === 0 ? "its name is empty" : 'it has no "="';
    yield { pointer: `${pointer}/${index}`, message: `Cannot set an environment variable: ${state}` };
  }
}
