import { isInstalled } from "../ffi/library.ts";
import { LIBNFTABLES } from "../ffi/nftables.ts";
import { isAlive } from "../runtime/state/liveness.ts";
import { removeFiles } from "./files.ts";
import { Firewall } from "./firewall.ts";
import type { Lease, Leases } from "./leases.ts";
import { disconnect } from "./link.ts";
import { Proxied } from "./proxied.ts";
import type { NetworkSettings } from "./settings.ts";

/**
 * Takes away all that belongs to a lease, then the lease itself: until then all can be done again.
 *
 * @param ifStale Whether only one is meant whose sandbox has ended.
 */
export async function takeAway(
  settings: NetworkSettings,
  leases: Leases,
  lease: Lease,
  ifStale = false,
): Promise<void> {
  // The device first: what has no device sends nothing while the rest goes.
  using _lock = await leases.lock();
  const now = leases.read(lease.address);
  if (now?.token !== lease.token || (ifStale && isAlive(now.owner))) return; // others were faster
  disconnect(settings, now);
  if (now.mode === "policy") await Proxied.remove(settings, now);
  if (isInstalled(LIBNFTABLES)) {
    using firewall = new Firewall(settings);
    firewall.dismiss(now);
  }
  removeFiles(settings, now);
  leases.release(now);
}
