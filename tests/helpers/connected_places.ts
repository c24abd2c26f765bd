import { equal } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import type { Lease } from "../../network/leases.ts";
import { NetworkWorld, Place } from "./network_world.ts";

const helper = (name: string): string => fromFileUrl(new URL(`${name}`, import.meta.url));
/** Says what a server answers, or why there is no answer. */
const TALK = `
import socket, sys
kind, address, port = sys.argv[1:4]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(30)
try:
    s.connect((address, int(port))); s.send(b"ping"); print(s.recv(100).decode())
except Exception as e: print(type(e).__name__, e)
`;

/** Namespaces that are connected with a network as sandboxes are, without the runtime. */
export class Connected implements AsyncDisposable {
  constructor(
    readonly world: NetworkWorld,
    readonly boxes: readonly Place[],
    readonly leases: readonly Lease[],
  ) {}

  /** Connects so many. */
  static async create(count: number, mode = "policy"): Promise<Connected> {
    const world = await NetworkWorld.create();
    const boxes = await Promise.all(Array.from({ length: count }, () => Place.create()));
    const args = [helper("connect_place.ts"), world.network, ...boxes.map(({ pid }) => `${pid}`)];
    const said = await world.host.run([Deno.execPath(), "run", "--quiet", "-A", ...args], {
      env: { MODE: mode },
    });
    equal(said.stderr, "");
    return new Connected(world, boxes, said.stdout.trim().split("\n").map((line) => JSON.parse(line)));
  }

  /** Calls a method of the network's firewall. */
  async firewall(method: string, ...args: unknown[]): Promise<unknown> {
    const words = args.map((each) => JSON.stringify(each));
    const { stdout, stderr } = await this.world.host.deno(
      helper("firewall_call.ts"),
      this.world.network,
      method,
      ...words,
    );
    equal(stderr, "");
    return JSON.parse(stdout);
  }

  /** What a server answers one of them. */
  async talk(box: Place, kind: string, address: string, port: number): Promise<string> {
    return (await box.output("python3", "-c", TALK, kind, address, `${port}`)).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const box of this.boxes) await box[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }
}
