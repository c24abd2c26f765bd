import { attestable } from "./attest/attestable.ts";
import { bareRequest } from "./bare.ts";
import { loadBundle, request } from "./bundle.ts";
import { type Command, commandSpec } from "./command.ts";
import { environment } from "./environment.ts";
import { type Issue, SpecError, UnsupportedError, UsageError } from "./errors.ts";
import { filterOf, trustedFilter } from "./filters.ts";
import type { Host } from "./host/facts.ts";
import { probeHost } from "./host/probe.ts";
import { withLandlock } from "./landlock.ts";
import { type GroupRequest, groupRequest, withLimits } from "./limits.ts";
import { type InnerOptions, OBSERVE, type SandboxOptions } from "./options.ts";
import { annotatedNetwork, missingMounts, needsConnection, withNetwork } from "./network.ts";
import type { PlanRequest } from "./plan/context.ts";
import { confinement, underPolicy } from "./policy/apply.ts";
import { withPolicyLimits } from "./policy/resources.ts";
import { builtinPolicy } from "./policy/builtin.ts";
import type { Policy } from "./policy/policy.ts";
import { rootless } from "./rootless.ts";
import { mountsOnRoot } from "./host_mounts.ts";
import { checkModules } from "./security_modules.ts";
import type { Spec } from "./spec/config.ts";
import { specWarnings, validateSpec } from "./spec/validate.ts";
import { hasHooks, OCI_VERSION } from "./spec/state.ts";
import { tame } from "./untrusted.ts";
import type { Cut } from "./untrusted/rule.ts";

/** Who is to run a plan, if not the calling process. */
export interface Preparation {
  readonly form: PlanRequest["form"];
  readonly attended?: PlanRequest["attended"];
  readonly caller?: Pick<Host, "uid" | "gid" | "privileged">;
}

/**
 * What the plan for `options` is made from, without running anything.
 *
 * @throws {SpecError} with every problem of the bundle.
 */
export function prepare(
  options: InnerOptions,
  { form, caller, attended }: Preparation = { form: "supervised" },
): Prepared {
  const host = probeHost(caller);
  const { bundle, command } = options;
  const policy = policyOf(options, form);
  if ((bundle === undefined) === (command === undefined)) {
    throw new TypeError("Cannot make a sandbox: give it either a bundle or a command");
  }
  refuseNetwork(options, form);
  if (options.bare) {
    const asked = bareRequest(options, host, options.bare.path);
    check(asked.spec, "options");
    return asked;
  }
  if (command !== undefined) {
    if (options.untrusted) {
      throw new UsageError("Cannot distrust a program's config.json: only a bundle has one");
    }
    const { spec: plain, root } = commandSpec(commandOf(command, options), host);
    const spec = withPolicyLimits(withLimits(networked(plain, options, policy), options), policy, options);
    check(spec, "options");
    const made = { path: "/", spec: limited(spec, policy, host) };
    const asking = request(made, { host, overlay: { kind: "none" }, root, form });
    return finish(withHooks(asking, options), options, policy);
  }
  const read = typeof bundle === "string" ? loadBundle(bundle) : bundle!;
  const { bundle: loaded, beneath, cuts } = options.untrusted ? tame(read, options, host) : { bundle: read };
  checkModules(loaded.spec);
  const warnings = specWarnings(loaded.spec).map(({ message }) => message);
  for (const warning of warnings) options.onWarning?.(warning);
  if (!loaded.spec.process) {
    const message = "there is no process: say what to run";
    throw new SpecError(`${loaded.path}/config.json`, [{ pointer: "/process", message }]);
  }
  const wanted = withLimits(networked(withOptions(loaded.spec, options), options, policy), options);
  const asked = withPolicyLimits(wanted, policy, options);
  if (asked !== read.spec) check(asked, `${loaded.path}/config.json with options`);
  const spec = limited(asked, policy, host);
  refuseSharedMounts(spec, policy, host);
  const filter = spec.linux?.seccomp && (policy ? filterOf : trustedFilter)(spec.linux.seccomp, host);
  const overlay = options.overlay ?? { kind: "tmpfs" };
  const asking = request({ ...loaded, spec }, {
    host,
    overlay,
    filter,
    form,
    beneath,
    trusted: policy === undefined,
    keptUpper: options.keptUpper,
  });
  const made = finish(withHooks({ ...asking, attended }, options), options, policy);
  return { ...made, ...(cuts && { cuts }), ...(warnings.length > 0 && { warnings }) };
}

/** What has mounts, but no mount namespace of its own, needs root's rights, and a bundle that is trusted. */
function refuseSharedMounts({ mounts, linux }: Spec, policy: Policy | undefined, host: Host): void {
  const mount = linux?.namespaces?.find(({ type }) => type === "mount");
  if (!mounts?.length || (mount && mount.path === undefined)) return;
  if (!policy && host.privileged) return;
  const state = mount ? "joined" : "shared";
  const message = `Cannot mount anything: the mount namespace is ${state}, and a new one is needed`;
  throw new SpecError("the bundle", [{ pointer: "/mounts", message }]);
}

/** The request of a sandbox whose hooks run. */
function withHooks(request: PlanRequest, { id = "", connection }: InnerOptions): PlanRequest {
  const devices = Object.keys(request.spec.linux?.netDevices ?? {}).length > 0;
  const kept = connection?.unreachable;
  if (kept) refuseToUndo(request.spec);
  const hooked = {
    id,
    version: OCI_VERSION,
    ...(connection && { connected: true }),
    ...(kept && { unreachable: kept }),
  };
  if (!hasHooks(request.spec) && !devices) return connection ? { ...request, hooked } : request;
  if (request.form === "standalone") {
    const [what, who] = devices ? ["/linux/netDevices", "move"] : ["/hooks", "run"];
    throw new UnsupportedError(what!, `an executable has nobody to ${who} them`, "use run instead");
  }
  if (devices && !request.host.privileged) {
    throw new UnsupportedError("/linux/netDevices", "only root may move network devices", "take them out");
  }
  return { ...request, hooked };
}

/** Who has these could send past what keeps it from addresses of the host. */
const UNDOES = ["CAP_NET_ADMIN", "CAP_NET_RAW"] as const;

function refuseToUndo({ process }: Spec): void {
  const sets = Object.values(process?.capabilities ?? {}) as (readonly string[] | undefined)[];
  const found = UNDOES.find((name) => sets.some((each) => each?.includes(name)));
  if (found === undefined) return;
  throw new UnsupportedError(
    `${found} on network pasta`,
    "with it the program would reach addresses of the host",
    "take it out of process.capabilities",
  );
}

/** A network that nobody would make is refused, whatever else is asked for. */
function refuseNetwork({ network = {}, connection, bare }: InnerOptions, form: PlanRequest["form"]): void {
  if (bare && network.mode !== undefined && network.mode !== "host") {
    throw new UnsupportedError(
      "a network",
      "without namespaces the program has the host's",
      "leave --network out",
    );
  }
  if (!needsConnection(network) || connection) return;
  const [reason, remedy] = form === "standalone"
    ? ["an executable has nobody to connect it", "use run instead"]
    : ["nobody connects it", "use run or create"];
  throw new UnsupportedError("a network policy", reason, remedy);
}

/** The spec with the namespace and the files that belong to its network. */
function networked(spec: Spec, options: InnerOptions, policy: Policy | undefined): Spec {
  const { network, connection, untrusted } = options;
  if (network?.mode === "host" && policy && policy.name !== "permissive") {
    throw new UsageError(
      `Cannot use the host's network under policy "${policy.name}": it keeps programs in a network of their own; use --policy permissive`,
    );
  }
  const annotated = annotatedNetwork(spec);
  if (annotated && !network && !untrusted) {
    throw new UnsupportedError("the network of the annotations", "nobody connects it", "use run or create");
  }
  const placed = network ? withNetwork(spec, network) : spec;
  if (!connection) return placed;
  return { ...placed, mounts: [...(placed.mounts ?? []), ...missingMounts(placed, connection.mounts)] };
}

/** The policy that is in force, if one is. */
function policyOf(
  { policy, command, untrusted }: SandboxOptions,
  form: PlanRequest["form"],
): Policy | undefined {
  if (form === "standalone") {
    if (policy === undefined && !untrusted) return undefined;
    const remedy = "use run instead";
    throw new UnsupportedError(
      "a policy",
      "an executable has nobody to find ids for it and to listen",
      remedy,
    );
  }
  const asked = policy ?? (command || untrusted ? "default" : undefined);
  const found = typeof asked === "string" ? builtinPolicy(asked) : asked;
  if (untrusted && !found?.userNamespace.own) {
    throw new UsageError(
      `Cannot run an untrusted bundle under policy "${found?.name}": root inside would be root of the host`,
    );
  }
  return found;
}

/** The spec as the policy and the rights of the caller leave it. */
function limited(spec: Spec, policy: Policy | undefined, host: Host): Spec {
  return rootless(policy ? underPolicy(spec, policy, host) : spec, host);
}

/** A request that names the cgroup, if the spec asks for one. */
export interface Prepared extends PlanRequest {
  readonly group?: GroupRequest;
  /** What an untrusted bundle asked for and does not get. */
  readonly cuts?: readonly Cut[];
  /** What is not as its bundle says, although it is made: told already. */
  readonly warnings?: readonly string[];
}

function finish(
  request: PlanRequest,
  options: SandboxOptions,
  policy: Policy | undefined,
): Prepared {
  const { host, spec } = request;
  const { preserveFds: { length: preserved } = [], pivot = true, newKeyring = true } = options;
  const own = policy && confinement(policy, host, spec, { observed: OBSERVE in options });
  const asking = {
    ...request,
    confinement: own,
    ...(preserved > 0 && { preserved }),
    ...(!pivot && { noPivot: { leaves: mountsOnRoot() } }),
    ...(!newKeyring && { keepKeys: true }),
    ...(options.newlines === "plain" && { plainNewlines: true }),
  };
  const whole = withLandlock(asking, { ...options, policy });
  const asked = options.attest ?? policy?.attest ? attestable(whole) : whole;
  const group = groupRequest(asked.spec, options, asked.host, asked.form);
  if (!group) return asked;
  if (asked.form === "standalone") {
    throw new UnsupportedError(
      "/linux/resources",
      "an executable has nobody to make its cgroup",
      "use run instead",
    );
  }
  return { ...asked, group, groups: group.groups };
}

/** What is made of options is checked as well as what is read from a file. */
function check(spec: Spec, where: string): void {
  const { process, mounts } = spec;
  const issues = [...validateSpec(spec), ...nuls(process, "/process"), ...nuls(mounts, "/mounts")];
  if (issues.length > 0) throw new SpecError(where, issues);
}

/** The kernel would take a string up to its NUL only. */
function* nuls(value: unknown, pointer: string): Iterable<Issue> {
  if (typeof value === "string" && value.includes("\0")) {
    yield { pointer, message: "it contains a NUL" };
  } else if (typeof value === "object" && value !== null) {
    for (const [key, each] of Object.entries(value)) yield* nuls(each, `${pointer}/${key}`);
  }
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
      env: environment(spec.process.env ?? [], env ?? []),
      ...(cwd !== undefined && { cwd }),
      ...(terminal !== undefined && { terminal }),
    },
  };
}
