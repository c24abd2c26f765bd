import { loadBundle, request } from "./bundle.ts";
import { type Command, commandSpec } from "./command.ts";
import type { Host } from "./host/facts.ts";
import { probeHost } from "./host/probe.ts";
import type { SandboxOptions } from "./options.ts";
import type { PlanRequest } from "./plan/context.ts";
import { rootless } from "./rootless.ts";
import { compileFilter } from "./seccomp.ts";
import type { Spec } from "./spec/config.ts";
import { refuseUnsupported } from "./unsupported.ts";

/** Who is to run a plan, if not the calling process. */
export interface Preparation {
  readonly form: PlanRequest["form"];
  readonly caller?: Pick<Host, "uid" | "gid" | "privileged">;
}

/**
 * What the plan for `options` is made from, without running anything.
 *
 * @throws {SpecError} with every problem of the bundle.
 */
export function prepare(
  options: SandboxOptions,
  { form, caller }: Preparation = { form: "supervised" },
): PlanRequest {
  const host = probeHost(caller);
  const { bundle, command } = options;
  if ((bundle === undefined) === (command === undefined)) {
    throw new TypeError("Cannot make a sandbox: give it either a bundle or a command");
  }
  if (command !== undefined) {
    const { spec, root } = commandSpec(commandOf(command, options), host);
    const made = { path: "/", spec: rootless(spec, host) };
    return request(made, { host, overlay: { kind: "none" }, root, form });
  }
  const loaded = typeof bundle === "string" ? loadBundle(bundle) : bundle!;
  refuseUnsupported(loaded.spec);
  const spec = rootless(withOptions(loaded.spec, options), host);
  const filter = spec.linux?.seccomp && compileFilter(spec.linux.seccomp, host);
  return request({ ...loaded, spec }, { host, overlay: options.overlay ?? { kind: "tmpfs" }, filter, form });
}

function commandOf(args: readonly string[], { env, cwd, mounts, share, terminal }: SandboxOptions): Command {
  return {
    args,
    ...(env && { env }),
    ...(cwd !== undefined && { cwd }),
    ...(mounts && { mounts }),
    ...(share !== undefined && { share }),
    ...(terminal !== undefined && { terminal }),
  };
}

function withOptions(spec: Spec, { env, cwd, mounts, terminal }: SandboxOptions): Spec {
  if (!spec.process || (!env && cwd === undefined && !mounts && terminal === undefined)) return spec;
  return {
    ...spec,
    mounts: [...(spec.mounts ?? []), ...(mounts ?? [])],
    process: {
      ...spec.process,
      env: [...(spec.process.env ?? []), ...(env ?? [])],
      ...(cwd !== undefined && { cwd }),
      ...(terminal !== undefined && { terminal }),
    },
  };
}
