import { deepEqual, equal, match } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { containerTest } from "../helpers/container_test.ts";
import type { Lease } from "../../network/leases.ts";
import type { ControlAnswer } from "../../network/proxy/control.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { NetworkWorld, OUTSIDE, Place } from "../helpers/network_world.ts";
import { policyOf, rule } from "../helpers/proxy_world.ts";

async function tell(path: string, text: string): Promise<ControlAnswer> {
  using connection = await Deno.connect({ transport: "unix", path });
  await connection.write(new TextEncoder().encode(`${text}\n`));
  const buffer = new Uint8Array(65536);
  return JSON.parse(new TextDecoder().decode(buffer.subarray(0, await connection.read(buffer) ?? 0)));
}

/** Starts the proxy as a command, and waits until it answers. */
async function started(world: NetworkWorld): Promise<{ child: Deno.ChildProcess; dnsPort: number }> {
  const args = [...RUNTIME, "network-proxy", "--directory", world.network];
  const child = world.host.start(args, { stdout: "null", stderr: "inherit" });
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    try {
      const answer = await tell(`${world.network}/proxy.sock`, '{"do": "status"}');
      if (answer.ok && answer.status?.pid === child.pid) return { child, dnsPort: answer.status.dnsPort };
    } catch {
      // It is not there yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("Cannot start the proxy");
}

containerTest(
  "network-proxy serves the sandboxes of a network, and those that were there before it was killed",
  async () => {
    await using world = await NetworkWorld.create();
    await using box = await Place.create();
    const connect = fromFileUrl(new URL("../helpers/connect_place.ts", import.meta.url));
    const { stdout, stderr } = await world.host.deno(connect, world.network, `${box.pid}`);
    equal(stderr, "");
    const { address, ipv6 } = JSON.parse(stdout) as Lease;
    await world.serve(`http:${OUTSIDE.first}:80`, `http:${OUTSIDE.second}:80`);
    const first = await started(world);
    equal(Deno.statSync(`${world.network}/proxy.sock`).mode! & 0o777, 0o600);
    const get = (to: string): Promise<{ code: number; stdout: string }> =>
      box.run(["curl", "-sS", "--max-time", "30", `http://${to}/`]);
    match((await get(OUTSIDE.first)).stdout, /^$/);

    const policy = policyOf([rule("first", `${OUTSIDE.first}/32`)]);
    const sandbox = {
      id: "box",
      ipv4: address,
      ipv6,
      policy,
      audit: `${world.network}/box.jsonl`,
      credentials: {},
    };
    deepEqual(await tell(`${world.network}/proxy.sock`, JSON.stringify({ do: "add", sandbox })), {
      ok: true,
    });
    match((await get(OUTSIDE.first)).stdout, /hello from 192\.0\.2\.2/);
    equal((await get(OUTSIDE.second)).stdout, "");

    Deno.mkdirSync(`${world.network}/sandboxes`);
    Deno.writeTextFileSync(`${world.network}/sandboxes/box.json`, JSON.stringify(sandbox));
    Deno.kill(first.child.pid, "SIGKILL");
    await first.child.status;
    equal((await get(OUTSIDE.first)).stdout, "");
    const second = await started(world);
    match((await get(OUTSIDE.first)).stdout, /hello from 192\.0\.2\.2/);
    equal((await get(OUTSIDE.second)).stdout, "");

    for (
      const bad of [
        "",
        "{",
        "null",
        "[]",
        '{"do": "unknown"}',
        '{"do": "remove", "id": "nobody"}',
        '{"do": "add"}',
      ]
    ) {
      equal((await tell(`${world.network}/proxy.sock`, bad)).ok, false, bad);
    }
    Deno.kill(second.child.pid, "SIGTERM");
    equal((await second.child.status).code, 0);
  },
);
