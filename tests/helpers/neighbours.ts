import { until } from "./cli.ts";

/** Processes of the host that a sandbox must not reach, each ended when it is disposed of. */
class Neighbour implements AsyncDisposable {
  protected constructor(readonly child: Deno.ChildProcess) {}

  get pid(): number {
    return this.child.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.child.stdout.cancel().catch(() => {});
    await this.child.status;
  }
}

async function spawn(args: readonly string[]): Promise<Deno.ChildProcess> {
  const [command, ...rest] = args;
  const child = new Deno.Command(command!, { args: rest, stdin: "null", stdout: "piped" }).spawn();
  await until(child.stdout, "ready");
  return child;
}

/** A process that does nothing. `wrapper` starts it as somebody else. */
export class Bystander extends Neighbour {
  static async start(wrapper: readonly string[] = []): Promise<Bystander> {
    return new Bystander(await spawn([...wrapper, "sh", "-c", "echo ready; exec sleep 60"]));
  }
}

const LISTEN = `
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0" + sys.argv[1]); listener.listen()
print("ready", flush=True)
while True: listener.accept()`;

const RECEIVE = `
import os, socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o777)
print("ready", flush=True)
while True: receiver.recv(1)`;

/** Takes datagrams from everybody at a path, as daemons do at /run/systemd/notify. */
export class DatagramReceiver extends Neighbour {
  static async start(path: string): Promise<DatagramReceiver> {
    return new DatagramReceiver(await spawn(["python3", "-c", RECEIVE, path]));
  }
}

/** Accepts whoever connects to an abstract socket of the host's network. */
export class AbstractListener extends Neighbour {
  readonly name: string;

  private constructor(child: Deno.ChildProcess, name: string) {
    super(child);
    this.name = name;
  }

  static async start(): Promise<AbstractListener> {
    const name = `ai-sandbox-test-${crypto.randomUUID()}`;
    return new AbstractListener(await spawn(["python3", "-c", LISTEN, name]), name);
  }
}

/** Accepts whoever connects to `port` of the loopback device. */
export class TcpListener implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly port: number = (this.#listener.addr as Deno.NetAddr).port;

  constructor() {
    void this.#accept();
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) connection.close();
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}
