import { ok } from "node:assert/strict";
import { Connected } from "../helpers/connected_places.ts";
import { containerTest } from "../helpers/container_test.ts";

/** Counts datagrams until its input ends and none comes any more. */
const COUNT = `
import select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 7053)); s.setblocking(False)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
print("ready", flush=True)
found, sends = 0, True
while True:
    ready, _, _ = select.select([s, sys.stdin] if sends else [s], [], [], None if sends else 2)
    if s in ready: s.recv(64); found += 1
    elif ready: sends = False
    else: break
print(found)
`;
/** Begins flows, each from a port of its own, until they are twice as many as may be begun in that time; prints those two. */
const BEGIN = `
import socket, time
began, sent = time.monotonic(), 0
while True:
    for _ in range(250):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s: s.sendto(b"flow", ("192.0.2.53", 53))
    sent += 250
    may = 1000 + 400 * (time.monotonic() - began)
    if sent > 2 * may or sent > 20000: break
print(sent, may)
`;

containerTest(
  "a sandbox begins 400 flows a second to the proxy, and more without the rules for that",
  async () => {
    await using connected = await Connected.create(2);
    const { world, boxes } = connected;
    await connected.firewall("usePorts", { tcpPort: 7000, dnsPort: 7053 });
    const flood = async (box = boxes[0]!): Promise<{ arrived: number; sent: number; may: number }> => {
      const child = world.host.start(["python3", "-c", COUNT], {
        stdin: "piped",
        stderr: "null",
      });
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      await reader.read();
      const [sent, may] = (await box.output("python3", "-c", BEGIN)).trim().split(" ").map(Number);
      await child.stdin.close();
      let text = "";
      for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
      return { arrived: Number(text.trim()), sent: sent!, may: may! };
    };
    const bounded = await flood();
    ok(bounded.sent > 2 * bounded.may - 1, `it could not begin enough: ${JSON.stringify(bounded)}`);
    ok(bounded.arrived > 900 && bounded.arrived < 1.1 * bounded.may, JSON.stringify(bounded));
    const script = `t=$(nft list tables inet | awk '{print $3}'); nft -a list chain inet $t screen |
    sed -n 's/.*@begun.*# handle //p' | while read h; do nft delete rule inet $t screen handle $h; done`;
    await world.host.output("sh", "-ec", script);
    const unbounded = await flood(boxes[1]);
    ok(unbounded.arrived > 1.5 * unbounded.may, JSON.stringify(unbounded));
  },
);
