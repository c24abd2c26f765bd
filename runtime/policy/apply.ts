import { SpecError, UnsupportedError } from "../errors.ts";
import type { Host } from "../host/facts.ts";
import { RANGE_IDS } from "../id_range.ts";
import { type Confinement, UNASSIGNED_ID } from "../plan/context.ts";
import { mountOptions } from "../plan/mount_options.ts";
import type { Mount, Spec } from "../spec/config.ts";
import { compiledFilters } from "./compiled.ts";
import { observingFilter } from "./observing.ts";
import type { Policy } from "./policy.ts";

/** Of a sandbox whose bundle names none. */
const HOST_NAME = "sandbox";
type Process = NonNullable<Spec["process"]>;
type Rlimits = NonNullable<Process["rlimits"]>;

/**
 * The spec cut down to what `policy` allows; what it asks for less is kept.
 *
 * @throws {SpecError} if it asks for users that the policy forbids.
 */
export function underPolicy(spec: Spec, policy: Policy, host: Host): Spec {
  const { process, linux } = spec;
  const limited: Spec = {
    ...spec,
    ...(process && { process: limitedProcess(process, policy) }),
    ...(spec.mounts && policy.userNamespace.own && { mounts: spec.mounts.map(withoutDevices) }),
    linux: {
      ...linux,
      namespaces: [
        ...linux?.namespaces ?? [],
        ...policy.namespaces.own
          .filter((type) => !linux?.namespaces?.some((each) => each.type === type))
          .map((type) => ({ type })),
      ],
      maskedPaths: union(linux?.maskedPaths, policy.maskedPaths.paths),
      readonlyPaths: union(linux?.readonlyPaths, policy.readonlyPaths.paths),
    },
  };
  const named = withOwnName(limited, policy);
  return policy.userNamespace.own ? withOwnUsers(named, policy, host) : named;
}

/** A new UTS namespace begins with the host's name, which is none of the program's business. */
function withOwnName(spec: Spec, policy: Policy): Spec {
  const own = policy.namespaces.own.includes("uts") &&
    spec.linux?.namespaces?.some(({ type, path }) => type === "uts" && path === undefined);
  return own && spec.hostname === undefined ? { ...spec, hostname: HOST_NAME } : spec;
}

/** Files of the host come without devices among them, unless the mount asks for these by `dev`: no user namespace shuts them. */
function withoutDevices(mount: Mount): Mount {
  const { options = [], type } = mount;
  const isBind = mountOptions(options, type).bind;
  if (!isBind || options.some((option) => /^r?(no)?dev$/.test(option))) return mount;
  return { ...mount, options: [...options, "rnodev"] };
}

function limitedProcess(process: Process, policy: Policy): Process {
  const { capabilities: { allow }, rlimits: { limits }, oomScoreAdj: score } = policy;
  const { capabilities, rlimits, oomScoreAdj = 0 } = process;
  const within = (names: readonly string[] | undefined) => allow.filter((name) => names?.includes(name));
  return {
    ...process,
    noNewPrivileges: true,
    ...(score && { oomScoreAdj: Math.max(oomScoreAdj, score.least) }),
    ...(capabilities && {
      capabilities: {
        bounding: within(capabilities.bounding),
        permitted: within(capabilities.permitted),
        effective: within(capabilities.effective),
      },
    }),
    ...(rlimits && {
      rlimits: rlimits.map((asked) => {
        const most = limits.find(({ type }) => type === asked.type);
        return most
          ? { ...asked, soft: least(asked.soft, most.soft), hard: least(asked.hard, most.hard) }
          : asked;
      }),
    }),
  };
}

function least(a: number | bigint, b: number): number | bigint {
  return a < b ? a : b;
}

function union(a: readonly string[] = [], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])];
}

/** A user namespace whose ids are nobody's on the host. Without root's rights there is one already: see rootless.ts. */
function withOwnUsers(spec: Spec, { name }: Policy, { privileged }: Host): Spec {
  const { namespaces = [], uidMappings = [], gidMappings = [] } = spec.linux ?? {};
  const refuse = (pointer: string, why: string): SpecError =>
    new SpecError("config.json", [{
      pointer: `/linux/${pointer}`,
      message: `Cannot use it under policy "${name}": ${why}`,
    }]);
  const index = namespaces.findIndex(({ type }) => type === "user");
  if (namespaces[index]?.path !== undefined) {
    throw refuse(`namespaces/${index}/path`, "root of another's user namespace may be root of the host");
  }
  if (!privileged) return spec;
  for (const [key, maps] of Object.entries({ uidMappings, gidMappings })) {
    const root = maps.findIndex(({ hostID }) => hostID === 0);
    if (root >= 0) throw refuse(`${key}/${root}`, "it makes somebody inside root of the host");
  }
  if (index >= 0 && uidMappings.length > 0 && gidMappings.length > 0) return spec;
  const range = [{ containerID: 0, hostID: UNASSIGNED_ID, size: RANGE_IDS }];
  return {
    ...spec,
    linux: {
      ...spec.linux,
      namespaces: index >= 0 ? namespaces : [...namespaces, { type: "user" }],
      uidMappings: range,
      gidMappings: range,
    },
  };
}

/** How a policy's word about system calls is kept. */
export interface ConfinementOptions {
  /** By somebody who hears of all calls and answers them, instead of by the kernel. */
  readonly observed?: boolean;
}

/** What `policy` adds beside the spec. @throws {UnsupportedError} without libseccomp. */
export function confinement(
  policy: Policy,
  host: Host,
  spec: Spec,
  { observed = false }: ConfinementOptions = {},
): Confinement {
  const listens = observed || kills(policy);
  if (listens && spec.linux?.seccomp?.syscalls?.some(({ action }) => action === "SCMP_ACT_NOTIFY")) {
    throw new UnsupportedError(
      "/linux/seccomp",
      `SCMP_ACT_NOTIFY and ${
        observed ? "learning" : `policy "${policy.name}"`
      }, which listens itself, exclude each other`,
      observed ? "use another action" : "use policy default, or another action",
    );
  }
  const asked = spec.process?.rlimits ?? [];
  return {
    filters: observed ? [observingFilter(host)] : compiledFilters(policy, host),
    rlimits: policy.rlimits.limits.filter(({ type }) => !asked.some((each) => each.type === type)) as Rlimits,
    userLimits: policy.userLimits?.limits ?? {},
  };
}

function kills({ seccomp: { groups } }: Policy): boolean {
  return groups.some(({ action }) => action === "kill");
}
