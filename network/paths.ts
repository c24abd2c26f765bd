import { isThere } from "../ffi/look.ts";
import { defaultRoot } from "../runtime/state/store.ts";

/** Where root's things are kept unless somebody names another directory for containers. */
const NAME = "network";

/**
 * The directory of the network that the containers below `root` have. No container can be called as it is.
 *
 * @param root As `--root` names it.
 */
export function networkDirectory(root: string | undefined): string {
  const base = root ?? defaultRoot();
  return root === undefined ? `${base.slice(0, base.lastIndexOf("/"))}/${NAME}` : `${base}/@${NAME}`;
}

/** Makes a directory that only its owner enters, with all above it; most are there. */
export function makeDirectory(path: string): void {
  if (!isThere(path)) Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
}

/** Everything that a network keeps in its directory. */
export function networkPaths(directory: string): {
  readonly settings: string;
  readonly leases: string;
  readonly sandboxes: string;
  readonly audit: string;
  readonly control: string;
  readonly proxyLog: string;
  readonly proxyLock: string;
} {
  return {
    /** Its names and address ranges. */
    settings: `${directory}/settings.json`,
    /** One file a lease, named for its address. */
    leases: `${directory}/leases`,
    /** What the proxy is to know of each sandbox, as one JSON file each: it reads them when it starts. */
    sandboxes: `${directory}/sandboxes`,
    /** One audit log a sandbox. */
    audit: `${directory}/audit`,
    /** The socket at which the proxy is told what to do. */
    control: `${directory}/proxy.sock`,
    /** What the proxy says of itself. */
    proxyLog: `${directory}/proxy.log`,
    /** Whoever has it is the proxy, or about to be. */
    proxyLock: `${directory}/proxy.lock`,
  };
}
