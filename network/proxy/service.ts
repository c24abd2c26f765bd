import { ConnectionTracking, type End } from "../../ffi/conntrack.ts";
import { PacketLog } from "../../ffi/nflog.ts";
import { loadPackets } from "../dns/answer.ts";
import { Resolver } from "../dns/resolver.ts";
import { NameListener } from "../dns/server.ts";
import { hostNameServers, type NameServer, nameServers } from "../dns/upstream.ts";
import type { NetworkPolicy } from "../policy/policy.ts";
import { Authority, type Leaf } from "./authority.ts";
import type { ControlAnswer, ControlRequest, ProxiedSandbox } from "./control.ts";
import { ConnectionListener } from "./listener.ts";
import { readPacket } from "./packet.ts";
import { type AuditSink, type PinFirewall, SandboxTraffic, type Surroundings } from "./sandbox.ts";

/** How often refused packets are looked for, and how many are taken at a time. */
const [PACKETS_MS, PACKETS_AT_ONCE, PACKET_BYTES] = [200, 1024, 128];

/** Where a proxy is, and what it works with. */
export interface ServiceOptions {
  /** Addresses of the bridge, to listen on. */
  readonly hostnames: readonly string[];
  /** Ports to listen on; 0 or nothing for any that is free. */
  readonly tcpPort?: number;
  readonly dnsPort?: number;
  readonly firewall: PinFirewall;
  /** Opens the log of a sandbox. */
  readonly openAudit: (path: string) => AuditSink;
  /** The group to which the firewall logs refused packets; nothing to look at none. */
  readonly logGroup?: number;
  /** Takes up an authority that a sandbox has had before, and keeps new ones. */
  readonly authorities?: {
    known(id: string): Leaf | undefined;
    keep(id: string, authority: Leaf | undefined): void;
  };
  /** Keeps secrets for a proxy that takes the place of this one. */
  readonly credentials?: {
    keep(sandbox: Pick<ProxiedSandbox, "id" | "ipv4">, secrets?: ProxiedSandbox["credentials"]): void;
  };
}

/** Decides over the traffic of all sandboxes of a network. */
export class ProxyService implements Disposable {
  readonly #sandboxes = new Map<string, { readonly traffic: SandboxTraffic; readonly resolver: Resolver }>();
  readonly #byAddress = new Map<string, { readonly traffic: SandboxTraffic; readonly resolver: Resolver }>();
  readonly #around: Surroundings;
  readonly #tracking: ConnectionTracking;
  readonly #connections: ConnectionListener;
  readonly #names: NameListener[] = [];
  readonly #packets: PacketLog | undefined;
  readonly #timer: ReturnType<typeof setInterval> | undefined;

  private constructor(readonly options: ServiceOptions) {
    using stack = new DisposableStack();
    this.#around = { firewall: options.firewall, nowMs: () => performance.now() };
    this.#tracking = stack.use(new ConnectionTracking());
    this.#connections = stack.use(
      new ConnectionListener(options.hostnames, options.tcpPort ?? 0, {
        sandboxOf: (address) => this.#byAddress.get(address)?.traffic,
        originalDestination: (local: End, remote: End) => this.#tracking.originalDestination(local, remote),
      }),
    );
    if (options.logGroup !== undefined) {
      this.#packets = stack.use(new PacketLog(options.logGroup, PACKET_BYTES));
      this.#timer = setInterval(() => this.#recordPackets(), PACKETS_MS);
    }
    stack.move();
  }

  /** Begins to listen; nobody is known yet. */
  static async start(options: ServiceOptions): Promise<ProxyService> {
    await loadPackets();
    const service = new ProxyService(options);
    try {
      for (const hostname of options.hostnames) await service.#listenForNames(hostname);
      return service;
    } catch (error) {
      service[Symbol.dispose]();
      throw error;
    }
  }

  async #listenForNames(hostname: string): Promise<void> {
    const port = this.#names[0]?.port ?? this.options.dnsPort ?? 0;
    this.#names.push(
      await NameListener.open(
        hostname,
        port,
        (from, bytes, by) =>
          this.#byAddress.get(from)?.resolver.answer(bytes, by) ?? Promise.resolve(undefined),
      ),
    );
  }

  /** Where it listens. */
  get ports(): { readonly tcpPort: number; readonly dnsPort: number } {
    return { tcpPort: this.#connections.port, dnsPort: this.#names[0]!.port };
  }

  /** The sandboxes that it knows. */
  get sandboxes(): ProxiedSandbox[] {
    return [...this.#sandboxes.values()].map(({ traffic }) => traffic.sandbox);
  }

  /** How many sandboxes there are. */
  get size(): number {
    return this.#sandboxes.size;
  }

  /** Does what is asked. */
  async control(request: ControlRequest): Promise<ControlAnswer> {
    switch (request.do) {
      case "add": {
        const certificate = await this.#add(request.sandbox, request.wasThere);
        return certificate === undefined ? { ok: true } : { ok: true, certificate };
      }
      case "update": {
        const certificate = await this.#update(request.id, request.policy);
        return certificate === undefined ? { ok: true } : { ok: true, certificate };
      }
      case "remove":
        this.#remove(request.id);
        return { ok: true };
      case "status": {
        const sandboxes = [...this.#sandboxes.keys()];
        const residentBytes = Deno.memoryUsage().rss;
        const connections = this.#connections.connections;
        return { ok: true, status: { pid: Deno.pid, sandboxes, connections, ...this.ports, residentBytes } };
      }
      default:
        request satisfies never;
        return { ok: false, error: "Cannot do that: it is unknown" };
    }
  }

  /** Takes a sandbox up; one that has the same id is taken for gone. */
  async #add(sandbox: ProxiedSandbox, wasThere = false): Promise<string | undefined> {
    const servers = serversOf(sandbox.policy);
    const authority = await this.#authority(sandbox.id, sandbox.policy);
    for (const address of [sandbox.ipv4, sandbox.ipv6]) {
      const other = address === undefined ? undefined : this.#byAddress.get(address)?.traffic.sandbox.id;
      if (other !== undefined && other !== sandbox.id) {
        throw new Error(`Cannot take "${sandbox.id}" up: "${other}" has its address`);
      }
    }
    if (this.#sandboxes.has(sandbox.id)) this.#remove(sandbox.id, true);
    using audit = new DisposableStack();
    const log = audit.use(this.options.openAudit(sandbox.audit));
    const traffic = new SandboxTraffic(sandbox, log, this.#around, servers, wasThere);
    traffic.authority = authority;
    traffic.record({
      kind: "policy",
      verdict: "allow",
      rule: "builtin:policy",
      reason: "the sandbox is taken up",
    });
    traffic.pinStatic();
    this.options.credentials?.keep(sandbox, sandbox.credentials);
    audit.move();
    const one = { traffic, resolver: new Resolver(traffic) };
    this.#sandboxes.set(sandbox.id, one);
    for (const address of [sandbox.ipv4, sandbox.ipv6]) {
      if (address !== undefined) this.#byAddress.set(address, one);
    }
    return authority?.pem.certificate;
  }

  async #update(id: string, policy: NetworkPolicy): Promise<string | undefined> {
    const servers = serversOf(policy);
    const { traffic } = this.#known(id);
    traffic.authority ??= await this.#authority(id, policy);
    traffic.record({
      kind: "policy",
      verdict: "allow",
      rule: "builtin:policy",
      reason: "the policy is another now",
    });
    traffic.update(policy, servers);
    return traffic.authority?.pem.certificate;
  }

  #remove(id: string, comesBack = false): void {
    const { traffic } = this.#known(id);
    this.#recordPackets(); // its last are there already
    this.#sandboxes.delete(id);
    for (const [address, one] of this.#byAddress) {
      if (one.traffic === traffic) this.#byAddress.delete(address);
    }
    traffic.unpin();
    traffic[Symbol.dispose]();
    if (comesBack) return;
    this.options.authorities?.keep(id, undefined);
    this.options.credentials?.keep(traffic.sandbox);
  }

  #known(id: string): { readonly traffic: SandboxTraffic } {
    const one = this.#sandboxes.get(id);
    if (!one) throw new Error(`Cannot find the sandbox "${id}": the proxy does not know it`);
    return one;
  }

  async #authority(id: string, policy: NetworkPolicy): Promise<Authority | undefined> {
    if (!policy.allow.some(({ inspect }) => inspect)) return undefined;
    const before = this.#sandboxes.get(id)?.traffic.authority;
    if (before) return before;
    const known = this.options.authorities?.known(id);
    const authority = await Authority.make(known);
    if (!known) this.options.authorities?.keep(id, authority.pem);
    return authority;
  }

  #recordPackets(): void {
    for (const bytes of this.#packets?.take(PACKETS_AT_ONCE) ?? []) {
      const packet = readPacket(bytes);
      const traffic = packet && this.#byAddress.get(packet.source)?.traffic;
      if (!packet || !traffic) continue;
      const port = packet.port === undefined ? {} : { port: packet.port };
      const what = { address: packet.destination, protocol: packet.protocol, ...port };
      try {
        const reason = "no rule lets the packet through";
        traffic.record({ kind: "packet", verdict: "deny", rule: "builtin:packet", reason, ...what });
      } catch {
        // It did not pass, recorded or not.
      }
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const { traffic } of this.#sandboxes.values()) traffic[Symbol.dispose]();
    this.#sandboxes.clear();
    this.#byAddress.clear();
    for (const each of this.#names) each[Symbol.dispose]();
    this.#connections[Symbol.dispose]();
    this.#packets?.[Symbol.dispose]();
    this.#tracking[Symbol.dispose]();
  }
}

function serversOf(policy: NetworkPolicy): readonly NameServer[] {
  return policy.nameServers.length > 0 ? nameServers(policy.nameServers) : hostNameServers();
}
