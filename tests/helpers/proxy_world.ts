import { fromFileUrl } from "@std/path";
import type { AuditEntry } from "../../network/audit/record.ts";
import type { ControlAnswer } from "../../network/proxy/control.ts";
import type { NetworkPolicy, NetworkRule, Protocol } from "../../network/policy/policy.ts";
import { eventually } from "./eventually.ts";
import { TextLineStream } from "./lines.ts";
import { NetworkWorld, Place } from "./network_world.ts";

/** What a client did, as tests/helpers/proxy_client.py takes it. */
export type Attempt = Readonly<Record<string, unknown>>;

/** What a server outside saw. */
export interface Seen {
  readonly kind: string;
  readonly to?: string;
  readonly port?: number;
  readonly data?: string;
  readonly sni?: string;
}

/** A credential that stands for itself by a placeholder, for the host that is inspected. */
export const CREDENTIAL: NetworkPolicy["credentials"][number] = {
  id: "token",
  placeholder: "placeholder-1",
  env: undefined,
  from: { env: "NONE" },
  hosts: ["inspected.test"],
  headers: ["authorization"],
};

const helper = (name: string): string => fromFileUrl(new URL(name, import.meta.url));

/** What a name server outside says; `turns` says one thing after the other. */
export const NAMES = {
  "allowed.test": ["192.0.2.2", "2001:db8::2"],
  "inspected.test": ["192.0.2.2"],
  "also.test": ["192.0.2.2"],
  "second.test": ["198.51.100.2"],
  "denied.test": ["198.51.100.2"],
  "one.below.test": ["192.0.2.2"],
  "alias.test": ["cname:denied.test", "198.51.100.2"],
  "metadata.test": ["169.254.169.254"],
  "private.test": ["10.99.0.2"],
  "loopback.test": ["127.0.0.1"],
  "mapped.test": ["::ffff:169.254.169.254"],
  "nat64.test": ["64:ff9b::a9fe:a9fe"],
  "multicast.test": ["224.0.0.251"],
  "rebinding.test": { turns: [["192.0.2.2"], ["10.99.0.2"]] },
  "mixed.test": ["192.0.2.2", "10.99.0.2"],
  "raw.test": ["192.0.2.2"],
} as const;

/** A rule as a policy reads it, with what most tests want. */
export function rule(
  id: string,
  name: string,
  more: Partial<NetworkRule> & { port?: number } = {},
): NetworkRule {
  const port = more.port ?? 80;
  return {
    id,
    destination: name.startsWith("*.")
      ? { kind: "below", name: name.slice(2) }
      : name.includes("/")
      ? { kind: "addresses", cidr: name }
      : { kind: "name", name },
    ports: more.ports ?? [{ first: port, last: port }],
    protocols: more.protocols ?? [(port === 443 ? "https" : "http") as Protocol],
    methods: more.methods ?? [],
    paths: more.paths ?? [],
    headers: more.headers ?? {},
    inspect: more.inspect ?? false,
    ...(more.websocket === undefined ? {} : { websocket: more.websocket }),
  };
}

/** A policy of these rules. */
export function policyOf(allow: readonly NetworkRule[], more: Partial<NetworkPolicy> = {}): NetworkPolicy {
  return {
    allow,
    deny: [],
    credentials: [],
    secrets: { detectors: [], patterns: {} },
    limits: {},
    nameServers: ["192.0.2.53"],
    ...more,
  };
}

/** A sandbox behind the proxy, a machine that both are on, and servers outside. */
export class ProxyWorld implements AsyncDisposable {
  readonly #world: NetworkWorld;
  /** A network namespace that the proxy decides over. */
  readonly box: Place;
  #answers: ReadableStreamDefaultReader<string> | undefined;
  #input: WritableStreamDefaultWriter<Uint8Array> | undefined;
  /** What the proxy said at its start. */
  started: Readonly<Record<string, unknown>> = {};

  private constructor(world: NetworkWorld, box: Place) {
    this.#world = world;
    this.box = box;
  }

  static async create(
    policy: NetworkPolicy,
    credentials: Readonly<Record<string, string>> = {},
  ): Promise<ProxyWorld> {
    const [world, box] = await Promise.all([NetworkWorld.create(), Place.create()]);
    const one = new ProxyWorld(world, box);
    await one.#start(policy, credentials);
    return one;
  }

  get host(): Place {
    return this.#world.host;
  }

  get path(): string {
    return this.#world.path;
  }

  /** The authority that the servers outside are of. */
  get authority(): string {
    return `${this.path}/outside-ca.pem`;
  }

  async #start(policy: NetworkPolicy, credentials: Readonly<Record<string, string>>): Promise<void> {
    await makeCertificates(this.path);
    const files = [`${this.path}/outside.jsonl`, `${this.path}/outside.pem`, `${this.path}/outside.key`];
    const server = this.#world.outside.start([
      "python3",
      helper("proxy_outside.py"),
      ...files,
      JSON.stringify(NAMES),
    ], {
      stderr: "inherit",
    });
    const ready = server.stdout.getReader();
    if (!(await ready.read()).value) throw new Error("Cannot start the servers outside");
    await ready.cancel();
    Deno.mkdirSync(this.#world.network, { recursive: true });
    const args = ["run", "--quiet", "-A", helper("proxy_host.ts"), this.#world.network, `${this.box.pid}`];
    const proxy = this.host.start([Deno.execPath(), ...args, JSON.stringify(policy)], {
      stdin: "piped",
      stderr: "inherit",
      env: { CREDENTIALS: JSON.stringify(credentials), DENO_CERT: this.authority },
    });
    this.#input = proxy.stdin.getWriter();
    this.#answers = proxy.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
      .getReader();
    this.started = await this.#answer();
    const { certificate } = this.started as { certificate?: string };
    if (certificate) Deno.writeTextFileSync(`${this.path}/box-ca.pem`, certificate);
  }

  /** Starts one more server outside, which says when it is ready. */
  async startOutside(args: readonly string[]): Promise<void> {
    const ready = this.#world.outside.start(args, { stderr: "inherit" }).stdout.getReader();
    if (!(await ready.read()).value) throw new Error(`Cannot start ${args.join(" ")}`);
    await ready.cancel();
  }

  /** Serves the files of a directory outside, at port 8000 of all addresses there. */
  async serveFiles(directory: string): Promise<void> {
    const args = ["python3", "-m", "http.server", "8000", "--bind", "::", "--directory", directory];
    this.#world.outside.start(args, { stdout: "null", stderr: "null" });
    const look =
      `for i in $(seq 600); do curl -s -o /dev/null http://192.0.2.2:8000/ && exit 0; sleep 0.05; done; exit 1`;
    await this.#world.outside.output("sh", "-c", look);
  }

  async #answer<Answer>(): Promise<Answer> {
    const { value } = await this.#answers!.read();
    if (value === undefined) throw new Error("Cannot hear of the proxy: it has ended");
    return JSON.parse(value);
  }

  /** Asks the proxy to do something. */
  async control(request: unknown): Promise<ControlAnswer> {
    await this.#input!.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
    return await this.#answer();
  }

  /** Makes attempts, from the sandbox or from the machine, where nothing defends. */
  async attempt(attempts: readonly Attempt[], place: Place = this.box): Promise<string[]> {
    const file = `${this.path}/attempts-${crypto.randomUUID()}.json`;
    Deno.writeTextFileSync(file, JSON.stringify(attempts));
    const { code, stdout, stderr } = await place.run([
      "sh",
      "-c",
      `exec python3 "$1" < "$2"`,
      "sh",
      helper("proxy_client.py"),
      file,
    ], { env: { TIMEOUT: place === this.box ? "1.5" : "3" } }); // nothing is refused there, only slow
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  }

  /** A piece of an attempt at which its sender waits for the test: until then nothing more is sent. */
  meeting(): { readonly piece: { readonly meet: string }; begun(): Promise<void>; end(): void } {
    const meet = `${this.path}/meeting-${crypto.randomUUID()}`;
    const begun = async (): Promise<void> => {
      if (!await eventually(() => isThere(meet), Boolean)) throw new Error("The sender has not come so far");
    };
    return { piece: { meet }, begun, end: () => Deno.removeSync(meet) };
  }

  /** What arrived outside. */
  seen(): Seen[] {
    return lines(`${this.path}/outside.jsonl`);
  }

  /** What was recorded. */
  audit(): AuditEntry[] {
    return lines(`${this.#world.network}/audit.jsonl`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input?.close().catch(() => {});
    await this.#answers?.cancel().catch(() => {});
    await this.box[Symbol.asyncDispose]();
    await this.#world[Symbol.asyncDispose]();
  }
}

/** Makes an authority and a certificate of it for all names, as `outside-ca.pem`, `outside.pem` and `outside.key`. */
export async function makeCertificates(path: string): Promise<void> {
  const names = Object.keys(NAMES).map((name) => `DNS:${name}`).join(",");
  const script = `cd "$1"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout outside-ca.key -out outside-ca.pem -subj /CN=outside -days 2
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout outside.key -out outside.csr -subj /CN=server
printf 'subjectAltName=%s\\nextendedKeyUsage=serverAuth\\n' "$2" > outside.ext
openssl x509 -req -in outside.csr -CA outside-ca.pem -CAkey outside-ca.key -CAcreateserial -days 2 -extfile outside.ext -out outside.pem`;
  const { success, stderr } = await new Deno.Command("sh", {
    args: ["-ec", script, "sh", path, names],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function lines<Line>(path: string): Line[] {
  try {
    const text = Deno.readTextFileSync(path);
    const whole = text.slice(0, text.lastIndexOf("\n") + 1); // the last line may just be written
    return whole.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
