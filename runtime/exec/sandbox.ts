import type { Fd } from "../../ffi/fd.ts";
import { openPath } from "../../ffi/look.ts";
import { LifecycleError, UnsupportedError, UsageError } from "../errors.ts";
import { cgroups } from "../host/probe.ts";
import type { Child } from "../launch/child.ts";
import { assemble, type Image } from "../launch/image.ts";
import { type GroupDirectory, type PlanRequest, UNASSIGNED_ID } from "../plan/context.ts";
import { joinPlan } from "../plan/join.ts";
import type { Process } from "../spec/config.ts";
import type { StdioChoice } from "../supervise/ends.ts";
import { Execution } from "./execution.ts";
import { unifiedGroupOf } from "./groups.ts";
import { foreignNamespaces, hasNewMounts } from "./namespaces.ts";
import { processFor, type ProcessOptions } from "./process.ts";

/** How one more program in a sandbox differs from its first. */
export interface SandboxExecOptions
  extends Omit<ProcessOptions, "args" | "apparmorProfile" | "selinuxLabel"> {
  /** What the program reads. @default {"null"} */
  readonly stdin?: StdioChoice;
  /** Where its output goes. @default {"piped"} */
  readonly stdout?: StdioChoice;
  /** Where its complaints go. @default {"piped"} */
  readonly stderr?: StdioChoice;
}

/** A sandbox that programs are run in. */
export interface Host {
  readonly id: string;
  readonly pid: number;
  /** What it was planned from; none where its image was made by another process. */
  readonly request: PlanRequest | undefined;
  /** A pidfd of its init. */
  readonly init: Fd;
  /** Hears of calls that its policy ends it for. */
  readonly watch: (child: Child) => void;
  /** Images that were made before. */
  readonly images: Map<string, Image>;
  /** What was run in it and is not disposed of. */
  readonly executions: Set<Execution>;
}

/** How many images a sandbox keeps. */
const MOST_IMAGES = 64;

/** Runs one more program in a sandbox, under all that holds for its first. */
export async function execInSandbox(
  host: Host,
  args: readonly string[],
  options: SandboxExecOptions,
): Promise<Execution> {
  using stack = new DisposableStack();
  const beside = [stack.use(host.init)];
  const { id, pid, request, watch } = host;
  if (!request) {
    throw new UnsupportedError("exec", "what the sandbox was made from is not known to this process");
  }
  const namespaces = foreignNamespaces(pid);
  const ownRoot = !hasNewMounts(request.spec);
  if (ownRoot) beside.push(stack.use(openPath(`/proc/${pid}/root`)));
  const { stdin, stdout, stderr, ...differs } = options;
  const key = JSON.stringify([args, differs, namespaces]);
  let image = host.images.get(key);
  if (!image) {
    const spec = { ...request.spec, process: processIn(request, { ...differs, args }) };
    image = assemble(
      joinPlan({
        ...request,
        spec,
        namespaces,
        ownRoot,
        groups: groupsOf(request, pid),
        ownUsers: hasOwnUsers(request),
        preserved: 0,
      }),
    );
    if (host.images.size >= MOST_IMAGES) host.images.clear();
    host.images.set(key, image);
  }
  const onGone = (gone: Execution): void => void host.executions.delete(gone);
  const execution = await Execution.start({ id, image, beside, stdin, stdout, stderr, watch, onGone });
  host.executions.add(execution);
  return execution;
}

/** The process, whose rights are none that the sandbox's policy forbids. */
function processIn({ spec, confinement }: PlanRequest, options: ProcessOptions): Process {
  const base = spec.process!;
  const allowed: readonly string[] = base.capabilities?.bounding ?? [];
  const beyond = confinement && options.capabilities?.find((name) => !allowed.includes(name));
  if (beyond !== undefined) {
    throw new UsageError(
      `Cannot grant ${beyond}: the sandbox's policy forbids it, or its bundle has no use for it`,
    );
  }
  return processFor(base, options);
}

/** The cgroups of the sandbox; without a pid namespace there is one at least, by which all in it are found and ended. */
function groupsOf({ groups = [], spec }: PlanRequest, pid: number): readonly GroupDirectory[] {
  const ownPids = spec.linux?.namespaces?.some(({ type, path }) => type === "pid" && path === undefined);
  if (groups.length > 0 || ownPids) return groups;
  const read = (file: string): string => Deno.readTextFileSync(`/proc/self/${file}`);
  const mountPoint = cgroups(read("mountinfo"), read("cgroup")).find(({ version }) => version === 2)
    ?.mountPoint;
  const directory = mountPoint && unifiedGroupOf(pid, mountPoint);
  if (directory) return [{ directory, version: 2 }];
  throw new LifecycleError("Cannot exec in the sandbox: it has neither a pid namespace nor a cgroup");
}

function hasOwnUsers({ spec }: PlanRequest): boolean {
  return spec.linux?.uidMappings?.some(({ hostID }) => hostID === UNASSIGNED_ID) ?? false;
}
