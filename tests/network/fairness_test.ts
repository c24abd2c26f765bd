import { equal, match, ok } from "node:assert/strict";
import { containerTest } from "../helpers/container_test.ts";
import { NetworkWorld } from "../helpers/network_world.ts";

/** Takes all that it gets: connections, connections and questions to the resolver, and bytes. */
const FLOOD = `
import socket, struct, threading, time
def question(n): return struct.pack(">HHHHHH", n & 65535, 0x100, 1, 0, 0, 0) + b"\\7allowed\\4test\\0" + struct.pack(">HH", 1, 1)
def ask():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for n in range(1 << 30):
        try: s.sendto(question(n), ("192.0.2.53", 53))
        except OSError: pass
        if n % 5 == 0: time.sleep(0.005)
def hold(address, most):
    held = []
    while True:
        s = socket.socket(); s.settimeout(2); time.sleep(0.001)
        try: s.connect(address); held.append(s)
        except OSError: s.close(); time.sleep(0.01)
        if len(held) > most: held.pop(0).close()
def send():
    while True:
        try:
            s = socket.create_connection(("192.0.2.2", 7), 2); s.settimeout(2)
            while True: s.sendall(b"x" * 262144)
        except OSError: time.sleep(0.01)
socket.getaddrinfo("allowed.test", 80)
for one in [(ask,), (hold, ("192.0.2.2", 80), 380), (hold, ("192.0.2.2", 80), 380), (hold, ("192.0.2.53", 53), 150), (send,)]:
    threading.Thread(target=one[0], args=one[1:], daemon=True).start()
time.sleep(0.7); print("flooding", flush=True); time.sleep(600)
`;
/** Asks for a name over TCP and UDP, and gets a page, some times. */
const CALM = `
import socket, struct, http.client
message = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\\7allowed\\4test\\0" + struct.pack(">HH", 1, 1)
for _ in range(5):
    with socket.create_connection(("192.0.2.53", 53), 40) as s:
        s.sendall(struct.pack(">H", len(message)) + message)
        answer = s.recv(2, socket.MSG_WAITALL); answer += s.recv(int.from_bytes(answer, "big"), socket.MSG_WAITALL)
        assert len(answer) > 20, answer
    one = http.client.HTTPConnection("allowed.test", timeout=40); one.request("GET", "/calm"); assert one.getresponse().status == 200
print("calm")
`;

containerTest(
  "a sandbox that floods the proxy and the resolver does not keep another one from its requests",
  async () => {
    await using world = await NetworkWorld.create();
    await world.serve("http:192.0.2.2:80", "tcp:192.0.2.2:7", "dns:192.0.2.53:53");
    const policy = `${world.path}/policy.json`;
    const allow = ["allowed.test:80", { host: "allowed.test", ports: [7], protocols: ["tcp"] }];
    Deno.writeTextFileSync(policy, JSON.stringify({ allow, nameServers: ["192.0.2.53"] }));
    const run = (id: string, program: string): string[] => {
      return ["run", "--id", id, "--network-policy", policy, "--", "python3", "-c", program];
    };
    const flood = world.startRuntime(run("flood", FLOOD), { stderr: "inherit" });
    const said = flood.stdout.pipeThrough(new TextDecoderStream()).getReader();
    match((await said.read()).value ?? "", /flooding/);
    const { code, stdout, stderr } = await world.runtime(...run("calm", CALM));
    equal(stderr, "");
    equal(code, 0);
    equal(stdout, "calm\n");
    flood.kill("SIGTERM");
    await said.cancel();
    await flood.status;
    const records = (await world.runtime("audit", "--format", "json", "flood")).stdout;
    for (const rule of ["limit:connections", "limit:names"]) ok(records.includes(`"rule":"${rule}"`), rule);
  },
);
