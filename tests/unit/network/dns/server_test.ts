import { deepEqual } from "node:assert/strict";
import { NameListener } from "../../../../network/dns/server.ts";
import { exactly } from "../../../../network/dns/upstream.ts";

/** More than a connection may be idle for. */
const LONG_MS = 5_500;

Deno.test("NameListener takes nobody for idle who waits for an answer over TCP", async () => {
  using listener = await NameListener.open("127.0.0.1", 0, async (_, bytes) => {
    await new Promise((resolve) => setTimeout(resolve, LONG_MS));
    return Uint8Array.from(bytes);
  });
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: listener.port });
  await connection.write(Uint8Array.from([0, 3, 7, 8, 9]));
  deepEqual([...await exactly(connection, 5)], [0, 3, 7, 8, 9]);
});
