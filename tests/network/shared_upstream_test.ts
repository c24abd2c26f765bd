import { deepEqual, equal, notEqual, rejects } from "node:assert/strict";
import { type ClientHttp2Session, createSecureServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { Exchange2, type Request2, SharedUpstream } from "../../network/proxy/http/upstream2.ts";
import { Temporary } from "../helpers/cli.ts";
import { waitUntil } from "../helpers/eventually.ts";
import { makeCertificates } from "../helpers/proxy_world.ts";

const NAME = "allowed.test";
const VARIABLE = "SSL_CERT_FILE";
/** As whoever takes no more requests says first: which was the last one it tells later (RFC 9113, 6.8). */
const ANY_STREAM = 2 ** 31 - 1;

function get(target: string): Request2 {
  return { method: "GET", authority: NAME, target, headers: [], isEmpty: true, takesTrailers: false };
}

/** Has this process, and what it starts, trust an authority for as long. */
function trusting(file: string): Disposable {
  const before = Deno.env.get(VARIABLE);
  Deno.env.set(VARIABLE, file);
  return {
    [Symbol.dispose]: () => before === undefined ? Deno.env.delete(VARIABLE) : Deno.env.set(VARIABLE, before),
  };
}

Deno.test("a connection that its server has replaced ends with the others, a request being under way on it", async () => {
  using directory = new Temporary();
  await makeCertificates(directory.path);
  const read = (name: string): string => Deno.readTextFileSync(`${directory.path}/${name}`);
  using _trusts = trusting(`${directory.path}/outside-ca.pem`);
  const streams: ServerHttp2Stream[] = [];
  const server = createSecureServer({ key: read("outside.key"), cert: read("outside.pem") });
  server.on("stream", (stream: ServerHttp2Stream) => {
    streams.push(stream);
    stream.on("error", () => {}); // it is ended by the client
    if (streams.length > 1) stream.respond({ ":status": 200 });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const shared = new SharedUpstream(
    { address: "127.0.0.1", port, tlsName: NAME },
    new AbortController().signal,
  );
  const session = async (): Promise<ClientHttp2Session> => (await shared.session())!;
  const one = await session();
  const pending = new Exchange2(one, get("/pending"));
  await waitUntil(() => streams.length === 1);
  equal(await session(), one);
  streams[0]!.session!.goaway(0, ANY_STREAM);
  await waitUntil(() => one.closed);
  const other = await session();
  notEqual(other, one);
  equal((await new Exchange2(other, get("/next")).head()).status, 200);
  deepEqual([one.destroyed, other.destroyed], [false, false]);
  shared[Symbol.dispose]();
  deepEqual([one.destroyed, other.destroyed], [true, true]);
  await rejects(pending.head(), /the server has ended the request/);
  await waitUntil(() => streams.every((stream) => stream.destroyed));
  await new Promise((resolve) => server.close(resolve));
});
