/** Rules for the top of the document: version, root, names, hooks and annotations. */

import type { Issue } from "../errors.ts";
import { quote } from "./_problems.ts";
import { environment, isAbsolute, namespaceOf, type Rule } from "./_rule.ts";
import { HOOKS, type Spec } from "./config.ts";

/** The kernel's __NEW_UTS_LEN. */
const LONGEST_NAME = 64;

export const DOCUMENT_RULES: readonly Rule[] = [
  { reads: ["/ociVersion"], check: versionIsKnown },
  { reads: ["/root"], check: rootIsNamed },
  { reads: ["/hostname", "/linux/namespaces"], check: hostnameNeedsUts },
  { reads: ["/domainname", "/linux/namespaces"], check: domainnameNeedsUts },
  { reads: ["/hooks"], check: hooksCanRun },
  { reads: ["/annotations"], check: annotationsHaveKeys },
];

function* versionIsKnown({ ociVersion }: Spec): Iterable<Issue> {
  const semver = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;
  const match = semver.exec(ociVersion);
  if (match && match[1] === "1" && Number(match[2]) <= 3) return;
  const state = match ? "1.0.0 to 1.3.x are known" : "it is no semantic version";
  yield { pointer: "/ociVersion", message: `Cannot follow version ${quote(ociVersion)}: ${state}` };
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
  if (new TextEncoder().encode(value).length > LONGEST_NAME) {
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
