import { open } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { removeIfThere } from "../../ffi/remove.ts";
import { AuditLog } from "../audit/log.ts";
import { Firewall } from "../firewall.ts";
import { networkPaths } from "../paths.ts";
import { ipv4Text, ipv6Text, networkSettings } from "../settings.ts";
import type { Leaf } from "./authority.ts";
import type { ProxiedSandbox } from "./control.ts";
import { ControlServer } from "./control_server.ts";
import { KeptCredentials } from "./kept.ts";
import { ProxyService } from "./service.ts";

/** How long a proxy stays that nobody needs, and how often it looks whether somebody does. */
const [IDLE_MS, LOOK_MS] = [15_000, 1_000];
const [O_RDWR, O_CREAT, LOCK_EX, LOCK_NB] = [2, 0o100, 2, 4];

/**
 * Serves a network until nobody needs it.
 *
 * @param keptDescriptor A file in memory in which credentials outlive this process.
 * @returns Whether it was the proxy, and not another one already.
 */
export async function serve(directory: string, keptDescriptor?: number): Promise<boolean> {
  const settings = networkSettings(directory);
  const paths = networkPaths(directory);
  using lock = open(paths.proxyLock, O_RDWR | O_CREAT, 0o600);
  if (libc.flock(lock.raw, LOCK_EX | LOCK_NB) === -1) return false;
  using stack = new DisposableStack();
  const kept = keptDescriptor === undefined ? undefined : stack.use(new KeptCredentials(keptDescriptor));
  await removeStale(paths.control);
  const firewall = new Firewall(settings);
  const hostnames = [
    ipv4Text(settings.ipv4.gateway),
    ...(settings.ipv6 ? [ipv6Text(settings.ipv6.gateway)] : []),
  ];
  using service = await ProxyService.start({
    hostnames,
    firewall,
    openAudit: (path) => AuditLog.open(path),
    logGroup: settings.logGroup,
    authorities: authoritiesIn(`${directory}/authorities`),
    ...(kept ? { credentials: kept } : {}),
  });
  await takeUp(service, paths.sandboxes, kept);
  // Sandboxes that are there were redirected to the ports of a proxy that has ended.
  if (firewall.isInstalled) firewall.usePorts(service.ports);
  using _control = new ControlServer(paths.control, (request) => service.control(request));
  kept?.ready(service.sandboxes);
  await untilIdle(service);
  Deno.removeSync(paths.control);
  return true;
}

/** A socket that nobody listens on is one of a proxy that has been killed. */
async function removeStale(path: string): Promise<void> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return Deno.removeSync(path);
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  throw new Error(`Cannot be the proxy of this network: another one answers at "${path}"`);
}

/** Takes up sandboxes that are there already. Requests that need credentials that were not kept are refused. */
async function takeUp(service: ProxyService, directory: string, kept?: KeptCredentials): Promise<void> {
  let names: string[] = [];
  try {
    names = [...Deno.readDirSync(directory)].map(({ name }) => name).filter((name) => name.endsWith(".json"));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  for (const name of names) {
    try {
      const sandbox = JSON.parse(Deno.readTextFileSync(`${directory}/${name}`)) as ProxiedSandbox;
      await service.control({
        do: "add",
        wasThere: true,
        sandbox: kept ? { ...sandbox, credentials: kept.known(sandbox) } : sandbox,
      });
    } catch (error) {
      // Its traffic is refused, as that of everybody who is not known.
      console.error(
        `Cannot take up the sandbox of "${name}": ${error instanceof Error ? error.message : error}`,
      );
    }
  }
}

async function untilIdle(service: ProxyService): Promise<void> {
  let stop = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => stop = true);
  for (let idleMs = 0; idleMs < IDLE_MS && !stop; idleMs += LOOK_MS) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (service.size > 0) idleMs = -LOOK_MS;
  }
}

/** Authorities outlive the proxy: the sandbox believes the one that it was given at its start. */
function authoritiesIn(directory: string): {
  known(id: string): Leaf | undefined;
  keep(id: string, authority: Leaf | undefined): void;
} {
  const path = (id: string): string => `${directory}/${encodeURIComponent(id)}.json`;
  return {
    known(id): Leaf | undefined {
      try {
        return JSON.parse(Deno.readTextFileSync(path(id)));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
    },
    keep(id, authority): void {
      const temporary = `${path(id)}.new`;
      if (authority === undefined) {
        for (const each of [temporary, path(id)]) removeIfThere(each);
        return;
      }
      Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
      Deno.writeTextFileSync(temporary, JSON.stringify(authority), { mode: 0o600 });
      Deno.renameSync(temporary, path(id)); // whole or not at all
    },
  };
}
