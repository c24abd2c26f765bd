import { removeIfThere } from "../ffi/remove.ts";
import { LifecycleError } from "../runtime/errors.ts";
import type { Firewall } from "./firewall.ts";
import type { Lease } from "./leases.ts";
import { makeDirectory, networkPaths } from "./paths.ts";
import type { Credential, NetworkPolicy } from "./policy/policy.ts";
import { tellProxy } from "./proxy/client.ts";
import type { ProxiedSandbox } from "./proxy/control.ts";
import { startProxy } from "./proxy/spawn.ts";
import type { NetworkSettings } from "./settings.ts";

/** What a sandbox is to hear of verdicts, and what is done if there is no proxy. */
interface Around {
  readonly start: () => Promise<void>;
  readonly onVerdict?: ((record: object) => void) | undefined;
}

/** A sandbox whose traffic the proxy decides over. */
export class Proxied implements AsyncDisposable {
  readonly #settings: NetworkSettings;
  readonly #sandbox: ProxiedSandbox;
  readonly #added: Promise<void>;
  readonly #heard = new AsyncDisposableStack();
  /** The certificate of its own authority, if TLS is opened. */
  certificate: string | undefined;

  private constructor(settings: NetworkSettings, sandbox: ProxiedSandbox, start: () => Promise<void>) {
    this.#settings = settings;
    this.#sandbox = sandbox;
    this.#added = this.#add(start);
    this.#added.catch(() => {}); // who waits hears of it
  }

  /** Whether a proxy answers. */
  static async isThere(settings: NetworkSettings): Promise<boolean> {
    return await tellProxy(networkPaths(settings.directory).control, { do: "status" }) !== undefined;
  }

  /** Starts the proxy if there is none, and lets the firewall redirect to it. The caller has the lock of the network. */
  static async ensure(settings: NetworkSettings, firewall: Firewall): Promise<void> {
    makeDirectories(settings);
    firewall.usePorts(await startProxy(settings.directory));
  }

  /** Tells the proxy of a sandbox, whose traffic it refuses until then. */
  static async add(
    settings: NetworkSettings,
    { id, address, ipv6, token }: Lease,
    policy: NetworkPolicy,
    { onVerdict, start }: Around,
  ): Promise<Proxied> {
    const { sandboxes, audit } = networkPaths(settings.directory);
    const credentials = Object.fromEntries(policy.credentials.map((each) => [each.id, secretOf(each)]));
    const sandbox = { id, ipv4: address, ipv6, policy, audit: `${audit}/${id}.jsonl`, credentials };
    makeDirectories(settings);
    // What is on disk has no secrets: a proxy that is started anew asks for them again.
    const text = JSON.stringify({ ...sandbox, credentials: {} });
    const temporary = beginning(settings, token);
    try {
      Deno.writeTextFileSync(temporary, text, { mode: 0o600 });
      Deno.linkSync(temporary, `${sandboxes}/${id}.json`); // whole or not at all
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      throw new LifecycleError(`Cannot connect sandbox "${id}": there is one of that name on the network`);
    } finally {
      removeIfThere(temporary);
    }
    const proxied = new Proxied(settings, sandbox, start);
    if (policy.allow.some(({ inspect }) => inspect)) await proxied.ready();
    if (onVerdict) await proxied.#hear(onVerdict);
    return proxied;
  }

  /** Whether a sandbox at this address has a policy. */
  static has({ directory }: NetworkSettings, { id, address }: Pick<Lease, "id" | "address">): boolean {
    return addressIn(`${networkPaths(directory).sandboxes}/${id}.json`) === address;
  }

  /**
   * Takes a sandbox from the proxy; harmless if it does not know it.
   *
   * @param meanwhile What is done while the proxy is at it, if there is one.
   * @returns Whether the proxy did it, and has taken the pins away.
   */
  static async remove(
    settings: NetworkSettings,
    { id, address, token }: Pick<Lease, "id" | "address" | "token">,
    meanwhile: () => void,
  ): Promise<boolean> {
    const { control, sandboxes } = networkPaths(settings.directory);
    const file = `${sandboxes}/${id}.json`;
    removeIfThere(beginning(settings, token)); // of somebody who was killed at it
    if (addressIn(file) !== address) return false; // it is another's by now, or was never there
    let isDone = false;
    try {
      isDone = await tellProxy(control, { do: "remove", id }, meanwhile) !== undefined;
    } catch (error) {
      if (!(error instanceof LifecycleError)) throw error; // it has not heard of it
    }
    removeIfThere(`${file}.new`);
    Deno.removeSync(file);
    return isDone;
  }

  /** Gives a sandbox another policy, at once and without a gap. */
  static async update(settings: NetworkSettings, id: string, policy: NetworkPolicy): Promise<void> {
    const { control, sandboxes } = networkPaths(settings.directory);
    const file = `${sandboxes}/${id}.json`;
    const known = JSON.parse(Deno.readTextFileSync(file)) as ProxiedSandbox;
    if (await tellProxy(control, { do: "update", id, policy }) === undefined) {
      throw new LifecycleError(
        `Cannot change the network policy of "${id}": the network's proxy is not there`,
      );
    }
    Deno.writeTextFileSync(`${file}.new`, JSON.stringify({ ...known, policy }), { mode: 0o600 });
    Deno.renameSync(`${file}.new`, file);
  }

  /** Placeholders of credentials, as `NAME=value`. */
  get env(): string[] {
    const { credentials } = this.#sandbox.policy;
    return credentials.flatMap(({ env, placeholder }) => env === undefined ? [] : [`${env}=${placeholder}`]);
  }

  /** Resolves when the proxy knows the sandbox. */
  ready(): Promise<void> {
    return this.#added;
  }

  async #add(start: () => Promise<void>): Promise<void> {
    const { control } = networkPaths(this.#settings.directory);
    const tell = () => tellProxy(control, { do: "add", sandbox: this.#sandbox });
    const answer = await tell() ?? await start().then(tell);
    if (!answer) {
      throw new LifecycleError(`Cannot connect sandbox "${this.#sandbox.id}": the network's proxy has ended`);
    }
    this.certificate = answer.certificate;
  }

  async #hear(onVerdict: (record: object) => void): Promise<void> {
    const { followAudit } = await import("./audit/follow.ts");
    await this.ready();
    const end = new AbortController();
    const hearing = (async () => {
      for await (const record of followAudit(this.#sandbox.audit, { signal: end.signal, onlyNew: true })) {
        onVerdict(record);
      }
    })();
    this.#heard.defer(() => hearing);
    this.#heard.defer(() => end.abort());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#added.catch(() => {});
    await this.#heard.disposeAsync();
  }
}

function makeDirectories({ directory }: NetworkSettings): void {
  const { sandboxes, audit } = networkPaths(directory);
  for (const each of [sandboxes, audit]) makeDirectory(each);
}

/** What the file of a sandbox is called that has this lease, until all of it is written. */
function beginning({ directory }: NetworkSettings, token: string): string {
  return `${networkPaths(directory).sandboxes}/.${token}`;
}

function addressIn(file: string): string | undefined {
  try {
    return (JSON.parse(Deno.readTextFileSync(file)) as ProxiedSandbox).ipv4;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** What the proxy puts in place of a placeholder. @throws {LifecycleError} if it is not there. */
function secretOf({ id, from }: Credential): string {
  const where = "env" in from ? `the variable ${from.env}` : `the file "${from.file}"`;
  let secret: string | undefined;
  try {
    secret = "env" in from ? Deno.env.get(from.env) : Deno.readTextFileSync(from.file).trim();
  } catch {
    // It says so below, whatever the reason.
  }
  if (secret) return secret;
  throw new LifecycleError(`Cannot use credential "${id}": ${where} has nothing, or cannot be read`);
}
