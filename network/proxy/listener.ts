import type { End } from "../../ffi/conntrack.ts";
import { closed } from "../dns/upstream.ts";
import { SandboxConnection } from "./connection.ts";
import type { SandboxTraffic } from "./sandbox.ts";

/** Connections of all sandboxes: more are not taken. */
const CONNECTIONS = 16384;
const SWEEP_MS = 1_000;

/** What a listener asks others. */
export interface Knowing {
  /** The sandbox that has an address. */
  sandboxOf(address: string): SandboxTraffic | undefined;
  /** Where a connection was meant to go. */
  originalDestination(local: End, remote: End): End | undefined;
}

/** Takes redirected connections. */
export class ConnectionListener implements Disposable {
  readonly #listeners: Deno.Listener<Deno.TcpConn>[] = [];
  readonly #open = new Set<SandboxConnection>();
  readonly #sweep: ReturnType<typeof setInterval>;

  constructor(hostnames: readonly string[], port: number, readonly knowing: Knowing) {
    for (const hostname of hostnames) {
      const listener = Deno.listen({ hostname, port: this.#listeners[0] ? this.port : port });
      this.#listeners.push(listener);
      this.#serve(listener);
    }
    this.#sweep = setInterval(() => this.#closeLate(), SWEEP_MS);
  }

  get port(): number {
    return (this.#listeners[0]!.addr as Deno.NetAddr).port;
  }

  get connections(): number {
    return this.#open.size;
  }

  async #serve(listener: Deno.Listener<Deno.TcpConn>): Promise<void> {
    for (;;) {
      try {
        this.#take(await listener.accept());
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        // No descriptor is left, or the connection is gone already: the next one may do.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  }

  #take(connection: Deno.TcpConn): void {
    const held = this.#heldOf(connection);
    if (held === undefined) return closed(connection);
    this.#open.add(held);
    held.serve().finally(() => {
      this.#open.delete(held);
      held.traffic.held.delete(held);
    });
    held.traffic.held.add(held);
  }

  #heldOf(connection: Deno.TcpConn): SandboxConnection | undefined {
    try {
      const [local, remote] = [connection.localAddr, connection.remoteAddr].map(endOf) as [End, End];
      const traffic = this.knowing.sandboxOf(remote.address);
      if (traffic === undefined || this.#open.size >= CONNECTIONS) return undefined;
      const to = this.knowing.originalDestination(local, remote);
      if (to === undefined) {
        const reason = "a connection to the proxy itself";
        traffic.record({ kind: "connect", verdict: "deny", rule: "builtin:proxy", reason, ...local });
        return undefined;
      }
      connection.setNoDelay(true);
      return new SandboxConnection(traffic, connection, to);
    } catch {
      return undefined; // it is gone already, or nothing can be recorded
    }
  }

  #closeLate(): void {
    for (const one of this.#open) if (one.deadlineMs < one.traffic.around.nowMs()) one.close();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweep);
    for (const listener of this.#listeners) closed(listener);
    for (const one of this.#open) one.close();
  }
}

function endOf(address: Deno.NetAddr): End {
  return { address: address.hostname, port: address.port };
}
