import { Sandbox } from "../../mod.ts";
import { eventually } from "./eventually.ts";

/** Makes a sandbox with a network policy by the library, and prints what it heard of it: `network_library.ts ROOT`. */
const FETCH = `
import urllib.request
print(urllib.request.urlopen("http://192.0.2.2/x", timeout=30).read().decode())
try: urllib.request.urlopen("http://192.0.2.53/y", timeout=3)
except Exception: pass
`;
const NAME = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("192.0.2.2", 80)); address = s.getsockname()[0]
print(address, [line.split()[2] for line in open("/etc/hosts") if line.startswith(address + " ")])
`;
const verdicts: string[] = [];
const isRefused = (each: string): boolean => /^(packet|connect) deny/.test(each);
const network = {
  root: Deno.args[0],
  policy: { allow: ["192.0.2.2:80"] },
  onVerdict: (record: object) => {
    const { kind, verdict, path = "" } = record as { kind: string; verdict: string; path?: string };
    verdicts.push(`${kind} ${verdict} ${path}`.trim());
  },
};
let said = "";
{
  await using sandbox = await Sandbox.create({
    command: ["python3", "-c", FETCH],
    stderr: "inherit",
    network,
  });
  sandbox.start();
  said = await new Response(sandbox.stdout).text();
  await sandbox.wait();
  // Refused packets are told of in portions.
  await eventually(() => verdicts, (all) => all.some(isRefused));
}
// One after the other, which have the same plan.
const names: string[] = [];
for (let each = 0; each < 2; each++) {
  const { root, policy } = network;
  await using sandbox = await Sandbox.run({ command: ["python3", "-c", NAME], network: { root, policy } });
  names.push((await new Response(sandbox.stdout).text()).trim());
}
console.log(JSON.stringify({ said, verdicts, names }));
