/** The OCI runtime specification 1.3, features: what a runtime knows, whatever the host allows. */

import type { StringMap } from "./config.ts";
import type {
  HookName,
  MemoryPolicyFlag,
  MemoryPolicyMode,
  NamespaceType,
  SeccompAction,
  SeccompArch,
  SeccompFlag,
  SeccompOperator,
} from "./words.ts";

/** The features document. */
export interface Features {
  readonly ociVersionMin: string;
  readonly ociVersionMax: string;
  readonly hooks?: readonly HookName[];
  readonly mountOptions?: readonly string[];
  readonly annotations?: StringMap<string>;
  /** Annotations that change what the runtime does; one that ends with a dot is a prefix. */
  readonly potentiallyUnsafeConfigAnnotations?: readonly string[];
  readonly linux?: LinuxFeatures;
}

/** The features that only Linux has. */
export interface LinuxFeatures {
  readonly namespaces?: readonly NamespaceType[];
  readonly capabilities?: readonly string[];
  readonly cgroup?: CgroupFeatures;
  readonly seccomp?: SeccompFeatures;
  readonly apparmor?: Enabled;
  readonly selinux?: Enabled;
  readonly memoryPolicy?: MemoryPolicyFeatures;
  readonly intelRdt?: IntelRdtFeatures;
  readonly mountExtensions?: { readonly idmap?: Enabled };
  readonly netDevices?: Enabled;
}

/** Whether the runtime has some feature at all. */
export interface Enabled {
  readonly enabled?: boolean;
}

/** Kinds of cgroup hierarchies and managers. */
export interface CgroupFeatures {
  readonly v1?: boolean;
  readonly v2?: boolean;
  readonly systemd?: boolean;
  readonly systemdUser?: boolean;
  readonly rdma?: boolean;
}

/** The seccomp words that the runtime knows. */
export interface SeccompFeatures extends Enabled {
  readonly actions?: readonly SeccompAction[];
  readonly operators?: readonly SeccompOperator[];
  readonly archs?: readonly SeccompArch[];
  readonly knownFlags?: readonly SeccompFlag[];
  readonly supportedFlags?: readonly SeccompFlag[];
}

/** The NUMA words that the runtime knows. */
export interface MemoryPolicyFeatures {
  readonly modes?: readonly MemoryPolicyMode[];
  readonly flags?: readonly MemoryPolicyFlag[];
}

/** The parts of Intel's Resource Director that the runtime knows. */
export interface IntelRdtFeatures extends Enabled {
  readonly schemata?: boolean;
  readonly monitoring?: boolean;
}
