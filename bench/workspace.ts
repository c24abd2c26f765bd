import { join } from "@std/path";
import { type Bundle, compile, loadBundle, starterSpec } from "../mod.ts";
import { findPeer, ociCommand, type Peer } from "./peers.ts";

const BUSYBOX = "/bin/busybox";

/** The files of a bench, until it is disposed of: one rootfs for all, a bundle, and a place for the peers' state. */
export class Workspace implements AsyncDisposable {
  readonly path: string;
  readonly rootfs: string;
  /** The bundle: as `runc spec` makes it, its root writable, to run /bin/true. */
  readonly bundle: Bundle;
  /** The same in the host's network. */
  readonly hostNetwork: Bundle;
  /** Where peers keep their state: in memory, as /run is on most machines. */
  readonly state: string;
  readonly #peers: Peer[] = [];
  #ids = 0;

  constructor() {
    this.path = Deno.makeTempDirSync({ prefix: "ai-sandbox-bench-" });
    this.rootfs = join(this.path, "rootfs");
    for (const name of ["bin", "dev", "etc", "proc", "sys", "tmp"]) {
      Deno.mkdirSync(join(this.rootfs, name), { recursive: true });
    }
    Deno.copyFileSync(BUSYBOX, join(this.rootfs, "bin/busybox"));
    Deno.chmodSync(join(this.rootfs, "bin/busybox"), 0o755);
    for (const name of ["true", "sh", "sleep"]) Deno.symlinkSync("busybox", join(this.rootfs, "bin", name));
    this.bundle = loadBundle(this.#write("bundle"));
    const { spec, path } = this.bundle;
    const namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== "network");
    this.hostNetwork = { path, spec: { ...spec, linux: { ...spec.linux, namespaces } } };
    this.state = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "ai-sandbox-bench-" });
  }

  #write(name: string, annotations: Record<string, string> = {}, args = ["/bin/true"]): string {
    const path = join(this.path, name);
    const spec = starterSpec();
    const config = {
      ...spec,
      ociVersion: "1.0.2", // crun 1.8 takes no later minor version
      process: { ...spec.process!, args, terminal: false },
      root: { path: this.rootfs },
      annotations,
    };
    Deno.mkdirSync(path, { recursive: true });
    Deno.writeTextFileSync(join(path, "config.json"), JSON.stringify(config));
    return path;
  }

  /** The path of a bundle with the same rootfs whose config.json no runtime has seen before. */
  newBundle(): string {
    return this.#write("new-bundle", { "bench.id": this.id() });
  }

  /** A bundle with the same rootfs that runs something else, with or without a network of its own. */
  bundleOf(args: readonly string[], { network = true } = {}): Bundle {
    const { spec, path } = loadBundle(this.#write(`bundle-of-${this.id()}`, {}, [...args]));
    if (network) return { spec, path };
    const namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== "network");
    return { path, spec: { ...spec, linux: { ...spec.linux, namespaces } } };
  }

  /** Writes a bundle's sandbox as an executable of its own, and returns its path. */
  box(name: string, bundle: Bundle): string {
    const path = join(this.path, name);
    Deno.writeFileSync(path, compile({ bundle }), { mode: 0o700 });
    return path;
  }

  /** Writes a file and returns its path. */
  file(name: string, text: string): string {
    const path = join(this.path, name);
    Deno.writeTextFileSync(path, text);
    return path;
  }

  /** A name that no sandbox or container has had. */
  id(): string {
    return `bench-${Deno.pid}-${this.#ids++}`;
  }

  /** A peer whose containers will be deleted in the end, or why there is none. */
  async peer(name: Peer["name"]): Promise<Peer | string> {
    const peer = await findPeer(name);
    if (typeof peer !== "string") this.#peers.push(peer);
    return peer;
  }

  /** Deletes the files, and the containers that a failure has left. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) {
      const [program = "", ...args] = ociCommand(peer, this.state, { cgroups: true });
      for (const id of list(join(this.state, peer.name))) {
        await new Deno.Command(program, { args: [...args, "delete", "--force", id] }).output();
      }
    }
    for (const path of [this.path, this.state]) await Deno.remove(path, { recursive: true });
  }
}

function list(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.startsWith("bench-"));
  } catch {
    return [];
  }
}

/** Why sandboxes cannot be measured here; nothing if they can. */
export function missing(): string | undefined {
  if (Deno.uid() !== 0) return "needs root";
  try {
    Deno.statSync(BUSYBOX);
    return undefined;
  } catch {
    return `needs ${BUSYBOX} (busybox-static)`;
  }
}
