import { openNetwork } from "../ffi/netlink.ts";
import { isInstalled } from "../ffi/library.ts";
import { LIBNFTABLES } from "../ffi/nftables.ts";
import { RouteSocket } from "../ffi/netlink.ts";
import { LifecycleError, UnsupportedError } from "../runtime/errors.ts";
import type { Connection, NetworkOptions, NetworkProvider } from "../runtime/network.ts";
import { nameProcess } from "../runtime/state/liveness.ts";
import type { Mount } from "../runtime/spec/config.ts";
import type { NetworkRecord, ProcessName } from "../runtime/state/record.ts";
import { giveFilesBack, reachableNameServers, takeFiles, writeAuthority, writeFiles } from "./files.ts";
import { Firewall, isThere } from "./firewall.ts";
import { forward } from "./forwarding.ts";
import { type Lease, Leases } from "./leases.ts";
import { connect as connectLink, disconnect as removePort, ensureBridge, isBridgeThere } from "./link.ts";
import { networkDirectory } from "./paths.ts";
import { type NetworkPolicy } from "./policy/policy.ts";
import { checkPorts, portText, readPublish } from "./ports.ts";
import { Proxied } from "./proxied.ts";
import { takeAway } from "./release.ts";
import { type NetworkSettings, networkSettings } from "./settings.ts";

/** Makes networks of bridges and veth pairs, whose traffic a proxy decides over. */
export const provider: NetworkProvider = { connect, disconnect };

/** Takes an address, tells the proxy, and writes the files that the sandbox sees. */
async function connect(id: string, options: NetworkOptions): Promise<Connection> {
  if (options.mode === "pasta") return (await import("./pasta.ts")).connectByPasta(id, options);
  if (!isInstalled(LIBNFTABLES)) {
    throw new UnsupportedError(
      "the network",
      `there is no ${LIBNFTABLES}`,
      "install libnftables1, as ./setup does",
    );
  }
  const ports = (options.publish ?? []).map(readPublish);
  const policy = await policyOf(options);
  const settings = part(id, "its settings", () => networkSettings(networkDirectory(options.root)));
  const leases = new Leases(settings);
  await reclaim(settings, leases);
  if (ports.length > 0) checkPorts(ports, leases.list());
  const mode = policy ? "policy" : "bridge";
  const owner = ownName ??= nameProcess(Deno.pid);
  const lease = leases.take({ id, owner, mode, ports, files: takeFiles() });
  const place = new Place(settings, leases, lease);
  try {
    await place.prepare(policy, options);
    return place;
  } catch (error) {
    await place[Symbol.asyncDispose]();
    throw error;
  }
}

/** This process, once it was looked at. */
let ownName: ProcessName | undefined;
/** To import again what is there already takes a turn of the event loop. */
let reader: Promise<typeof import("./policy/read.ts")> | undefined;

/** The policy that is meant; a text is read. */
async function policyOf({ policy, allow }: NetworkOptions): Promise<NetworkPolicy | undefined> {
  if (policy === undefined && allow === undefined) return undefined;
  const { decodeNetworkPolicy, NOTHING_ALLOWED, parseNetworkPolicy, withAllowed } = await (reader ??= import(
    "./policy/read.ts"
  ));
  const read = policy === undefined
    ? NOTHING_ALLOWED
    : typeof policy === "string"
    ? await parseNetworkPolicy(policy, "network policy")
    : decodeNetworkPolicy(policy, "network policy");
  return allow ? withAllowed(read, allow) : read;
}

async function disconnect({ directory, address, token }: NetworkRecord): Promise<void> {
  if (address === undefined) return (await import("./pasta.ts")).disconnectPasta(directory, token);
  const settings = networkSettings(directory);
  const leases = new Leases(settings);
  const lease = leases.read(address);
  if (lease?.token === token) await takeAway(settings, leases, lease);
}

/** What those have left who died is taken away before anything new comes. */
async function reclaim(settings: NetworkSettings, leases: Leases): Promise<void> {
  for (const stale of leases.stale()) await takeAway(settings, leases, stale, true);
  if (leases.hasEmpty) {
    using _lock = await leases.lock();
    leases.removeEmpty();
  }
  leases.tidy();
}

/** Does something, and says of what sandbox and what part it is if that fails. */
function part<Result>(id: string, what: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw failure(id, what, error);
  }
}

function failure(id: string, what: string, error: unknown): Error {
  if (error instanceof LifecycleError || error instanceof UnsupportedError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return Object.assign(new LifecycleError(`Cannot connect sandbox "${id}": ${what} cannot be had: ${why}`), {
    cause: error,
  });
}

/** The place of one sandbox. */
class Place implements Connection {
  readonly #settings: NetworkSettings;
  readonly #leases: Leases;
  #lease: Lease;
  #proxied: Proxied | undefined;
  #isLetIn = false;
  #isGone = false;
  mounts: readonly Mount[] = [];
  env: readonly string[] = [];

  constructor(settings: NetworkSettings, leases: Leases, lease: Lease) {
    this.#settings = settings;
    this.#leases = leases;
    this.#lease = lease;
  }

  get record(): NetworkRecord {
    const { address, token } = this.#lease;
    return { directory: this.#settings.directory, address, token };
  }

  /** Everything that can be done before there is a process. */
  async prepare(policy: NetworkPolicy | undefined, options: NetworkOptions): Promise<void> {
    const { id } = this.#lease;
    await this.#ensure(policy !== undefined);
    if (policy) {
      const { onVerdict } = options;
      const start = (): Promise<void> => this.#startProxy();
      this.#proxied = await Proxied.add(this.#settings, this.#lease, policy, { onVerdict, start });
    }
    const files = part(id, "its files", () => {
      const written = writeFiles(this.#settings, this.#lease, policy ? [] : reachableNameServers());
      const certificate = this.#proxied?.certificate;
      const authority = certificate === undefined
        ? undefined
        : writeAuthority(this.#settings, this.#lease, certificate);
      return {
        mounts: [...written, ...authority?.mounts ?? []],
        env: [...authority?.env ?? [], ...this.#proxied?.env ?? []],
      };
    });
    this.mounts = files.mounts;
    this.env = files.env;
    const needsUdp = policy?.allow.some(({ protocols }) => protocols.includes("udp")) ?? false;
    if (!policy || needsUdp || this.#lease.ports.length > 0) {
      const { bridge, ipv6 } = this.#settings;
      const loopback = this.#lease.ports.length > 0;
      part(id, "forwarding", () => forward(bridge, { ipv6: ipv6 !== undefined, loopback }));
    }
  }

  /** The bridge, the rules of the firewall and the proxy are there. */
  async #ensure(withProxy: boolean): Promise<void> {
    const { id } = this.#lease;
    const firewall = part(id, "the firewall", () => new Firewall(this.#settings));
    // Whether the proxy is there too shows when it is told.
    if (isBridgeThere(this.#settings) && part(id, "the firewall", () => firewall.isInstalled)) return;
    using routes = new RouteSocket();
    using _lock = await this.#leases.lock();
    part(id, "the bridge", () => ensureBridge(this.#settings, routes));
    if (!firewall.isInstalled) part(id, "the firewall", () => firewall.install(this.#others()));
    // Sandboxes that are there have one already: tables that are new must redirect to it.
    if (withProxy || await Proxied.isThere(this.#settings)) await this.#ensureProxy();
  }

  /** Starts a proxy in place of one that has ended. */
  async #startProxy(): Promise<void> {
    using _lock = await this.#leases.lock();
    await this.#ensureProxy();
  }

  async #ensureProxy(): Promise<void> {
    try {
      await Proxied.ensure(this.#settings, new Firewall(this.#settings));
    } catch (error) {
      throw failure(this.#lease.id, "the proxy", error);
    }
  }

  #others(): Lease[] {
    return this.#leases.list().filter(({ token }) => token !== this.#lease.token);
  }

  async attach(pid: number): Promise<void> {
    this.attachNow(pid);
    await this.ready();
  }

  async ready(): Promise<void> {
    await this.#proxied?.ready();
  }

  attachNow(pid: number): void {
    const { id } = this.#lease;
    const own = Deno.readLinkSync("/proc/self/ns/net");
    if (Deno.readLinkSync(`/proc/${pid}/ns/net`) === own) {
      throw new LifecycleError(`Cannot connect sandbox "${id}": it has the network namespace of the host`);
    }
    this.#lease = part(id, "its lease", () => this.#leases.handOver(this.#lease, nameProcess(pid)));
    this.#letIn();
    part(id, "its device", () => {
      using namespace = openNetwork(`/proc/${pid}/ns/net`);
      connectLink(this.#settings, this.#lease, namespace);
    });
  }

  expect(): void {
    try {
      this.#letIn();
    } catch {
      // Attaching tries it again, and tells why it fails.
    }
  }

  /** Lets the firewall know the address. */
  #letIn(): void {
    if (this.#isLetIn) return;
    const { id } = this.#lease;
    // That of a sandbox that has ended, whose namespace is still there: before the firewall knows the address again.
    part(id, "its device", () => removePort(this.#settings, this.#lease));
    part(id, "the firewall", () => this.#admit());
    this.#isLetIn = true;
  }

  #admit(): void {
    try {
      new Firewall(this.#settings).admit(this.#lease);
    } catch (error) {
      if (!(isThere(error) && this.#lease.ports.length > 0)) throw error;
      const ports = this.#lease.ports.map(portText).join(", ");
      throw new LifecycleError(`Cannot publish port ${ports}: another sandbox has it; choose another one`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isGone) return;
    this.#isGone = true;
    await this.#proxied?.ready().catch(() => {}); // it is taken up, or never will be
    await takeAway(this.#settings, this.#leases, this.#lease);
    giveFilesBack(this.#lease);
    await this.#proxied?.[Symbol.asyncDispose](); // its last verdicts are written by now
  }
}
