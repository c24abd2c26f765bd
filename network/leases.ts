import { openDirectory, tryLock } from "../ffi/directory.ts";
import type { Fd } from "../ffi/fd.ts";
import { isMissing, isThere } from "../ffi/look.ts";
import { removeIfThere } from "../ffi/remove.ts";
import { LifecycleError } from "../runtime/errors.ts";
import { isAlive } from "../runtime/state/liveness.ts";
import type { ProcessName } from "../runtime/state/record.ts";
import { makeDirectory } from "./paths.ts";
import type { PublishedPort } from "./ports.ts";
import { bytesOf, ipv4Text, ipv6Text, type NetworkSettings, numberOf } from "./settings.ts";

/** How long somebody waits for others to leave the network as it is. */
const [LOCK_MS, PAUSE_MS] = [20_000, 2];
/** Nobody writes at a lease for so long. */
const ABANDONED_MS = 60_000;
/** The bridge has the first address, and the last is for broadcasts. */
const [FIRST_HOST, RESERVED] = [2, 3];

/** An address that one sandbox has, and everything that was made for it. */
export interface Lease {
  readonly address: string;
  readonly ipv6: string | undefined;
  /** The id of the sandbox. */
  readonly id: string;
  /** Who has it: the sandbox's first process, or before its birth the one that makes the sandbox. */
  readonly owner: ProcessName;
  /** Which lease this is: an address comes to others later. */
  readonly token: string;
  readonly mode: "policy" | "bridge";
  readonly ports: readonly PublishedPort[];
  /** What the directory of its files is called. @default its address */
  readonly files?: string;
}

/**
 * Hands out addresses. A lease is a file that is there whole or not at all, named for the address: the file system sees to
 * it that nobody else gets that, and it is there still when a process has died. No sandbox outlives the machine, so that
 * nobody waits for the disk: of a lease that a power cut has left nothing is needed.
 */
export class Leases {
  readonly #directory: string;
  /** Whether one was found that says nothing. */
  hasEmpty = false;

  constructor(readonly settings: NetworkSettings) {
    this.#directory = `${settings.directory}/leases`;
  }

  /** An address for nobody else. @throws {LifecycleError} if there is none left. */
  take(lease: Omit<Lease, "address" | "ipv6" | "token">): Lease {
    const { network, prefixLength } = this.settings.ipv4;
    const room = 2 ** (32 - prefixLength) - RESERVED;
    const token = crypto.randomUUID();
    const start = crypto.getRandomValues(new Uint32Array(1))[0]! % room;
    makeDirectory(this.#directory);
    const temporary = `${this.#directory}/.${token}`;
    try {
      for (let tried = 0; tried < room; tried++) {
        const number = numberOf(network) + FIRST_HOST + (start + tried) % room;
        const found = { ...this.#addresses(number), token, ...lease };
        write(temporary, found);
        try {
          Deno.linkSync(temporary, this.#path(found));
          return found;
        } catch (error) {
          if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
        }
      }
    } finally {
      removeIfThere(temporary);
    }
    throw new LifecycleError(
      `Cannot give sandbox "${lease.id}" an address: all ${room} of ${
        ipv4Text(network)
      }/${prefixLength} are taken`,
    );
  }

  /** Writes down who has a lease from now on. */
  handOver(lease: Lease, owner: ProcessName): Lease {
    const changed = { ...lease, owner };
    const temporary = `${this.#directory}/.${lease.token}`;
    write(temporary, changed);
    Deno.renameSync(temporary, this.#path(lease));
    return changed;
  }

  /** The lease of an address as it is now; nothing if there is none, or one that says nothing. */
  read(address: string): Lease | undefined {
    try {
      return JSON.parse(Deno.readTextFileSync(`${this.#directory}/${address}`)) as Lease;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      if (!(error instanceof SyntaxError)) throw error;
      this.hasEmpty = true;
      return undefined;
    }
  }

  /** Whether its address is somebody's. */
  has(lease: Lease): boolean {
    return isThere(this.#path(lease));
  }

  /**
   * Removes those that say nothing: processes write them whole, so the machine has lost its power since. Whoever calls has
   * the lock.
   */
  removeEmpty(): void {
    for (const name of this.#names()) {
      this.hasEmpty = false;
      this.read(name);
      if (this.hasEmpty) removeIfThere(`${this.#directory}/${name}`);
    }
    this.hasEmpty = false;
  }

  /** All there are. */
  list(): Lease[] {
    return this.#names().flatMap((name) => this.read(name) ?? []);
  }

  /** Those whose sandbox has ended, as after a crash. */
  stale(): Lease[] {
    return this.list().filter((lease) => !isHeld(lease));
  }

  /** Gives an address back; not that of a later lease. Whoever calls has the lock. */
  release(lease: Lease): void {
    if (this.read(lease.address)?.token === lease.token) removeIfThere(this.#path(lease));
  }

  /** Takes the lock under which what belongs to leases is taken away, or made anew. */
  async lock(): Promise<Fd> {
    makeDirectory(this.#directory);
    const end = performance.now() + LOCK_MS;
    const directory = openDirectory(this.#directory)!;
    while (!tryLock(directory)) {
      if (performance.now() > end) {
        directory[Symbol.dispose]();
        throw new LifecycleError(
          `Cannot change the network: another command has been at it for ${LOCK_MS} ms`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return directory;
  }

  /** Removes leases that were only begun to be written, by those who died meanwhile. */
  tidy(): void {
    for (const name of this.#all()) {
      const path = `${this.#directory}/${name}`;
      if (name.startsWith(".") && isAbandoned(path)) removeIfThere(path);
    }
  }

  #names(): string[] {
    return this.#all().filter((name) => !name.startsWith("."));
  }

  #all(): string[] {
    try {
      return [...Deno.readDirSync(this.#directory)].map(({ name }) => name);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  #path({ address }: Pick<Lease, "address">): string {
    return `${this.#directory}/${address}`;
  }

  #addresses(number: number): Pick<Lease, "address" | "ipv6"> {
    const bytes = bytesOf(number);
    const { ipv6 } = this.settings;
    if (!ipv6) return { address: ipv4Text(bytes), ipv6: undefined };
    const wide = ipv6.network.slice();
    wide.set(bytes, 12);
    return { address: ipv4Text(bytes), ipv6: ipv6Text(wide) };
  }
}

function write(path: string, lease: Lease): void {
  Deno.writeTextFileSync(path, JSON.stringify(lease), { mode: 0o600 }); // all of it, or it fails
}

/** Whether the process that has a lease lives. */
export function isHeld({ owner }: Pick<Lease, "owner">): boolean {
  if (isMissing(`/proc/${owner.pid}`)) return false; // to find that out by an error takes longer than all else
  return isAlive(owner);
}

/** Whether nobody writes at it any more: whose it would be has ended, or that was long ago. */
function isAbandoned(path: string): boolean {
  try {
    const changed = Deno.statSync(path).mtime?.getTime() ?? 0;
    if (Date.now() - changed > ABANDONED_MS) return true;
    return !isHeld(JSON.parse(Deno.readTextFileSync(path)) as Lease);
  } catch {
    return false; // it is being written, or has just got its name
  }
}
