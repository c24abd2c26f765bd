import { match } from "node:assert/strict";
import { Systemd } from "../../../../runtime/systemd/bus.ts";

const ADDRESS = "DBUS_SYSTEM_BUS_ADDRESS";

Deno.test("all that comes before the first call is one packet: systemd lets a call lie that it reads with its end", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "ai-sandbox-bus-" });
  const before = Deno.env.get(ADDRESS);
  try {
    const listener = Deno.listen({ transport: "unix", path: `${directory}/bus` });
    Deno.env.set(ADDRESS, `unix:path=${directory}/bus`);
    using systemd = await Systemd.connect(false);
    const asked = systemd.release().catch((error: Error) => error.message);
    using server = await listener.accept();
    listener.close();
    const read = async (): Promise<string> => {
      const buffer = new Uint8Array(4096);
      const size = await server.read(buffer);
      return new TextDecoder("latin1").decode(buffer.subarray(0, size ?? 0));
    };
    match(await read(), /^\0AUTH EXTERNAL [0-9a-f]+\r\nBEGIN\r\n$/);
    await server.write(new TextEncoder().encode("REJECTED EXTERNAL\r\n"));
    match(String(await asked), /REJECTED/);
  } finally {
    if (before === undefined) Deno.env.delete(ADDRESS);
    else Deno.env.set(ADDRESS, before);
    Deno.removeSync(directory, { recursive: true });
  }
});
