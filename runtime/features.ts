import { hasSeccomp } from "../ffi/seccomp.ts";
import { attempt } from "../ffi/errno.ts";
import { libc } from "../ffi/libc.ts";
import type { Arch } from "./host/facts.ts";
import { probeHost, probeLandlock } from "./host/probe.ts";
import { ERRNO, syscallNumber } from "./plan/abi.ts";
import { knownMountOptions } from "./plan/mount_options.ts";
import { FLAGS } from "./seccomp/numbers.ts";
import type { StringMap } from "./spec/config.ts";
import type { Features, SeccompFeatures } from "./spec/features.ts";
import {
  CAPABILITIES,
  HOOKS,
  MEMORY_POLICY_FLAGS,
  MEMORY_POLICY_MODES,
  NAMESPACES,
  SECCOMP_ACTIONS,
  SECCOMP_ARCHES,
  SECCOMP_FLAGS,
  SECCOMP_OPERATORS,
  type SeccompFlag,
} from "./spec/words.ts";

const SECCOMP_SET_MODE_FILTER = 1n;

/**
 * The features document of the OCI runtime specification: what this version can apply, whatever a bundle asks for.
 * What is refused by name is not in it.
 *
 * @param annotations Free words to put into it, such as the version; the version of Landlock's interface is there already.
 *
 * @example
 * ```ts
 * import { ok } from "node:assert/strict";
 * import { features } from "../mod.ts";
 * ok(features().linux?.namespaces?.includes("user"));
 * ```
 */
export function features(annotations: StringMap<string> = {}): Features {
  const { arch, lastCapability } = probeHost();
  return {
    ociVersionMin: "1.0.0",
    ociVersionMax: "1.3.0",
    hooks: HOOKS,
    mountOptions: knownMountOptions(),
    linux: {
      namespaces: NAMESPACES,
      capabilities: CAPABILITIES.slice(0, lastCapability + 1),
      cgroup: {
        v1: true,
        v2: true,
        systemd: true,
        systemdUser: true,
        rdma: true,
      },
      seccomp: seccomp(arch),
      apparmor: { enabled: true },
      selinux: { enabled: true },
      memoryPolicy: { modes: MEMORY_POLICY_MODES, flags: MEMORY_POLICY_FLAGS },
      intelRdt: { enabled: true, schemata: true, monitoring: true },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: true },
    },
    annotations: { "ai-sandbox.landlock": String(probeLandlock() ?? 0), ...annotations },
    potentiallyUnsafeConfigAnnotations: [],
  };
}

function seccomp(arch: Arch): SeccompFeatures {
  return {
    enabled: hasSeccomp(),
    actions: SECCOMP_ACTIONS,
    operators: SECCOMP_OPERATORS,
    archs: SECCOMP_ARCHES,
    knownFlags: SECCOMP_FLAGS,
    // One more is applied beside a listener, and means nothing to a filter without one: whoever goes by this list of runc's
    // does not know it.
    supportedFlags: SECCOMP_FLAGS.filter((flag) => flag !== BESIDE_LISTENER && hasFlag(flag, arch)),
  };
}

const BESIDE_LISTENER = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";

/** Asks for a filter at no address: the kernel looks at the flags first, and installs nothing (seccomp(2)). */
function hasFlag(flag: SeccompFlag, arch: Arch): boolean {
  const number = BigInt(syscallNumber("seccomp", arch));
  const ask = (): bigint => libc.syscall(number, SECCOMP_SET_MODE_FILTER, BigInt(FLAGS[flag]), 0n, 0n);
  return attempt(ask, ERRNO.EFAULT) === -ERRNO.EFAULT;
}
