/**
 * The proxy of a network without the runtime: `proxy_host.ts DIRECTORY PID POLICY`. It connects the network namespace of
 * a process, decides over it by the policy (JSON), and prints where it listens; each line of its input is a request of
 * network/proxy/control.ts, or `{"do": "audit", "broken": true}`, or `{"do": "firewall", "off": true}`. Records are one
 * JSON line each in DIRECTORY/audit.jsonl.
 */
import { TextLineStream } from "./lines.ts";
import { openNetwork, RouteSocket } from "../../ffi/netlink.ts";
import type { AuditEntry } from "../../network/audit/record.ts";
import { Firewall } from "../../network/firewall.ts";
import { Leases } from "../../network/leases.ts";
import { connect, ensureBridge } from "../../network/link.ts";
import { ProxyService } from "../../network/proxy/service.ts";
import { ipv4Text, ipv6Text, networkSettings } from "../../network/settings.ts";
import { nameProcess } from "../../runtime/state/liveness.ts";

const [directory = "", pid = "", policy = ""] = Deno.args;
const settings = networkSettings(directory);
const firewall = new Firewall(settings);
ensureBridge(settings, new RouteSocket());
firewall.install([]);
const lease = new Leases(settings).take({
  id: "box",
  owner: nameProcess(Number(pid)),
  mode: "policy",
  ports: [],
});
firewall.admit(lease);
using namespace = openNetwork(`/proc/${pid}/ns/net`);
connect(settings, lease, namespace);

let isBroken = false;
const hostnames = [ipv4Text(settings.ipv4.gateway)];
if (settings.ipv6) hostnames.push(ipv6Text(settings.ipv6.gateway));
const service = await ProxyService.start({
  hostnames,
  firewall,
  logGroup: settings.logGroup,
  openAudit: (path) => {
    const file = Deno.openSync(path, { append: true, create: true, write: true });
    return {
      append(entry: AuditEntry): void {
        if (isBroken) throw new Error("Cannot write the record");
        file.writeSync(new TextEncoder().encode(`${JSON.stringify(entry)}\n`));
      },
      [Symbol.dispose]: () => file.close(),
    };
  },
});
firewall.usePorts(service.ports);
const sandbox = {
  id: "box",
  ipv4: lease.address,
  ipv6: lease.ipv6,
  policy: JSON.parse(policy),
  audit: `${directory}/audit.jsonl`,
  credentials: JSON.parse(Deno.env.get("CREDENTIALS") ?? "{}"),
};
const added = await service.control({ do: "add", sandbox });
console.log(JSON.stringify({ ...service.ports, ...added, ...lease, gateway: hostnames }));
for await (
  const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
) {
  const request = JSON.parse(line);
  if (request.do === "audit") isBroken = request.broken;
  const answer = request.do === "audit"
    ? { ok: true }
    : await service.control(request).catch((error) => ({ ok: false, error: String(error) }));
  console.log(JSON.stringify(answer));
}
