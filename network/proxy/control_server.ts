import { closed } from "../dns/upstream.ts";
import type { ControlAnswer, ControlRequest } from "./control.ts";

/** The longest line, and how many talk at once. */
const [LINE_BYTES, CONNECTIONS] = [4 << 20, 64];
const NEWLINE = 10;

/** Listens on a socket in a directory that only its owner can enter, and answers each line. */
export class ControlServer implements Disposable {
  readonly #listener: Deno.UnixListener;
  readonly #open = new Set<Deno.Conn>();
  /** One after the other, whoever asks: an update never meets a removal halfway. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string, readonly answer: (request: ControlRequest) => Promise<ControlAnswer>) {
    const before = Deno.umask(0o177);
    try {
      this.#listener = Deno.listen({ transport: "unix", path });
    } finally {
      Deno.umask(before);
    }
    this.#serve();
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) {
      if (this.#open.size >= CONNECTIONS) {
        connection.close();
        continue;
      }
      this.#open.add(connection);
      this.#talk(connection).catch(() => {}).finally(() => {
        closed(connection);
        this.#open.delete(connection);
      });
    }
  }

  async #talk(connection: Deno.Conn): Promise<void> {
    let rest: Uint8Array<ArrayBuffer> = new Uint8Array();
    const buffer = new Uint8Array(65536);
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) return;
      const all = new Uint8Array(rest.length + count);
      all.set(rest);
      all.set(buffer.subarray(0, count), rest.length);
      let start = 0;
      for (let end = all.indexOf(NEWLINE, rest.length); end >= 0; end = all.indexOf(NEWLINE, start)) {
        const answer = await this.#one(all.subarray(start, end));
        const bytes = new TextEncoder().encode(`${JSON.stringify(answer)}\n`);
        for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
        start = end + 1;
      }
      rest = all.slice(start);
      if (rest.length > LINE_BYTES) return;
    }
  }

  #one(line: Uint8Array): Promise<ControlAnswer> {
    const doing = this.#last.then(() =>
      this.answer(JSON.parse(new TextDecoder().decode(line)) as ControlRequest)
    )
      .catch((error): ControlAnswer => ({
        ok: false,
        error: error instanceof Error ? error.message : String(error),
      }));
    this.#last = doing;
    return doing;
  }

  [Symbol.dispose](): void {
    closed(this.#listener);
    for (const connection of this.#open) closed(connection);
  }
}
