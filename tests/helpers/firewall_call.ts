import { Firewall } from "../../network/firewall.ts";
import { networkSettings } from "../../network/settings.ts";

/** Calls a method of a network's firewall: `firewall_call.ts DIRECTORY METHOD JSON…`; prints what it returns as JSON. */
const [directory = "", method = "", ...args] = Deno.args;
const firewall = new Firewall(networkSettings(directory));
const call = firewall[method as "pin"] as unknown as (...args: unknown[]) => unknown;
console.log(JSON.stringify(call.apply(firewall, args.map((each) => JSON.parse(each))) ?? null));
