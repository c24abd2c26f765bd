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
  /** The oldest version of the specification that it takes. */
  readonly ociVersionMin: string;
  /** The newest version of the specification that it takes. */
  readonly ociVersionMax: string;
  /** Kinds of hooks that it runs. */
  readonly hooks?: readonly HookName[];
  /** Mount options that it knows itself. */
  readonly mountOptions?: readonly string[];
  /** Free words about the runtime, such as its version. */
  readonly annotations?: StringMap<string>;
  /** Annotations that change what the runtime does; one that ends with a dot is a prefix. */
  readonly potentiallyUnsafeConfigAnnotations?: readonly string[];
  /** The features that only Linux has. */
  readonly linux?: LinuxFeatures;
}

/** The features that only Linux has. */
export interface LinuxFeatures {
  /** Kinds of namespaces that it knows. */
  readonly namespaces?: readonly NamespaceType[];
  /** Names of the capabilities that it knows. */
  readonly capabilities?: readonly string[];
  /** How it uses cgroups. */
  readonly cgroup?: CgroupFeatures;
  /** The words of seccomp that it knows. */
  readonly seccomp?: SeccompFeatures;
  /** Whether it can apply AppArmor profiles. */
  readonly apparmor?: Enabled;
  /** Whether it can apply SELinux labels. */
  readonly selinux?: Enabled;
  /** The NUMA words that it knows. */
  readonly memoryPolicy?: MemoryPolicyFeatures;
  /** The parts of Intel's Resource Director that it knows. */
  readonly intelRdt?: IntelRdtFeatures;
  /** Kinds of mounts beyond mount(2): whether it makes id-mapped ones. */
  readonly mountExtensions?: { readonly idmap?: Enabled };
  /** Whether it can move network devices in. */
  readonly netDevices?: Enabled;
}

/** Whether the runtime has some feature at all. */
export interface Enabled {
  /** Undefined where that is not known. */
  readonly enabled?: boolean;
}

/** Kinds of cgroup hierarchies and managers. */
export interface CgroupFeatures {
  /** Whether it manages cgroup v1. */
  readonly v1?: boolean;
  /** Whether it manages cgroup v2. */
  readonly v2?: boolean;
  /** Whether it can let the system's systemd do so. */
  readonly systemd?: boolean;
  /** Whether it can let the user's systemd do so. */
  readonly systemdUser?: boolean;
  /** Whether it can limit RDMA devices. */
  readonly rdma?: boolean;
}

/** The seccomp words that the runtime knows. */
export interface SeccompFeatures extends Enabled {
  /** Actions that it knows. */
  readonly actions?: readonly SeccompAction[];
  /** Operators that it knows. */
  readonly operators?: readonly SeccompOperator[];
  /** Architectures that it knows. */
  readonly archs?: readonly SeccompArch[];
  /** Flags that it knows. */
  readonly knownFlags?: readonly SeccompFlag[];
  /** Those of the flags that this build can set. */
  readonly supportedFlags?: readonly SeccompFlag[];
}

/** The NUMA words that the runtime knows. */
export interface MemoryPolicyFeatures {
  /** Policies that it knows. */
  readonly modes?: readonly MemoryPolicyMode[];
  /** Flags that it knows. */
  readonly flags?: readonly MemoryPolicyFlag[];
}

/** The parts of Intel's Resource Director that the runtime knows. */
export interface IntelRdtFeatures extends Enabled {
  /** Whether it knows `intelRdt.schemata`. */
  readonly schemata?: boolean;
  /** Whether it knows `intelRdt.enableMonitoring`. */
  readonly monitoring?: boolean;
}
