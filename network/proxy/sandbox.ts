import type { AuditEntry } from "../audit/record.ts";
import { Pins } from "../dns/pins.ts";
import type { NameServer } from "../dns/upstream.ts";
import { permittedAddresses, pinsOf, staticPins } from "../policy/decide.ts";
import type { Pin } from "../firewall_elements.ts";
import { apart } from "../pins_apart.ts";
import type { NetworkPolicy } from "../policy/policy.ts";
import type { Authority } from "./authority.ts";
import type { ProxiedSandbox } from "./control.ts";
import { Rate } from "./rate.ts";
import { Secrets } from "./secrets.ts";

/** What one sandbox may have open at once, whatever its policy says: the others need room, too. */
const CONNECTIONS = 512;
/** How many requests it may have under way on them. */
const PENDING = 1024;
/** How long a pin is taken for still there: the tables may be made anew by others. Its grace is longer than that. */
const [PINNED_MS, MOST_PINNED] = [10_000, 16384];
/** How much of a text a record tells. */
const TOLD = 512;
const NAMES = { perSecond: 50, atOnce: 200 } as const;

/** Where verdicts are written; throws if they cannot be. */
export interface AuditSink extends Disposable {
  append(entry: AuditEntry): void;
}

/** Opens addresses in the firewall. */
export interface PinFirewall {
  pin(...pins: readonly Pin[]): void;
  /** Takes pins away; harmless if they are not there. */
  unpin(...pins: readonly Omit<Pin, "ttlS">[]): void;
  /** Takes away all pins of one of a sandbox's addresses. */
  unpinAll(address: string): void;
  /** Puts pins in place of all that some of a sandbox's addresses have, at once. */
  repin(addresses: readonly string[], pins: readonly Pin[]): void;
}

/** What the proxy needs of the world. */
export interface Surroundings {
  readonly firewall: PinFirewall;
  readonly nowMs: () => number;
}

/** A connection that can be closed from outside, and that is asked whether it may stay when the policy changes. */
export interface Held {
  close(): void;
  /** Whether what it does now would still be let through. */
  isStillAllowed(): boolean;
}

/** One sandbox: its policy, what it was told, and what it uses. */
export class SandboxTraffic implements Disposable {
  readonly pins = new Pins();
  readonly held = new Set<Held>();
  readonly names: Rate;
  /** How many requests are under way. */
  pending = 0;
  policy: NetworkPolicy;
  secrets: Secrets;
  servers: readonly NameServer[];
  /** Signs names when TLS is opened; made when it is first needed. */
  authority: Authority | undefined;
  upload: Flow;
  download: Flow;
  #requests: Rate | undefined;
  #isUnwritten = false;
  /** Pins of addresses that the policy names. */
  #static: readonly Pin[];
  /** Pins of names, with when they were made and until when they are there. */
  readonly #pinned = new Map<string, Pinned>();
  /** Whether the firewall may have pins that stand neither there nor in the policy: to find them takes long. */
  #hasOthers: boolean;
  #isGone = false;

  constructor(
    readonly sandbox: ProxiedSandbox,
    readonly audit: AuditSink,
    readonly around: Surroundings,
    servers: readonly NameServer[],
    /** Whether there was another proxy before this one, which has made pins for it. */
    wasThere = true,
  ) {
    this.#hasOthers = wasThere;
    this.policy = sandbox.policy;
    this.servers = servers;
    this.secrets = new Secrets(sandbox.policy, sandbox.credentials);
    this.names = new Rate(NAMES.perSecond, NAMES.atOnce, around.nowMs());
    this.upload = new Flow(
      this.policy.limits.uploadBytes,
      this.policy.limits.uploadBytesPerSecond,
      around.nowMs(),
    );
    this.download = new Flow(
      this.policy.limits.downloadBytes,
      this.policy.limits.downloadBytesPerSecond,
      around.nowMs(),
    );
    this.#requests = this.#requestRate();
    this.#static = this.#staticPins();
  }

  /** Decides by another policy from now on; what it would not let through is closed. Bytes that were used stay used. */
  update(policy: NetworkPolicy, servers: readonly NameServer[]): void {
    const secrets = new Secrets(policy, this.sandbox.credentials);
    const { limits } = policy;
    const nowMs = this.around.nowMs();
    [this.policy, this.secrets, this.servers] = [policy, secrets, servers];
    this.upload = new Flow(limits.uploadBytes, limits.uploadBytesPerSecond, nowMs, this.upload.used);
    this.download = new Flow(limits.downloadBytes, limits.downloadBytesPerSecond, nowMs, this.download.used);
    this.#requests = this.#requestRate();
    const named = [...this.pins.all(nowMs)].flatMap(([name, addresses, untilMs]) =>
      this.#pinsOf(name, permittedAddresses(policy, name, addresses).pinned, (untilMs - nowMs) / 1000)
    );
    this.#forgetPins(); // those of names are there all the same
    this.#static = this.#staticPins();
    this.around.firewall.repin(this.#addresses, apart([...this.#static, ...named]));
    for (const one of [...this.held]) if (!one.isStillAllowed()) one.close();
  }

  /** Opens addresses that the policy names, which nobody has to ask for. */
  pinStatic(): void {
    if (this.#static.length > 0) this.around.firewall.pin(...this.#static);
  }

  #staticPins(): Pin[] {
    return apart(
      staticPins(this.policy).flatMap(({ cidr, first, last, transport }): Pin[] => {
        const own = this.#own(cidr);
        return own === undefined ? [] : [{ sandbox: own, address: cidr, first, last, protocol: transport }];
      }),
    );
  }

  /** Opens the addresses of a name for as long as the answer is true. */
  pin(name: string, addresses: readonly string[], ttlS: number): void {
    if (this.#isGone) return; // the answer has come too late, and its address may be another's
    const nowMs = this.around.nowMs();
    const asked = this.#pinsOf(name, addresses, ttlS);
    const missing = apart(asked, this.#static).filter((pin) => !this.#isPinned(pin, nowMs));
    if (missing.length > 0) this.around.firewall.pin(...missing);
    if (this.#pinned.size > MOST_PINNED) this.#forgetPins();
    for (const pin of missing) {
      this.#pinned.set(keyOf(pin), { pin, atMs: nowMs, untilMs: nowMs + ttlS * 1000 });
    }
  }

  #pinsOf(name: string, addresses: readonly string[], ttlS: number): Pin[] {
    return addresses.flatMap((address) => {
      const own = this.#own(address);
      if (own === undefined) return [];
      return pinsOf(this.policy, name, address).map(({ first, last, transport }): Pin => (
        { sandbox: own, address, first, last, protocol: transport, ttlS }
      ));
    });
  }

  /** Whether a pin was made just now: a name that is asked for again and again costs the kernel nothing. */
  #isPinned(pin: Pin, nowMs: number): boolean {
    const known = this.#pinned.get(keyOf(pin));
    const untilMs = nowMs + (pin.ttlS ?? 0) * 1000;
    return known !== undefined && nowMs - known.atMs < PINNED_MS && untilMs - known.untilMs < PINNED_MS;
  }

  /** Closes all that was opened. */
  unpin(): void {
    const known = [...this.#static, ...[...this.#pinned.values()].map(({ pin }) => pin)];
    this.#pinned.clear();
    if (this.#hasOthers) { for (const address of this.#addresses) this.around.firewall.unpinAll(address); }
    else if (known.length > 0) this.around.firewall.unpin(...known);
  }

  #forgetPins(): void {
    this.#pinned.clear();
    this.#hasOthers = true;
  }

  get #addresses(): string[] {
    return [this.sandbox.ipv4, this.sandbox.ipv6].filter((each) => each !== undefined);
  }

  /** The sandbox's own address of the same family. */
  #own(address: string): string | undefined {
    return address.includes(":") ? this.sandbox.ipv6 : this.sandbox.ipv4;
  }

  /** Whether one more connection may be there. */
  get hasRoom(): boolean {
    return this.held.size < Math.min(this.policy.limits.connections ?? CONNECTIONS, CONNECTIONS);
  }

  /** Whether one more request may be under way. */
  get hasRoomForRequest(): boolean {
    return this.pending < PENDING;
  }

  /** Whether one more request may be made now. */
  takeRequest(): boolean {
    return this.#requests?.take(1, this.around.nowMs()) ?? true;
  }

  /** Writes down what was decided; nothing passes if this throws. */
  record(entry: Omit<AuditEntry, "sandbox">): void {
    try {
      this.audit.append({ sandbox: this.sandbox.id, ...entry, ...shortened(entry) });
      this.#isUnwritten = false;
    } catch (error) {
      this.#isUnwritten = true;
      throw error;
    }
  }

  /** Throws if the last that was to be written down could not be, and still cannot. */
  confirm(): void {
    if (!this.#isUnwritten) return;
    this.record({
      kind: "proxy",
      verdict: "allow",
      rule: "builtin:audit",
      reason: "records can be written again",
    });
  }

  [Symbol.dispose](): void {
    this.#isGone = true;
    for (const one of [...this.held]) one.close();
    this.audit[Symbol.dispose]();
  }

  #requestRate(): Rate | undefined {
    const most = this.policy.limits.requestsPerMinute;
    return most === undefined ? undefined : new Rate(most / 60, most, this.around.nowMs());
  }
}

interface Pinned {
  readonly pin: Pin;
  readonly atMs: number;
  readonly untilMs: number;
}

function keyOf({ sandbox, address, first, last, protocol }: Pin): string {
  return `${sandbox} ${address} ${protocol} ${first}-${last}`;
}

/** What a sandbox chooses is as long as it likes: a record tells the start of it. */
function shortened(
  { path, name, reason }: Pick<AuditEntry, "path" | "name" | "reason">,
): Partial<AuditEntry> {
  const short = (text: string): string => text.length > TOLD ? `${text.slice(0, TOLD)}…` : text;
  return {
    ...(path === undefined ? {} : { path: short(path) }),
    ...(name === undefined ? {} : { name: short(name) }),
    ...(reason === undefined ? {} : { reason: short(reason) }),
  };
}

/** Bytes in one direction: how many in all, and how many a second. */
export class Flow {
  readonly #rate: Rate | undefined;

  constructor(
    readonly most: number | undefined,
    perSecond: number | undefined,
    nowMs: number,
    public used = 0,
  ) {
    // What comes at once is a quarter of a second's worth, but no less than a packet.
    this.#rate = perSecond === undefined
      ? undefined
      : new Rate(perSecond, Math.max(perSecond / 4, 1500), nowMs);
  }

  /** How many bytes may go together, when they are held back. */
  get atOnce(): number {
    return this.#rate?.atOnce ?? Infinity;
  }

  /** Counts bytes; `false` if they are too many, otherwise how long to wait before they go. */
  take(bytes: number, nowMs: number): number | false {
    if (this.most !== undefined && this.used + bytes > this.most) return false;
    this.used += bytes;
    return this.#rate?.owe(bytes, nowMs) ?? 0;
  }
}
