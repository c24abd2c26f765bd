import { saysEnded } from "../../ffi/ended.ts";
import { cgroups } from "../../runtime/host/probe.ts";
import { RUNTIME, Temporary } from "./cli.ts";

/** How a program in a place ended, and what it said. */
export interface Spoken {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Places end by themselves if whoever made them has died. */
const MOST_S = 900;
const TIMEOUT_MS = 60_000;

/** A network namespace of the test's own, in which programs are started. */
export class Place implements AsyncDisposable {
  readonly #keeper: Deno.ChildProcess;
  readonly #started = new Set<Deno.ChildProcess>();

  private constructor(keeper: Deno.ChildProcess) {
    this.#keeper = keeper;
  }

  static async create(): Promise<Place> {
    const args = ["-n", "sleep", `${MOST_S}`];
    const keeper = new Deno.Command("unshare", { args, stdin: "null", stdout: "null" }).spawn();
    const own = Deno.readLinkSync("/proc/self/ns/net");
    for (const end = Date.now() + 30_000; Date.now() < end;) {
      if (Deno.readTextFileSync(`/proc/${keeper.pid}/comm`).trim() === "sleep") break;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    if (Deno.readLinkSync(`/proc/${keeper.pid}/ns/net`) === own) {
      throw new Error("Cannot make a network namespace");
    }
    const place = new Place(keeper);
    await place.output("ip", "link", "set", "lo", "up");
    return place;
  }

  /** The process that keeps the namespace. */
  get pid(): number {
    return this.#keeper.pid;
  }

  /** Starts a program here; it is killed with the place. */
  start(args: readonly string[], options: Deno.CommandOptions = {}): Deno.ChildProcess {
    const all = ["-t", `${this.pid}`, "-n", "--", ...args];
    const streams = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
    const child = new Deno.Command("nsenter", { ...streams, ...options, args: all }).spawn();
    this.#started.add(child);
    void child.status.then(() => this.#started.delete(child));
    return child;
  }

  /** Runs a program here to its end. What goes on after it need not close its streams. */
  async run(
    args: readonly string[],
    options: Deno.CommandOptions = {},
    timeoutMs: number = TIMEOUT_MS,
  ): Promise<Spoken> {
    using files = new Temporary();
    const [out, err] = [files.file("out", ""), files.file("err", "")];
    const script = 'exec "$@" >"$OUT" 2>"$ERR"';
    const env = { NO_COLOR: "1", ...options.env, OUT: out, ERR: err };
    const child = this.start(["/bin/sh", "-c", script, "sh", ...args], {
      ...options,
      env,
      stdout: "null",
      stderr: "null",
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    const { code } = await child.status;
    clearTimeout(timer);
    return { code, stdout: Deno.readTextFileSync(out), stderr: Deno.readTextFileSync(err) };
  }

  /** What a program prints that must succeed. */
  async output(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args);
    if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** Runs a module of the checkout, or any other, with Deno. */
  deno(module: string, ...args: string[]): Promise<Spoken> {
    return this.run([Deno.execPath(), "run", "--quiet", "-A", module, ...args]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#started, this.#keeper];
    for (const child of all) {
      try {
        child.kill("SIGKILL");
      } catch { /* it has ended */ }
    }
    await Promise.all(all.map((child) => child.status));
  }
}

/** Addresses of servers outside. The host routes everything to them, and they lead nowhere else. */
export const OUTSIDE = {
  first: "192.0.2.2",
  second: "198.51.100.2",
  names: "192.0.2.53",
  first6: "2001:db8::2",
  names6: "2001:db8::53",
  metadata: "169.254.169.254",
  private: "10.99.0.2",
} as const;
/** Addresses of the host. */
export const HOST = { first: "192.0.2.1", second: "198.51.100.1", first6: "2001:db8::1" } as const;

/**
 * A machine and what is outside of it, both in network namespaces: nothing that is done here comes to the network of the
 * machine that the test runs on.
 */
export class NetworkWorld implements AsyncDisposable {
  /** What stands for the machine: the runtime and the proxy run here. */
  readonly host: Place;
  /** What stands for all others. */
  readonly outside: Place;
  readonly #files = new Temporary(0o711);

  private constructor(host: Place, outside: Place) {
    this.host = host;
    this.outside = outside;
  }

  static async create(): Promise<NetworkWorld> {
    const [host, outside] = [await Place.create(), await Place.create()];
    const world = new NetworkWorld(host, outside);
    const { first, second, names, first6, names6, metadata } = OUTSIDE;
    await host.output(
      "ip",
      "link",
      "add",
      "up0",
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      `${outside.pid}`,
    );
    await host.output(
      "sh",
      "-ec",
      `ip addr add ${HOST.first}/24 dev up0; ip addr add ${HOST.second}/24 dev up0; ip addr add ${HOST.first6}/64 dev up0 nodad
       ip link set up0 up; ip route add default via ${first}; ip route add ${metadata} dev up0; ip -6 route add default via ${first6}`,
    );
    await outside.output(
      "sh",
      "-ec",
      `for a in ${first}/24 ${names}/24 ${second}/24 ${metadata}/32 ${OUTSIDE.private}/32; do ip addr add $a dev eth0; done
       for a in ${first6}/64 ${names6}/64; do ip addr add $a dev eth0 nodad; done
       ip link set eth0 up; ip route add default via ${HOST.first}; ip -6 route add default via ${HOST.first6}`,
    );
    return world;
  }

  /** A directory for files of the test. */
  get path(): string {
    return this.#files.path;
  }

  /** The directory of containers that commands of {@linkcode runtime} use. */
  get root(): string {
    return `${this.path}/containers`;
  }

  /** The network of those containers. */
  get network(): string {
    return `${this.root}/@network`;
  }

  /** Runs a command of the runtime on the machine. */
  runtime(...args: string[]): Promise<Spoken> {
    return this.host.run([...RUNTIME, "--root", this.root, ...args]);
  }

  /** Starts one. */
  startRuntime(args: readonly string[], options: Deno.CommandOptions = {}): Deno.ChildProcess {
    return this.host.start([...RUNTIME, "--root", this.root, ...args], options);
  }

  /**
   * Serves outside, each as `http:ADDRESS:PORT`, `tcp:…`, `udp:…` or `dns:…`, for which every name is 192.0.2.2. HTTP answers `hello from
   * ADDRESS:PORT to CLIENT METHOD PATH`, the others send back what they get behind their own name.
   */
  serve(...what: readonly string[]): Promise<void> {
    return this.serveAt(this.outside, ...what);
  }

  /** The same in any place. */
  async serveAt(place: Place, ...what: readonly string[]): Promise<void> {
    const child = place.start(["python3", "-c", SERVER, ...what], { stderr: "null" });
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    await child.stdout.cancel();
    if (!value) throw new Error(`Cannot serve ${what.join(" ")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of this.#containers()) await this.runtime("delete", "--force", id);
    await this.#endProxy();
    await this.host[Symbol.asyncDispose]();
    await this.outside[Symbol.asyncDispose]();
    this.#files[Symbol.dispose]();
  }

  /** What a failed test has left. */
  #containers(): string[] {
    try {
      return [...Deno.readDirSync(this.root)].map(({ name }) => name).filter((name) => !name.startsWith("@"));
    } catch {
      return []; // it has made none
    }
  }

  /** The proxy of a network is in a session of its own: it ends here, by its pid, if it did not end with its last sandbox. */
  async #endProxy(): Promise<void> {
    const found = this.proxies();
    const groups = new Set(found.flatMap(groupsOf));
    for (const pid of found) kill(pid); // who watches it, too
    for (const pid of found) await ended(pid);
    // Who watches it would have removed them.
    await Promise.all([...groups].map(gone));
  }

  /** The proxy of the machine's network, and before it who watches it. */
  proxies(): number[] {
    const found: number[] = [];
    const here = Deno.readLinkSync(`/proc/${this.host.pid}/ns/net`);
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const isHere = lookAt(() => Deno.readLinkSync(`/proc/${name}/ns/net`)) === here;
      const words = isHere ? lookAt(() => Deno.readTextFileSync(`/proc/${name}/cmdline`)).split("\0") : [];
      if (words.includes("network-proxy")) found.push(Number(name));
    }
    // Numbers begin anew some time: the younger one is no larger then.
    const parents = new Map(found.map((pid) => [pid, parentOf(pid)]));
    return found.sort((one, other) =>
      parents.get(one) === other ? 1 : parents.get(other) === one ? -1 : one - other
    );
  }
}

/** What is told of a process, or an empty text if it has ended: also between the opening of a file and its reading. */
function lookAt(look: () => string): string {
  try {
    return look();
  } catch (error) {
    if (!saysEnded(error) && !(error instanceof Deno.errors.PermissionDenied)) throw error;
    return "";
  }
}

function parentOf(pid: number): number {
  const stat = lookAt(() => Deno.readTextFileSync(`/proc/${pid}/stat`));
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
}

/** The cgroups of a process that are those of a proxy. */
export function groupsOf(pid: number): string[] {
  const [mountinfo, own] = ["self/mountinfo", `${pid}/cgroup`].map((name) =>
    lookAt(() => Deno.readTextFileSync(`/proc/${name}`))
  );
  return cgroups(mountinfo!, own!).map(({ mountPoint, own }) => `${mountPoint}${own}`)
    .filter((path) => /\/aisbx\w+-proxy$/.test(path));
}

/** Removes a cgroup, which the kernel may need a moment for after the last process. */
async function gone(path: string): Promise<void> {
  for (const end = Date.now() + 30_000;;) {
    try {
      return Deno.removeSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // it has ended
  }
}

async function ended(pid: number): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    try {
      if (/^\d+ \(.*\) [ZX]/s.test(Deno.readTextFileSync(`/proc/${pid}/stat`))) return;
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const SERVER = `
import socket, socketserver, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
def family(address): return socket.AF_INET6 if ":" in address else socket.AF_INET
class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    def server_bind(self): socketserver.TCPServer.server_bind(self) # asks nobody for its own name, for 10 s
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def answer(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        text = f"hello from {self.server.called} to {self.client_address[0]} {self.command} {self.path} {len(body)}\\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer
    def log_message(self, *words): pass
def http(address, port):
    Server.address_family = family(address)
    server = Server((address, port), Handler)
    server.called = f"{address}:{port}"
    return server.serve_forever
def tcp(address, port):
    listener = socket.socket(family(address), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port)); listener.listen(64)
    def one(connection):
        with connection:
            connection.sendall(f"{address}:{port} ".encode())
            while data := connection.recv(65536): connection.sendall(data)
    def run():
        while True: threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()
    return run
def udp(address, port):
    at = socket.socket(family(address), socket.SOCK_DGRAM)
    at.bind((address, port))
    def run():
        while True:
            data, who = at.recvfrom(65536)
            at.sendto(f"{address}:{port} to {who[0]} ".encode() + data, who)
    return run
def dns(address, port):
    at = socket.socket(family(address), socket.SOCK_DGRAM)
    at.bind((address, port))
    def run():
        while True:
            data, who = at.recvfrom(512)
            end = data.index(b"\\0", 12) + 5
            question, isA = data[12:end], data[end - 4:end - 2] == b"\\0\\1"
            answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + socket.inet_aton("192.0.2.2") if isA else b""
            at.sendto(data[:2] + b"\\x81\\x80\\0\\1" + (b"\\0\\1" if isA else b"\\0\\0") + bytes(4) + question + answer, who)
    return run
for word in sys.argv[1:]:
    kind, rest = word.split(":", 1)
    address, port = rest.rsplit(":", 1)
    threading.Thread(target={"http": http, "tcp": tcp, "udp": udp, "dns": dns}[kind](address, int(port)), daemon=True).start()
sys.stdout.write("ready\\n"); sys.stdout.flush()
threading.Event().wait()
`;
