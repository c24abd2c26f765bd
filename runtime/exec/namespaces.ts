import type { NamespaceType, Spec } from "../spec/config.ts";

/** The links in /proc/<pid>/ns. */
export const NAMESPACE_FILES: Readonly<Record<NamespaceType, string>> = {
  user: "user",
  mount: "mnt",
  pid: "pid",
  network: "net",
  ipc: "ipc",
  uts: "uts",
  cgroup: "cgroup",
  time: "time",
};

/** Whether init's root is that of its mount namespace: where that was made for it. */
export function hasNewMounts(spec: Pick<Spec, "linux">): boolean {
  return spec.linux?.namespaces?.some(({ type, path }) => type === "mount" && path === undefined) ?? false;
}

/** The namespaces of a process that are not ours: setns(2) refuses to enter one's own user namespace again. */
export function foreignNamespaces(pid: number): NamespaceType[] {
  const types = Object.keys(NAMESPACE_FILES) as NamespaceType[];
  return types.filter((type) => {
    const own = link("self", NAMESPACE_FILES[type]);
    // A kernel without such namespaces has no file of that name.
    return own !== undefined && link(pid, NAMESPACE_FILES[type]) !== own;
  });
}

function link(pid: number | "self", file: string): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/${file}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && pid === "self") return undefined;
    throw error;
  }
}
