import { set } from "./link.ts";

/**
 * Lets the host carry packets between the bridge and elsewhere: for UDP that a policy allows, for the network without a
 * policy, and for published ports. Without this the kernel carries nothing, whatever the firewall says.
 */
export function forward(
  bridge: string,
  { ipv6, loopback }: { readonly ipv6: boolean; readonly loopback: boolean },
): void {
  // Writing it resets what devices have, so it is left alone where it is on.
  if (read("ipv4/ip_forward") === "0") set("ipv4/ip_forward", "1");
  set(`ipv4/conf/${bridge}/forwarding`, "1");
  // A program of the host reaches published ports at 127.0.0.1 too; answers come back by the bridge.
  if (loopback) set(`ipv4/conf/${bridge}/route_localnet`, "1");
  if (!ipv6 || read("ipv6/conf/all/forwarding") !== "0") return;
  // A host that forwards takes no more advertisements of routers, unless it is told to: it would lose its own way out.
  for (const { name } of Deno.readDirSync("/proc/sys/net/ipv6/conf")) {
    if (name !== bridge && read(`ipv6/conf/${name}/accept_ra`) === "1") {
      set(`ipv6/conf/${name}/accept_ra`, "2", true);
    }
  }
  set("ipv6/conf/all/forwarding", "1");
}

function read(name: string): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/sys/net/${name}`).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
