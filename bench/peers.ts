import { probeHost } from "../runtime/host/probe.ts";

/** A program that does what ours does. */
export interface Peer {
  readonly name: "bwrap" | "crun" | "runc";
  readonly path: string;
  readonly version: string;
}

/** A peer, or why there is none. */
export async function findPeer(name: Peer["name"]): Promise<Peer | string> {
  if (name !== "bwrap" && probeHost().cgroups.length === 0) {
    return `${name} needs cgroups, and none are mounted`;
  }
  for (const folder of (Deno.env.get("PATH") ?? "/usr/bin:/usr/sbin").split(":")) {
    const path = `${folder}/${name}`;
    const found = await Deno.stat(path).then((info) => info.isFile, () => false);
    if (!found) continue;
    const { success, stdout } = await new Deno.Command(path, { args: ["--version"] }).output();
    const version = new TextDecoder().decode(stdout).split("\n")[0]!.trim();
    return success ? { name, path, version } : `${path} --version fails`;
  }
  return `${name} is not installed`;
}

/** The beginning of every command line of an OCI peer, with its state in `folder`. */
export function ociCommand(
  { name, path }: Peer,
  folder: string,
  { cgroups }: { readonly cgroups: boolean },
): string[] {
  // runc has no such switch: it always makes a cgroup.
  const manager = name === "crun" ? [`--cgroup-manager=${cgroups ? "cgroupfs" : "disabled"}`] : [];
  return [path, "--root", `${folder}/${name}`, ...manager];
}
