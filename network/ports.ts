import { LifecycleError, UsageError } from "../runtime/errors.ts";

/** A port of the host that leads to a sandbox. */
export interface PublishedPort {
  /** An address of the host; nothing for all of them. */
  readonly hostAddress: string | undefined;
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp";
}

const FORM = /^(?:(\[[0-9a-fA-F:.]+\]|\d+\.\d+\.\d+\.\d+):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/;

/**
 * Reads `[address:]host:container[/udp]`; an address of IPv6 stands in brackets.
 *
 * @throws {UsageError} that says what is wrong.
 */
export function readPublish(text: string): PublishedPort {
  const [found, address, host, container, protocol = "tcp"] = FORM.exec(text) ?? [];
  if (found === undefined) {
    throw new UsageError(
      `Cannot publish "${text}": write [ADDRESS:]PORT:PORT[/udp], such as 127.0.0.1:8080:80`,
    );
  }
  const ports = [host, container].map(Number);
  const wrong = ports.find((port) => port < 1 || port > 65535);
  if (wrong !== undefined) {
    throw new UsageError(`Cannot publish "${text}": ${wrong} is no port; ports are 1 to 65535`);
  }
  return {
    hostAddress: address?.replace(/^\[|\]$/g, ""),
    hostPort: ports[0]!,
    containerPort: ports[1]!,
    protocol: protocol as "tcp" | "udp",
  };
}

/** Whether two cannot be there together. */
export function collide(one: PublishedPort, other: PublishedPort): boolean {
  return one.protocol === other.protocol && one.hostPort === other.hostPort &&
    (one.hostAddress === undefined || other.hostAddress === undefined ||
      one.hostAddress === other.hostAddress);
}

/** What stands in messages. */
export function portText({ hostAddress, hostPort, protocol }: PublishedPort): string {
  return `${hostAddress === undefined ? "" : `${hostAddress}:`}${hostPort}/${protocol}`;
}

/**
 * Refuses ports that others have.
 *
 * @param others Ports of other sandboxes.
 * @throws {LifecycleError} that names who has it.
 */
export function checkPorts(
  ports: readonly PublishedPort[],
  others: readonly { readonly id: string; readonly ports: readonly PublishedPort[] }[],
): void {
  for (const [index, port] of ports.entries()) {
    const say = (who: string): LifecycleError =>
      new LifecycleError(`Cannot publish port ${portText(port)}: ${who} has it; choose another one`);
    if (ports.slice(0, index).some((each) => collide(each, port))) throw say("another --publish");
    const other = others.find((each) => each.ports.some((one) => collide(one, port)));
    if (other) throw say(`sandbox "${other.id}"`);
    if (isListenedTo(port)) throw say("a program of the host");
  }
}

/** TCP_LISTEN, and what a socket of UDP has that waits for anybody (TCP_CLOSE). */
const LISTENING = { tcp: "0A", udp: "07" } as const;

/** Whether a program of the host has a port. */
export function isListenedTo({ protocol, hostPort, hostAddress }: PublishedPort): boolean {
  return [protocol, `${protocol}6`].some((table) => {
    return socketsOf(table).some(({ address, port, state }) => {
      if (port !== hostPort || state !== LISTENING[protocol]) return false;
      return hostAddress === undefined || /^0+$/.test(address) || address === hexOf(hostAddress);
    });
  });
}

function socketsOf(table: string): { address: string; port: number; state: string }[] {
  try {
    const lines = Deno.readTextFileSync(`/proc/net/${table}`).trim().split("\n").slice(1);
    return lines.map((line) => {
      const [, local = "", , state = ""] = line.trim().split(/\s+/);
      const [address = "", port = ""] = local.split(":");
      return { address, port: parseInt(port, 16), state };
    });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return []; // no IPv6
    throw error;
  }
}

/** An address of IPv4 as /proc/net/tcp has it; those of IPv6 are compared as if each could be any. */
function hexOf(address: string): string {
  const bytes = address.split(".").map(Number);
  return bytes.reverse().map((byte) => byte.toString(16).padStart(2, "0")).join("").toUpperCase();
}
