import { fromFileUrl } from "@std/path";
import { ociCommand, type Peer } from "./peers.ts";
import { runtimeFile } from "./runtime_file.ts";
import type { Workspace } from "./workspace.ts";

const MAIN = fromFileUrl(new URL("../cli/main.ts", import.meta.url));

/** One command line of the comparison of starts. */
export interface Contender {
  /** Letter in the tables. */
  readonly key: string;
  readonly name: string;
  /** Whether to go on without it where it fails. */
  readonly optional?: boolean;
  /** The words of a run; `id` is one that was never used. */
  args(id: string): readonly string[];
}

/** All command lines that this machine can run; `notes` says what they are, and which are missing. */
export async function contenders(workspace: Workspace, notes: string[]): Promise<Contender[]> {
  const { bundle: { path: bundle }, rootfs, state } = workspace;
  const box = workspace.box("box", workspace.bundle);
  const hostNetworkBox = workspace.box("host-network-box", workspace.hostNetwork);
  const runtime = await runtimeFile();
  const deno = Deno.execPath();
  const empty = workspace.file("empty.js", "");
  const found: Contender[] = [
    { key: "a", name: "compiled image, overlay", args: () => [box] },
    { key: "b", name: "… in the host's network", args: () => [hostNetworkBox] },
  ];
  const add = async (name: Peer["name"], keys: string, make: (peer: Peer) => Contender[]): Promise<void> => {
    const peer = await workspace.peer(name);
    if (typeof peer === "string") notes.push(`No ${keys}: ${peer}.`);
    else {
      notes.push(`${keys}: ${peer.version}.`);
      found.push(...make(peer).map((one) => ({ ...one, optional: true })));
    }
  };
  const bind = ["--unshare-all", "--bind", rootfs, "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"];
  const run = ["run", "--bundle", bundle];
  await add(
    "bwrap",
    "c",
    ({ path }) => [{ key: "c", name: "bwrap --unshare-all", args: () => [path, ...bind] }],
  );
  await add("crun", "d and k", (crun) => [
    {
      key: "d",
      name: "crun run, cgroups disabled",
      args: (id) => [...ociCommand(crun, state, { cgroups: false }), ...run, id],
    },
    {
      key: "k",
      name: "crun run",
      args: (id) => [...ociCommand(crun, state, { cgroups: true }), ...run, id],
    },
  ]);
  await add("runc", "e", (runc) => [
    { key: "e", name: "runc run", args: (id) => [...ociCommand(runc, state, { cgroups: true }), ...run, id] },
  ]);
  found.push(
    { key: "f", name: "bin/runtime run --bundle, no overlay", args: (id) => [runtime, ...run, id] },
    {
      key: "l",
      name: "… a bundle that was never run",
      args: (id) => [runtime, "run", "--bundle", workspace.newBundle(), id],
    },
    { key: "g", name: "bin/runtime run, overlay, as run before", args: () => [runtime, "run", bundle] },
    { key: "h", name: "deno run cli/main.ts run", args: () => [deno, "run", "-A", MAIN, "run", bundle] },
    { key: "i", name: "deno run empty.js", args: () => [deno, "run", "-A", empty] },
    { key: "j", name: "bin/runtime --version", args: () => [runtime, "--version"] },
    { key: "n", name: "… answered by Deno", args: () => [runtime, "--debug", "--version"] },
    { key: "m", name: "/bin/true without a sandbox", args: () => [`${rootfs}/bin/true`] },
  );
  notes.push("d, e, f, g, h and k have the same config.json, that of l has another annotation each time.");
  return found;
}
