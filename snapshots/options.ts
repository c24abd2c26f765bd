import { UsageError } from "../runtime/errors.ts";
import type { StoreOptions } from "../runtime/lifecycle/container.ts";
import { CGROUP_MODE, type CriuSwitch } from "../ffi/criu.ts";
import { NAMESPACE_FLAG } from "../runtime/plan/kernel.ts";

/** What a checkpoint and a restore have in common; the words are runc's. */
export interface CriuOptions extends StoreOptions {
  /** Directory of the images. @default `./checkpoint` */
  readonly imagePath?: string | undefined;
  /** Directory of CRIU's logs. @default that of the images */
  readonly workPath?: string | undefined;
  /** Open TCP connections are kept. */
  readonly tcpEstablished?: boolean;
  /** TCP connections that nobody has accepted yet are left out. */
  readonly tcpSkipInFlight?: boolean;
  /** Unix sockets whose other end is outside are kept. */
  readonly extUnixSk?: boolean;
  /** Processes of a session that began outside are kept. */
  readonly shellJob?: boolean;
  /** File locks are kept. */
  readonly fileLocks?: boolean;
  /** Open files whose name is gone, but that have others, are kept. */
  readonly linkRemap?: boolean;
  /** Pages that are there anew are dropped from the parent's images. */
  readonly autoDedup?: boolean;
  /**
   * In a restore: memory is fetched later, from a `criu lazy-pages` that runs already. In a checkpoint: most memory is left
   * out of the images, and served at `pageServer` to one that fetches it; the container is held until then.
   */
  readonly lazyPages?: boolean;
  /** `soft`, `full`, `strict` or `ignore`. */
  readonly manageCgroupsMode?: string | undefined;
  /** Namespaces whose content is left out; `network` is known. */
  readonly emptyNs?: readonly string[];
  /** Path of CRIU. @default the one that `./setup` has unpacked, or the system's */
  readonly criu?: string | undefined;
}

/** The switches of CRIU that options turn on. */
export function switchesOf(options: CriuOptions): CriuSwitch[] {
  const on: readonly [boolean | undefined, CriuSwitch][] = [
    [options.tcpEstablished, "tcp_established"],
    [options.tcpSkipInFlight, "tcp_skip_in_flight"],
    [options.extUnixSk, "ext_unix_sk"],
    [options.shellJob, "shell_job"],
    [options.fileLocks, "file_locks"],
    [options.linkRemap, "link_remap"],
    [options.autoDedup, "auto_dedup"],
  ];
  return on.flatMap(([given, name]) => given ? [name] : []);
}

/** How cgroups are kept, as a number of CRIU's. @throws {UsageError} if there is no such mode. */
export function cgroupModeOf(mode: string | undefined): number | undefined {
  if (mode === undefined) return undefined;
  if (Object.hasOwn(CGROUP_MODE, mode)) return CGROUP_MODE[mode as keyof typeof CGROUP_MODE];
  throw new UsageError(`Invalid manage-cgroups-mode value "${mode}": it is soft, full, strict or ignore`);
}

/** The flags of namespaces that are left empty. @throws {UsageError} for one that cannot be. */
export function emptyNamespaces(names: readonly string[] = []): number {
  for (const name of names) {
    if (name !== "network") throw new UsageError(`namespace "${name}" is not supported`);
  }
  return names.length > 0 ? NAMESPACE_FLAG.network : 0;
}
