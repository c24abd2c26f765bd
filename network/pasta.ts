import type { Fd } from "../ffi/fd.ts";
import { openPidFd, signalPidFd } from "../ffi/process.ts";
import { LifecycleError, UnsupportedError } from "../runtime/errors.ts";
import type { Connection, NetworkOptions } from "../runtime/network.ts";
import type { UnreachableBlock } from "../runtime/plan/context.ts";
import type { Mount } from "../runtime/spec/config.ts";
import { isAlive, nameProcess } from "../runtime/state/liveness.ts";
import type { NetworkRecord, ProcessName } from "../runtime/state/record.ts";
import { file } from "./files.ts";
import { pastaNameServers, unreachableByPasta } from "./pasta_addresses.ts";
import { type Guard, guardPasta } from "./pasta_guard.ts";
import { networkDirectory } from "./paths.ts";
import { checkPorts, isListenedTo, portText, type PublishedPort, readPublish } from "./ports.ts";

/** How long pasta may take to connect a namespace, and to end. */
const [START_MS, END_MS, PAUSE_MS] = [10_000, 5_000, 2];
const [SIGKILL, TOLD_CHARACTERS] = [9, 300];
const TUN = "/dev/net/tun";

/** Takes what a sandbox needs that pasta(1) is to connect: no device or rule of the host. */
export function connectByPasta(id: string, options: NetworkOptions): Connection {
  checkTun();
  const ports = (options.publish ?? []).map(readPublish);
  checkPorts(ports, []);
  const directory = networkDirectory(options.root);
  reclaim(directory);
  return new PastaPlace(id, directory, ports);
}

/** Ends the pasta of a sandbox and removes its files. */
export async function disconnectPasta(directory: string, token: string): Promise<void> {
  const place = `${placesOf(directory)}/${token}`;
  await end(place);
  remove(place);
}

/** A user who may not open it cannot have a network device. */
function checkTun(): void {
  try {
    Deno.openSync(TUN, { read: true, write: true }).close();
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound ? "is not there" : "is closed to this user";
    throw new UnsupportedError("the network pasta", `${TUN} ${why}`, `modprobe tun && chmod 666 ${TUN}`);
  }
}

function placesOf(directory: string): string {
  return `${directory}/pasta`;
}

/** What sandboxes have left who ended without anybody to take it away; their guards have ended pasta. */
function reclaim(directory: string): void {
  let names: string[] = [];
  try {
    names = [...Deno.readDirSync(placesOf(directory))].map(({ name }) => name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  for (const name of names) {
    const place = `${placesOf(directory)}/${name}`;
    const owner = ownerOf(place);
    if (!owner || isAlive(owner)) continue;
    using pasta = pastaOf(place);
    if (pasta) signalPidFd(pasta, SIGKILL);
    remove(place);
  }
}

function ownerOf(place: string): ProcessName | undefined {
  try {
    return JSON.parse(Deno.readTextFileSync(`${place}/owner`)) as ProcessName;
  } catch {
    return undefined; // somebody is writing it
  }
}

class PastaPlace implements Connection {
  readonly mounts: readonly Mount[];
  readonly env: readonly string[] = [];
  readonly unreachable: readonly UnreachableBlock[];
  readonly record: NetworkRecord;
  readonly #id: string;
  readonly #ports: readonly PublishedPort[];
  readonly #dns: readonly string[];
  #guard: Guard | undefined;

  constructor(id: string, directory: string, ports: readonly PublishedPort[]) {
    const token = crypto.randomUUID();
    this.record = { directory, token };
    this.#id = id;
    this.#ports = ports;
    const { servers, args } = pastaNameServers();
    this.#dns = args;
    this.unreachable = unreachableByPasta();
    Deno.mkdirSync(this.#place, { recursive: true, mode: 0o700 });
    try {
      this.#own(Deno.pid);
      const text = servers.map((each) => `nameserver ${each}\n`).join("");
      this.mounts = [file(this.#place, "/etc/resolv.conf", text)];
    } catch (error) {
      remove(this.#place);
      throw error;
    }
  }

  get #place(): string {
    return `${placesOf(this.record.directory)}/${this.record.token}`;
  }

  /** Says whose it is: the sandbox's first process, or before its birth the one that makes the sandbox. */
  #own(pid: number): void {
    Deno.writeTextFileSync(`${this.#place}/owner.new`, JSON.stringify(nameProcess(pid)), { mode: 0o600 });
    Deno.renameSync(`${this.#place}/owner.new`, `${this.#place}/owner`);
  }

  async ready(): Promise<void> {}

  attachNow(): void {
    throw new UnsupportedError("a restored network", "pasta cannot be waited for then", "restore it as root");
  }

  async attach(pid: number): Promise<void> {
    this.#own(pid);
    using init = openPidFd(pid);
    await this.#start(pid);
    using pasta = pastaOf(this.#place);
    if (!pasta) throw this.#failure("it ended at once");
    this.#guard = guardPasta(init, pasta);
    const missing = this.#ports.find((port) => !isListenedTo(port));
    if (missing) throw this.#failure(`it does not listen on port ${portText(missing)}`);
  }

  /** Resolves when pasta has made the device and gone on by itself. */
  async #start(pid: number): Promise<void> {
    const command = new Deno.Command("pasta", {
      args: [...this.#args(), `${pid}`],
      cwd: "/",
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      signal: AbortSignal.timeout(START_MS),
    });
    try {
      const { success, stderr } = await command.output();
      if (!success) throw this.#failure(saidBy(stderr));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new UnsupportedError("the network pasta", "there is no program pasta", "install passt");
    }
  }

  #args(): string[] {
    const specs = (protocol: "tcp" | "udp"): string[] => {
      const own = this.#ports.filter((port) => port.protocol === protocol);
      const texts = own.map(({ hostAddress, hostPort, containerPort }) =>
        `${hostAddress === undefined ? "" : `${hostAddress}/`}${hostPort}:${containerPort}`
      );
      return (texts.length > 0 ? texts : ["none"]).flatMap((text) => [`--${protocol}-ports`, text]);
    };
    return [
      "--quiet",
      "--config-net",
      "--ns-ifname",
      "eth0",
      // The gateway's address would be the host's loopback device, and so would ports of the sandbox's own.
      "--no-map-gw",
      "--tcp-ns",
      "none",
      "--udp-ns",
      "none",
      ...this.#dns,
      ...specs("tcp"),
      ...specs("udp"),
      "--pid",
      `${this.#place}/pid`,
    ];
  }

  #failure(why: string): LifecycleError {
    return new LifecycleError(`Cannot connect sandbox "${this.#id}": pasta failed: ${why}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await disconnectPasta(this.record.directory, this.record.token);
    this.#guard?.[Symbol.dispose]();
    this.#guard = undefined;
  }
}

function saidBy(stderr: Uint8Array): string {
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  // Its messages go to syslog too, where there is one.
  const own = lines.filter((line) => !line.includes("to syslog"));
  return own.join("; ").slice(-TOLD_CHARACTERS) || "it does not say why";
}

/** The pasta of a place, if it runs: a process with that number that was started for this place. */
function pastaOf(place: string): Fd | undefined {
  const pid = pidOf(place);
  if (pid === undefined) return undefined;
  try {
    const fd = openPidFd(pid);
    const words = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
    if (words.includes(`${place}/pid`)) return fd; // looked at when its number could no more change hands
    fd[Symbol.dispose]();
  } catch {
    // It has ended.
  }
  return undefined;
}

function pidOf(place: string): number | undefined {
  try {
    const pid = Number(Deno.readTextFileSync(`${place}/pid`));
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined; // it was never started
  }
}

/** Ends pasta and waits until it holds nothing of the host any more, such as a port. */
async function end(place: string): Promise<void> {
  using pasta = pastaOf(place);
  if (!pasta || !signalPidFd(pasta, SIGKILL)) return;
  for (const until = performance.now() + END_MS; performance.now() < until;) {
    using left = pastaOf(place);
    if (!left) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  throw new LifecycleError(`Cannot end pasta: process ${pidOf(place)} is still there`);
}

function remove(place: string): void {
  try {
    Deno.removeSync(place, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
