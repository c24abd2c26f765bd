import type { Socket } from "node:net";
import { UnsupportedError } from "../errors.ts";
import type { Property } from "./variant.ts";

const [NAME, PATH] = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1"];
const MANAGER = `${NAME}.Manager`;
/** How long systemd may take to answer: as long as runc waits. */
const ANSWER_MS = 30_000;

/** What systemd has against a call. */
export class SystemdError extends Error {
  /** Always `SystemdError`. */
  override readonly name = "SystemdError";
  /**
   * One message out of the three.
   *
   * @param doing What was to be done, as in "Cannot …".
   * @param code The name of the error, such as `org.freedesktop.systemd1.NoSuchUnit`.
   * @param words What systemd says.
   */
  constructor(doing: string, readonly code: string, words: string) {
    super(`Cannot ${doing}: systemd says "${words}" (${code})`);
  }
}

/** The part of the library that is used. */
interface Client {
  readonly connection: { on(event: "error", listener: (error: Error) => void): void; end(): void };
  invoke(
    message: {
      path: string;
      destination: string;
      interface: string;
      member: string;
      signature: string;
      body: unknown[];
    },
    done: (error: { name?: string; message?: unknown } | null | undefined, ...answer: unknown[]) => void,
  ): void;
}

/** A connection to systemd: that of the system, or the instance of a user. */
export class Systemd implements Disposable {
  readonly #client: Client;
  readonly #broken = Promise.withResolvers<never>();

  private constructor(client: Client) {
    this.#client = client;
    this.#broken.promise.catch(() => {});
    client.connection.on("error", (error) => this.#broken.reject(error));
  }

  /**
   * Connects through the bus, or where there is none directly.
   *
   * @param user Whether the user's instance is meant.
   * @throws {UnsupportedError} if it does not run.
   */
  static async connect(user: boolean): Promise<Systemd> {
    const found = sockets(user).find(({ path }) => isThere(path));
    if (!found) {
      const what = user ? "no instance of systemd for this user" : "no systemd";
      const remedy = "start it, or leave --systemd-cgroup out";
      throw new UnsupportedError("--systemd-cgroup", `${what} answers here`, remedy);
    }
    // Loaded only where they are needed. The types of dbus do not know all of its options.
    const { createConnection } = await import("node:net");
    const { default: dbus } = await import("dbus") as unknown as {
      default: { createClient(options: object): Client };
    };
    const { path, direct } = found;
    const stream = greetAtOnce(createConnection(path));
    return new Systemd(dbus.createClient({ stream, direct, authMethods: ["EXTERNAL"] }));
  }

  /** Its release, such as 252. */
  async release(): Promise<number> {
    const answer = await this.#call("ask systemd for its version", {
      interface: "org.freedesktop.DBus.Properties",
      member: "Get",
      signature: "ss",
      body: [MANAGER, "Version"],
    });
    return Number(/\d+/.exec(JSON.stringify(answer).replace(/^.*?\["/, ""))?.[0] ?? 0);
  }

  /** Makes a unit that goes when nothing is in it. @throws {SystemdError} */
  async start(unit: string, properties: readonly Property[]): Promise<void> {
    const start = async (): Promise<unknown> =>
      await this.#call(`start unit "${unit}"`, {
        member: "StartTransientUnit",
        signature: "ssa(sv)a(sa(sv))",
        body: [unit, "replace", properties, []],
      });
    try {
      await start();
    } catch (error) {
      if (!(error instanceof SystemdError) || !error.code.endsWith(".UnitExists")) throw error;
      await this.forget(unit); // an earlier one that failed
      await start();
    }
  }

  /** Changes properties until the next boot. @throws {SystemdError} */
  async change(unit: string, properties: readonly Property[]): Promise<void> {
    if (properties.length === 0) return;
    await this.#call(`change unit "${unit}"`, {
      member: "SetUnitProperties",
      signature: "sba(sv)",
      body: [unit, true, properties],
    });
  }

  /** Stops a unit, unless there is none. @throws {SystemdError} */
  async stop(unit: string): Promise<void> {
    try {
      await this.#call(`stop unit "${unit}"`, {
        member: "StopUnit",
        signature: "ss",
        body: [unit, "replace"],
      });
    } catch (error) {
      if (!(error instanceof SystemdError) || !error.code.endsWith(".NoSuchUnit")) throw error;
    }
  }

  /** Lets systemd forget that a unit failed, if it did. */
  async forget(unit: string): Promise<void> {
    try {
      await this.#call(`reset unit "${unit}"`, { member: "ResetFailedUnit", signature: "s", body: [unit] });
    } catch (error) {
      if (!(error instanceof SystemdError)) throw error;
    }
  }

  async #call(
    doing: string,
    { interface: face = MANAGER, ...call }: {
      interface?: string;
      member: string;
      signature: string;
      body: unknown[];
    },
  ): Promise<unknown[]> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const answer = new Promise<unknown[]>((resolve, reject) => {
      timer = setTimeout(
        () => reject(new SystemdError(doing, "timeout", `nothing for ${ANSWER_MS / 1000} s`)),
        ANSWER_MS,
      );
      this.#client.invoke({ path: PATH, destination: NAME, interface: face, ...call }, (error, ...words) => {
        if (!error) resolve(words);
        else reject(new SystemdError(doing, String(error.name ?? "error"), String(error.message ?? "")));
      });
    });
    try {
      return await Promise.race([answer, this.#broken.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.#client.connection.end();
  }
}

/**
 * Puts all that the client has to say before its first call into one packet, as libsystemd does. A systemd that reads
 * the end of the greeting and a call at once lets the call lie until somebody else connects.
 */
function greetAtOnce(socket: Socket): Socket {
  const write = socket.write.bind(socket) as (data: string | Uint8Array) => boolean;
  const greet = (data: string | Uint8Array): boolean => {
    if (data === "\0") return true;
    if (data === "BEGIN\r\n") {
      socket.write = write;
      return true;
    }
    return write(`\0${data}BEGIN\r\n`);
  };
  return Object.assign(socket, { write: greet });
}

/** Where systemd may listen, the bus first; with nobody between no greeting is expected. */
function sockets(user: boolean): { readonly path: string; readonly direct: boolean }[] {
  const address = Deno.env.get(user ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS") ?? "";
  const [, named] = /^unix:path=([^,;]+)/.exec(address) ?? [];
  const runtime = user ? Deno.env.get("XDG_RUNTIME_DIR") ?? `/run/user/${Deno.uid()}` : "/run";
  const bus = user ? `${runtime}/bus` : `${runtime}/dbus/system_bus_socket`;
  return [
    ...(named === undefined ? [] : [{ path: named, direct: false }]),
    { path: bus, direct: false },
    { path: `${runtime}/systemd/private`, direct: true },
  ];
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isSocket ?? false;
  } catch {
    return false;
  }
}
