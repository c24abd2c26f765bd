import { Sandbox } from "../../mod.ts";

/** Makes many sandboxes at once, every other of which may reach a server: `network_crowd.ts ROOT COUNT`; prints how they fared. */
const [root, count] = Deno.args;
const SCRIPT = `
import urllib.request, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("192.0.2.2", 9)); print(s.getsockname()[0])
try: print("allowed", urllib.request.urlopen("http://192.0.2.2/x", timeout=40).status)
except Exception as e: print("refused", e)
`;

async function one(index: number): Promise<string[]> {
  const policy = { allow: [index % 2 === 0 ? "192.0.2.2:80" : "192.0.2.3:80"] };
  await using sandbox = await Sandbox.run({
    command: ["python3", "-c", SCRIPT],
    stderr: "inherit",
    network: { root, policy },
  });
  return (await new Response(sandbox.stdout).text()).trim().split("\n");
}

const all = await Promise.all(Array.from({ length: Number(count) }, (_, index) => one(index)));
console.log(JSON.stringify({
  hosts: all.map(([host]) => host),
  allowed: all.filter(([, said]) => said?.startsWith("allowed 200")).length,
  refused: all.filter(([, said]) => said?.startsWith("refused")).length,
}));
