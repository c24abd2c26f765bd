import { Leases } from "../../network/leases.ts";
import { settingsOf } from "../../network/settings.ts";
import { nameProcess } from "../../runtime/state/liveness.ts";

/** Takes leases and prints their addresses: `take_leases.ts DIRECTORY NAME COUNT`. */
const [directory = "", name = "", count = ""] = Deno.args;
const leases = new Leases(settingsOf(directory, { bridge: "test0", ipv4: "10.1.0.0/24" }));
for (let each = 0; each < Number(count); each++) {
  const owner = nameProcess(Deno.pid);
  console.log(leases.take({ id: `${name}-${each}`, owner, mode: "policy", ports: [] }).address);
}
