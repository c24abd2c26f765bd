import { closeAtExec } from "../../ffi/fd.ts";
import type { ProxiedSandbox } from "./control.ts";

/** What the file has in it when there is nothing to keep: whoever has it sees that a proxy was there. */
const NOTHING = "{}\n";

type Secrets = ProxiedSandbox["credentials"];
type Whose = Pick<ProxiedSandbox, "id" | "ipv4">;

/** Secrets of sandboxes in a file in memory that outlives the proxy: nothing of them is on disk. */
export class KeptCredentials implements Disposable {
  readonly #file: Deno.FsFile;
  #kept: Record<string, Secrets>;

  /** @param descriptor A file that whoever started the proxy has, too. */
  constructor(descriptor: number) {
    closeAtExec(descriptor);
    this.#file = Deno.openSync(`/proc/self/fd/${descriptor}`, { read: true, write: true });
    this.#kept = read(this.#file);
  }

  /** What is known of a sandbox: one with another address is another one. */
  known({ id, ipv4 }: Whose): Secrets {
    const key = keyOf({ id, ipv4 });
    return Object.hasOwn(this.#kept, key) ? this.#kept[key]! : {};
  }

  /** Keeps the secrets of a sandbox; of none, forgets it. */
  keep(whose: Whose, secrets: Secrets = {}): void {
    const key = keyOf(whose);
    const isNothing = Object.keys(secrets).length === 0;
    if (isNothing && !Object.hasOwn(this.#kept, key)) return;
    if (isNothing) delete this.#kept[key];
    else this.#kept[key] = secrets;
    this.#write();
  }

  /** Says that a proxy is there, and forgets sandboxes that are not. */
  ready(sandboxes: readonly Whose[]): void {
    const there = new Set(sandboxes.map(keyOf));
    this.#kept = Object.fromEntries(Object.entries(this.#kept).filter(([key]) => there.has(key)));
    this.#write();
  }

  /** In one call: a proxy that is killed meanwhile leaves the old or the new, or what nobody can read. */
  #write(): void {
    const text = Object.keys(this.#kept).length === 0 ? NOTHING : `${JSON.stringify(this.#kept)}\n`;
    const bytes = new TextEncoder().encode(text);
    this.#file.seekSync(0, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    this.#file.truncateSync(bytes.length);
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function keyOf({ id, ipv4 }: Whose): string {
  return `${id} ${ipv4}`;
}

/** What cannot be read is nothing: requests that need it are refused. */
function read(file: Deno.FsFile): Record<string, Secrets> {
  const bytes = new Uint8Array(file.statSync().size);
  let length = 0;
  while (length < bytes.length) {
    const count = file.readSync(bytes.subarray(length));
    if (count === null) break;
    length += count;
  }
  const [line = ""] = new TextDecoder().decode(bytes.subarray(0, length)).split("\n");
  try {
    return JSON.parse(line || "{}");
  } catch {
    return {};
  }
}
