import { deepEqual, equal, rejects } from "node:assert/strict";
import { accept, listenIn } from "../../../../ffi/accept.ts";
import { openDirectory } from "../../../../ffi/directory.ts";
import type { Fd } from "../../../../ffi/fd.ts";
import { readSome, tryConnect, writeAll } from "../../../../ffi/socket.ts";
import { tellProxy } from "../../../../network/proxy/client.ts";
import { Temporary } from "../../../helpers/cli.ts";

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Takes what comes until it is all. */
async function until(isAll: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !isAll() && Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A listener that answers when the test says so. */
class Listening implements Disposable {
  readonly #files = new Temporary();
  readonly path = `${this.#files.path}/proxy.sock`;
  readonly #listener: Fd;

  constructor() {
    using directory = openDirectory(this.#files.path)!;
    this.#listener = listenIn(directory, "proxy.sock");
  }

  /** The next connection, if there is one now. */
  next(): Fd | undefined {
    return accept(this.#listener);
  }

  [Symbol.dispose](): void {
    this.#listener[Symbol.dispose]();
    this.#files[Symbol.dispose]();
  }
}

Deno.test("tellProxy() has told the proxy before its caller goes on, and does the rest meanwhile", async () => {
  using listening = new Listening();
  let isDone = false;
  const telling = tellProxy(listening.path, { do: "remove", id: "box" }, () => isDone = true);
  using connection = listening.next()!;
  equal(new TextDecoder().decode(readSome(connection)), '{"do":"remove","id":"box"}\n');
  equal(isDone, true);
  writeAll(connection, bytes('{"ok":'), "the answer");
  writeAll(connection, bytes("true}\n"), "the answer");
  deepEqual(await telling, { ok: true });
});

Deno.test("tellProxy() sends more than a socket has room for, as the proxy takes it", async () => {
  using listening = new Listening();
  const id = "x".repeat(1 << 20);
  const telling = tellProxy(listening.path, { do: "remove", id });
  using connection = listening.next()!;
  let length = 0;
  await until(() => {
    length += readSome(connection)?.length ?? 0;
    return length > id.length;
  });
  writeAll(connection, bytes('{"ok":true}\n'), "the answer");
  await telling;
  equal(length, JSON.stringify({ do: "remove", id }).length + 1);
});

Deno.test("tellProxy() waits until a proxy that many others wait for takes its connection", async () => {
  using listening = new Listening();
  using others = new DisposableStack();
  for (let other = tryConnect(listening.path); other !== "busy"; other = tryConnect(listening.path)) {
    if (other !== "nobody") others.use(other);
  }
  const telling = tellProxy(listening.path, { do: "status" });
  let connection: Fd | undefined;
  await until(() => {
    for (let next = listening.next(); next; next = listening.next()) {
      others.use(next);
      if (readSome(next)) connection = next;
    }
    return connection !== undefined;
  });
  writeAll(connection!, bytes('{"ok":true}\n'), "the answer");
  deepEqual(await telling, { ok: true });
});

Deno.test("tellProxy() tells a proxy that is not there, or ends, from one that refuses", async () => {
  using files = new Temporary();
  equal(await tellProxy(`${files.path}/proxy.sock`, { do: "status" }), undefined);
  using listening = new Listening();
  const ended = tellProxy(listening.path, { do: "status" });
  listening.next()![Symbol.dispose]();
  equal(await ended, undefined);
  const refused = tellProxy(listening.path, { do: "status" });
  using connection = listening.next()!;
  writeAll(connection, bytes('{"ok":false,"error":"no"}\n'), "the answer");
  await rejects(refused, /^LifecycleError: Cannot use the network's proxy: no$/);
});
