import { join } from "@std/path";
import { ociCommand, type Peer } from "./peers.ts";
import type { Workspace } from "./workspace.ts";

/** What runs at a time; the peers start slower with more, on two cores. */
const CONCURRENCY = 4;
const QUIET = { stdin: "null", stdout: "null", stderr: "null" } as const;

/** Makes containers of a peer that live at the same time. */
export class PeerCrowd {
  readonly name: string;
  readonly #command: readonly string[];
  readonly #workspace: Workspace;

  constructor(peer: Peer, workspace: Workspace) {
    this.name = `${peer.name} run --detach`;
    this.#command = ociCommand(peer, workspace.state, { cgroups: false });
    this.#workspace = workspace;
  }

  /** Starts `count` of them; disposing deletes them. @throws {Error} if one cannot be started. */
  async fill(bundle: string, count: number): Promise<AsyncDisposable> {
    await using made = new AsyncDisposableStack();
    let left = count;
    const one = async (): Promise<void> => {
      while (left-- > 0) {
        const id = this.#workspace.id();
        const file = join(this.#workspace.path, `pid-${id}`);
        made.defer(() => this.#run("delete", "--force", id));
        await this.#run("run", "--detach", "--bundle", bundle, "--pid-file", file, id);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, one));
    return made.move();
  }

  async #run(...args: string[]): Promise<void> {
    const [program = "", ...common] = this.#command;
    const { success } = await new Deno.Command(program, { args: [...common, ...args], ...QUIET }).output();
    if (!success) throw new Error(`Cannot measure ${program}: "${args.join(" ")}" fails`);
  }
}
