/** Rules for the top of the document: version, root, names, hooks and annotations. */

import type { Issue } from "../errors.ts";
import { quote } from "./problems.ts";
import { environment, isAbsolute, namespaceOf, type Rule } from "./_rule.ts";
import { HOOKS, type Spec } from "./config.ts";

/** The specification that is followed is 1.3. */
const LAST_MINOR = 3;
/** The kernel's __NEW_UTS_LEN. */
const LONGEST_NAME = 64;

export const DOCUMENT_RULES: readonly Rule[] = [
  { about: "/ociVersion", check: versionIsKnown },
  { about: "/root", check: rootIsNamed },
  { about: "/hostname", reads: ["/hostname", "/linux/namespaces"], check: hostnameNeedsUts },
  { about: "/domainname", reads: ["/domainname", "/linux/namespaces"], check: domainnameNeedsUts },
  { about: "/hooks", check: hooksCanRun },
  { about: "/annotations", check: annotationsHaveKeys },
];

function* versionIsKnown({ ociVersion }: Spec): Iterable<Issue> {
  if (minorVersion(ociVersion) !== undefined) return;
  const message = `Cannot follow version ${quote(ociVersion)}: those of version 1 are known`;
  yield { pointer: "/ociVersion", message };
}

/**
 * A later version 1: an engine writes that of the library which it was built with, and what it really uses is mostly
 * older. The specification wants unknown properties ignored; of what may be among them the user is told.
 */
export function* laterVersion({ ociVersion }: Spec): Iterable<Issue> {
  if ((minorVersion(ociVersion) ?? 0) <= LAST_MINOR) return;
  const message = `ignoring what version ${
    ociVersion.slice(0, 64)
  } of the specification has added to 1.${LAST_MINOR}`;
  yield { pointer: "/ociVersion", message };
}

/** The y of 1.y.z; `undefined` if it is no such version. */
function minorVersion(version: string): number | undefined {
  const [, minor] = /^1\.(0|[1-9]\d{0,8})\.(?:0|[1-9]\d*)(?:-[\w.-]+)?(?:\+[\w.-]+)?$/.exec(version) ?? [];
  return minor === undefined ? undefined : Number(minor);
}

function* rootIsNamed({ root }: Spec): Iterable<Issue> {
  if (root.path === "") {
    yield { pointer: "/root/path", message: "Cannot use the root filesystem: its path is empty" };
  }
}

function* hostnameNeedsUts(spec: Spec): Iterable<Issue> {
  yield* utsName("hostname", spec.hostname, spec);
}

function* domainnameNeedsUts(spec: Spec): Iterable<Issue> {
  yield* utsName("domainname", spec.domainname, spec);
}

function* utsName(field: string, value: string | undefined, spec: Spec): Iterable<Issue> {
  if (value === undefined) return;
  const pointer = `/${field}`;
  if (!namespaceOf(spec, "uts")) {
    yield { pointer, message: `Cannot set a ${field}: the uts namespace is shared` };
  }
  // Sixty-four bytes hold at least twenty-one characters.
  if (value.length > 21 && new TextEncoder().encode(value).length > LONGEST_NAME) {
    yield { pointer, message: `Cannot set a ${field}: it is longer than ${LONGEST_NAME} bytes` };
  }
}

function* hooksCanRun({ hooks }: Spec): Iterable<Issue> {
  for (const name of HOOKS) {
    for (const [index, hook] of (hooks?.[name] ?? []).entries()) {
      const pointer = `/hooks/${name}/${index}`;
      if (!isAbsolute(hook.path)) {
        yield { pointer: `${pointer}/path`, message: "Cannot run a hook: its path is not absolute" };
      }
      if (hook.timeout !== undefined && !(hook.timeout > 0)) {
        yield { pointer: `${pointer}/timeout`, message: "Cannot time a hook: its timeout is not above zero" };
      }
      yield* environment(hook.env, `${pointer}/env`);
    }
  }
}

function* annotationsHaveKeys({ annotations }: Spec): Iterable<Issue> {
  if (annotations && Object.hasOwn(annotations, "")) {
    yield { pointer: "/annotations/", message: "Cannot keep an annotation: its key is empty" };
  }
}
