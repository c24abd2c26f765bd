import { deepEqual, equal, match } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { containerTest } from "../helpers/container_test.ts";
import { eventually } from "../helpers/eventually.ts";
import { CREDENTIAL, policyOf, ProxyWorld, rule } from "../helpers/proxy_world.ts";

const helper = (name: string): string => fromFileUrl(new URL(`../helpers/${name}`, import.meta.url));
const PORT = 9443;

containerTest("gRPC goes through TLS that is opened: streams both ways, trailers, credentials", async () => {
  const opened = rule("opened", "inspected.test", {
    ports: [{ first: PORT, last: PORT }],
    protocols: ["https"],
    inspect: true,
    paths: ["/demo.Echo/*"],
  });
  await using world = await ProxyWorld.create(
    policyOf([opened], {
      credentials: [CREDENTIAL],
    }),
    { token: "the-real-secret" },
  );
  await world.startOutside([
    "node",
    helper("grpc_server.mjs"),
    `${world.path}/outside.pem`,
    `${world.path}/outside.key`,
    `${PORT}`,
  ]);
  equal((await world.attempt([{ dns: { name: "inspected.test" } }]))[0], "rcode 0 192.0.2.2");
  const words = ["192.0.2.2", `${PORT}`, "inspected.test", `${world.path}/box-ca.pem`];
  const { stdout, stderr } = await world.box.run(["node", helper("grpc_client.mjs"), ...words]);
  equal(stderr, "");
  const [stream, one, failed, denied, large] = JSON.parse(stdout);
  // Each answer came before the next message was sent; what the server saw of a credential comes back without it.
  deepEqual(stream, {
    head: [200, null],
    data: ["echo:one", "echo:two", "echo:three"],
    trailers: ["0", "POST /demo.Echo/Stream te=trailers Bearer placeholder-1"],
  });
  deepEqual(one.trailers, ["0", "POST /demo.Echo/Stream te=trailers"]);
  deepEqual(failed.head, [200, "5"]);
  equal(denied.head[0], 403);
  match(denied.data.join(""), /Refused by default/);
  equal(large, 100_000);
  // Each is written down when it is over, which may be after its end has arrived.
  const requests = await eventually(
    () => world.audit().filter(({ kind }) => kind === "request"),
    ({ length }) => length >= 5,
  );
  deepEqual(requests.map(({ path, status }) => `${path} ${status}`).sort(), [
    "/demo.Echo/Fail 200",
    "/demo.Echo/Large 200",
    "/demo.Echo/Stream 200",
    "/demo.Echo/Stream 200",
    "/demo.Other/Stream 403",
  ]);
  deepEqual(requests.find(({ uploadBytes }) => uploadBytes === 11)?.downloadBytes, 26);
});
