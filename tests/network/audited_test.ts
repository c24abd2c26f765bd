import { deepEqual, equal } from "node:assert/strict";
import type { AuditRecord } from "../../network/audit/record.ts";
import { containerTest } from "../helpers/container_test.ts";
import { NetworkWorld, OUTSIDE } from "../helpers/network_world.ts";

/** Sends to each `PROTOCOL:ADDRESS:PORT`, and ends at once. */
const SEND = `
import socket, sys
for word in sys.argv[1:]:
    kind, address, port = word.split(":")
    with socket.socket(socket.AF_INET, {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[kind]) as one:
        one.settimeout(2)
        try: one.connect((address, int(port))); one.send(b"x")
        except OSError: pass
`;

containerTest("what a program was refused is recorded also if it ends at once", async () => {
  await using world = await NetworkWorld.create();
  const words = [`tcp:${OUTSIDE.second}:443`, `udp:${OUTSIDE.second}:123`, `tcp:${OUTSIDE.metadata}:80`];
  const said = await world.runtime(
    "run",
    "--id",
    "box",
    "--allow",
    `${OUTSIDE.first}:80`,
    "--",
    "python3",
    "-c",
    SEND,
    ...words,
  );
  equal(said.code, 0, said.stderr);
  const lines = (await world.runtime("audit", "--format", "json", "box")).stdout.trim().split("\n");
  const records = lines.map((line) => JSON.parse(line) as AuditRecord);
  deepEqual(
    records.filter(({ kind, verdict }) => kind === "packet" && verdict === "deny").map((each) =>
      `${each.protocol}:${each.address}:${each.port}`
    ),
    words,
  );
});
