import { isInstalled } from "../ffi/library.ts";
import { LIBNFTABLES } from "../ffi/nftables.ts";
import { removeFiles } from "./files.ts";
import { Firewall } from "./firewall.ts";
import { isHeld, type Lease, type Leases } from "./leases.ts";
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
  if (!leases.has(lease)) return; // nor may there be a network any more
  using _lock = await leases.lock();
  const now = leases.read(lease.address);
  const lives = now !== undefined && isHeld(now);
  if (now?.token !== lease.token || (ifStale && lives)) return; // others were faster
  // The end of its namespace takes the device with it; the kernel would let us wait 10 ms or more for that.
  if (lives) disconnect(settings, now);
  const firewall = isInstalled(LIBNFTABLES) ? new Firewall(settings) : undefined;
  let isDismissed = false;
  const dismiss = (): void => {
    if (isDismissed) return;
    // Whoever should still be in the namespace sends nothing from now on.
    firewall?.dismiss(now);
    removeFiles(settings, now);
    isDismissed = true;
  };
  const isUnpinned = now.mode !== "policy" || await Proxied.remove(settings, now, dismiss);
  dismiss();
  if (!isUnpinned) { for (const each of [now.address, now.ipv6]) if (each) firewall?.unpinAll(each); }
  leases.release(now);
}
