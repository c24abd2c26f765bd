import { open } from "../ffi/fd.ts";
import { parseMountinfo } from "../runtime/attest/parse.ts";
import type { CgroupGroup } from "../runtime/cgroup/group.ts";
import type { Prepared } from "../runtime/prepare.ts";
import type { Spec } from "../runtime/spec/config.ts";
import { configuredMounts, type LiveMounts, sourceOf } from "./external_mounts.ts";
import { unusable } from "./own_file.ts";
import type { Images } from "./open_images.ts";

/** The descriptors that take the place of a program's stdin, stdout and stderr. */
export type Stdio = readonly [number, number, number];

/** This process's own. */
export const OWN_STDIO: Stdio = [0, 1, 2];

/** The mounts that CRIU takes from the host, each with its source by the config of now. */
export function* mountKeys(
  { path, manifest }: Images,
  { spec, group, bundle }: {
    readonly spec: Spec;
    readonly group: CgroupGroup | undefined;
    readonly bundle: string;
  },
): Iterable<string> {
  if (!manifest) {
    for (const [mount, source] of configuredMounts({ spec, bundle })) yield `mnt[${mount}]:${source}`;
    return;
  }
  const host = parseMountinfo(Deno.readTextFileSync("/proc/self/mountinfo"));
  const live: LiveMounts = { spec, bundle, host, groups: group?.directories ?? [] };
  for (const mount of manifest.mounts) {
    const source = sourceOf(mount, live);
    if (source === undefined) {
      throw unusable(path, `it has a mount at "${mount.path}", which config.json does not ask for`);
    }
    yield `mnt[${mount.path}]:${source}`;
  }
}

/**
 * The network namespace that CRIU is to work in, where the images say nothing of one.
 *
 * @throws {LifecycleError} if the config of now asks for none.
 */
export function networkOf({ path, manifest }: Images, { spec }: Prepared): "new" | string | undefined {
  if (manifest?.network !== "made") return undefined;
  const namespace = spec.linux?.namespaces?.find(({ type }) => type === "network");
  if (!namespace) throw unusable(path, "it has a network namespace, and config.json asks for none");
  return namespace.path ?? "new";
}

/** What takes the place of the host's files, pipes and namespaces. */
export function inheritedFds(
  { manifest, links }: Images,
  { spec }: Prepared,
  stdioFds: Stdio,
  stack: DisposableStack,
): { fd: number; key: string }[] {
  const files = manifest?.files ??
    links.flatMap((key, stdio) => key.includes("pipe:") ? [{ key, stdio: stdio as 0 | 1 | 2 }] : []);
  const namespaces = [["network", "extRootNetNS"], ["pid", "extRootPidNS"]].flatMap(([type, key]) => {
    const path = spec.linux?.namespaces?.find((each) => each.type === type)?.path;
    return path === undefined ? [] : [{ fd: stack.use(open(path, 0)).raw, key: key! }];
  });
  return [...files.map(({ key, stdio }) => ({ fd: stdioFds[stdio], key })), ...namespaces];
}
