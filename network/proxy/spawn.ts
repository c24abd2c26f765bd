import { fromFileUrl } from "@std/path";
import { libc } from "../../ffi/libc.ts";
import { emptyMemoryFile } from "../../ffi/memfd.ts";
import { LifecycleError } from "../../runtime/errors.ts";
import { networkPaths } from "../paths.ts";
import { networkSettings } from "../settings.ts";
import { tellProxy } from "./client.ts";
import type { ProxyStatus } from "./control.ts";
import { groupName, groupRoots } from "./group.ts";
import { KEPT_DESCRIPTOR, THERE_IS_ONE, WATCH } from "./watch.ts";

/** How long a proxy may take to be there, and how often it is looked whether it is. */
const [READY_MS, PAUSE_MS] = [20_000, 5];
/** The command that is the proxy. */
const COMMAND = "network-proxy";
const SIGKILL = 9;
/** Bytes of what it said last that stand in messages. */
const TOLD_BYTES = 500;

/** How the command line is started; the library has it beside itself. */
let program: readonly string[] | undefined;

/** Says how the command line is started, where it is not where the library would look. */
export function proxyProgram(words: readonly string[]): void {
  program = words;
}

function usual(): readonly string[] {
  const main = fromFileUrl(new URL("../../cli/main.ts", import.meta.url));
  return [Deno.execPath(), "run", "--quiet", "-A", main];
}

/**
 * The proxy of a network, which is started if there is none: in a session of its own, where it outlives this process, and
 * with somebody who starts it again. The caller has the lock of the network.
 *
 * @throws {LifecycleError} with what the proxy said, if it does not get ready.
 */
export async function startProxy(directory: string): Promise<ProxyStatus> {
  const { control, proxyLog } = networkPaths(directory);
  const known = await statusOf(control);
  if (known) return known;
  const script = 'cd / && exec setsid /bin/sh -c "$WATCH" proxy-watch "$@" </dev/null >>"$LOG" 2>&1';
  // It is open here until the other one has opened it, which nobody else inherits.
  using kept = emptyMemoryFile("proxy-credentials");
  const words = [...program ?? usual(), COMMAND, "--directory", directory, "--kept", `${KEPT_DESCRIPTOR}`];
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", script, "sh", ...words],
    env: {
      LOG: proxyLog,
      WATCH,
      KEPT: `/proc/${Deno.pid}/fd/${kept.raw}`,
      ROOTS: groupRoots(),
      GROUP: groupName(networkSettings(directory).bridge),
    },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  child.unref();
  const ended = child.status.then(({ code }) => code);
  for (const end = performance.now() + READY_MS; performance.now() < end;) {
    const status = await statusOf(control);
    if (status) return status;
    const pause = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), PAUSE_MS));
    const code = await Promise.race([ended, pause]);
    if (code === THERE_IS_ONE) await pause;
    if (code === THERE_IS_ONE) continue; // one that was started again is about to be there
    if (code !== undefined) {
      throw new LifecycleError(`Cannot start the network's proxy: it ended with ${code}; ${said(proxyLog)}`);
    }
  }
  libc.kill(-child.pid, SIGKILL); // its session, with the proxy
  throw new LifecycleError(
    `Cannot start the network's proxy: it is not there after ${READY_MS} ms; ${said(proxyLog)}`,
  );
}

async function statusOf(control: string): Promise<ProxyStatus | undefined> {
  return (await tellProxy(control, { do: "status" }))?.status;
}

function said(log: string): string {
  try {
    const text = Deno.readTextFileSync(log).trim();
    return `it said: ${text.slice(-TOLD_BYTES)}`;
  } catch {
    return "it said nothing";
  }
}
