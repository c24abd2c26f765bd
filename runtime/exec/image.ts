import { LifecycleError } from "../errors.ts";
import { trustedFilter } from "../filters.ts";
import { probeHost } from "../host/probe.ts";
import { assemble, type Image } from "../launch/image.ts";
import { joinPlan, type JoinRequest } from "../plan/join.ts";
import { checkModules } from "../security_modules.ts";
import type { Process, Spec } from "../spec/config.ts";
import type { ListenerTarget } from "../supervise/seccomp_listener.ts";
import { completed, processFor, type ProcessOptions } from "./process.ts";

/** How a program is run in a container. */
export interface JoinOptions {
  /** What differs from the container's own, or the process as a whole. */
  readonly options: Partial<ProcessOptions> & { readonly process?: Process | undefined };
  /** Its HOME, unless its environment has one. */
  readonly home: string | undefined;
  readonly part: Pick<
    JoinRequest,
    "namespaces" | "ownRoot" | "groups" | "initGroup" | "preserved" | "plainNewlines" | "keepKeys" | "given"
  >;
}

/** The image that runs a program in the container of a config.json, and who hears of its seccomp filter. */
export function joinImage(spec: Spec, { options, home, part }: JoinOptions): {
  readonly image: Image;
  readonly process: Process;
  readonly listener?: Pick<ListenerTarget, "path" | "metadata"> | undefined;
} {
  const process = withHome(askedProcess(spec, options), home);
  checkModules({ process });
  const host = probeHost();
  const { seccomp } = spec.linux ?? {};
  const filter = seccomp && trustedFilter(seccomp, host);
  const image = assemble(
    joinPlan({ spec: { ...spec, process }, host, filter, ownUsers: false, everyCpu: true, ...part }),
  );
  const { listenerPath: path, listenerMetadata: metadata } = seccomp ?? {};
  if (!filter?.notify || path === undefined) return { image, process };
  return { image, process, listener: { path, ...(metadata !== undefined && { metadata }) } };
}

function askedProcess({ process: base }: Spec, options: JoinOptions["options"]): Process {
  if (!base) throw new LifecycleError("cannot exec in a container without a process");
  if (options.process) return completed(base, options.process);
  return processFor(base, { ...options, args: options.args ?? [] });
}

function withHome(process: Process, home: string | undefined): Process {
  return home === undefined ? process : { ...process, env: [...process.env ?? [], `HOME=${home}`] };
}
