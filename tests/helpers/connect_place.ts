import { openNetwork, RouteSocket } from "../../ffi/netlink.ts";
import { Firewall } from "../../network/firewall.ts";
import { Leases } from "../../network/leases.ts";
import { connect, ensureBridge } from "../../network/link.ts";
import { networkSettings } from "../../network/settings.ts";
import { nameProcess } from "../../runtime/state/liveness.ts";

/** Connects network namespaces with a network as attaching does, without the runtime: `connect_place.ts DIRECTORY PID…`; prints the leases. */
const [directory = "", ...pids] = Deno.args;
const settings = networkSettings(directory);
const leases = new Leases(settings);
const firewall = new Firewall(settings);
const mode = Deno.env.get("MODE") === "bridge" ? "bridge" : "policy";
ensureBridge(settings, new RouteSocket());
if (!firewall.isInstalled) firewall.install(leases.list());
for (const pid of pids.map(Number)) {
  const lease = leases.take({ id: `place-${pid}`, owner: nameProcess(pid), mode, ports: [] });
  firewall.admit(lease);
  using namespace = openNetwork(`/proc/${pid}/ns/net`);
  connect(settings, lease, namespace);
  console.log(JSON.stringify(lease));
}
