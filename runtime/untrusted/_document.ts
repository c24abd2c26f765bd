/** The top of the document: root, hooks, annotations. */

import { isAbsolute, join, normalize } from "@std/path";
import { pointerTo } from "../spec/problems.ts";
import { HOOKS, type Spec } from "../spec/config.ts";
import { onSpec, type Rule, type Terms, without } from "./rule.ts";

export const DOCUMENT_RULES: readonly Rule[] = [
  onSpec(rootLiesInTheBundle),
  onSpec(hooksGo),
  onSpec(ownAnnotationsGo),
];

/** There is no sandbox without a root: nothing is left to cut down to. */
function rootLiesInTheBundle(spec: Spec, { facts, refuse }: Terms): Spec {
  const { path } = spec.root;
  const pointer = "/root/path";
  const message = (why: string): string => `Cannot use the root of an untrusted bundle: ${why}`;
  if (isAbsolute(path)) refuse(pointer, message("its path is absolute"));
  else if (path.split("/").includes("..")) refuse(pointer, message('its path climbs with ".."'));
  else if (!facts.root) refuse(pointer, message("it is not there"));
  else if (facts.root.kind !== "directory") refuse(pointer, message("it is not a directory"));
  else if (facts.root.real !== join(facts.bundle, normalize(path)).replace(/(.)\/+$/, "$1")) {
    refuse(pointer, message("its path leads through a link"));
  }
  return spec;
}

function hooksGo(spec: Spec, { cut }: Terms): Spec {
  if (!spec.hooks) return spec;
  for (const kind of HOOKS) {
    const hooks = spec.hooks[kind];
    if (hooks?.length) {
      cut(
        `/hooks/${kind}`,
        hooks.map(({ path }) => path).join(", "),
        "they run on the host",
      );
    }
  }
  return without(spec, "hooks");
}

/** Annotations of ours are settings. */
const OWN = "dev.ai-sandbox.";

function ownAnnotationsGo(spec: Spec, { cut }: Terms): Spec {
  if (!spec.annotations) return spec;
  const kept = Object.entries(spec.annotations).filter(([key, value]) => {
    if (key.startsWith(OWN)) cut(pointerTo(["annotations", key]), value, "it steers the runtime");
    return !key.startsWith(OWN);
  });
  return { ...spec, annotations: Object.assign(Object.create(null), Object.fromEntries(kept)) };
}
