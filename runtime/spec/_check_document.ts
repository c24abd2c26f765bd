/** Rules for the top of the document: version, root, names, hooks and annotations. */

import type { Issue } from "../errors.ts";
import { quote } from "./problems.ts";
import { environment, isAbsolute, namespaceOf, type Rule } from "./_rule.ts";
import { HOOKS, type Spec } from "./config.ts";

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
  if (/^1\.[0-3]\.(?:0|[1-9]\d*)(?:-[\w.-]+)?(?:\+[\w.-]+)?$/.test(ociVersion)) return;
  const message = `Cannot follow version ${quote(ociVersion)}: 1.0.0 to 1.3.x are known`;
  yield { pointer: "/ociVersion", message };
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
