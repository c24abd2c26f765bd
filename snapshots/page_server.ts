import { pipe } from "../ffi/fd.ts";
import { libc } from "../ffi/libc.ts";
import { UnsupportedError, UsageError } from "../runtime/errors.ts";
import type { CheckpointOptions } from "./checkpoint_options.ts";

/** Where pages of memory go instead of a file. */
export interface PageServer {
  readonly address: string;
  readonly port: number;
}

/** `ADDRESS:PORT` as runc takes it. @throws {UsageError} if it is none. */
export function readPageServer(text: string): PageServer {
  const [, six, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = six ?? plain;
  if (address !== undefined && Number(port) > 0 && Number(port) < 65536) {
    return { address, port: Number(port) };
  }
  throw new UsageError(`Cannot use "${text}" for --page-server: write ADDRESS:PORT`);
}

/** What a checkpoint has CRIU do with pages. */
type PageOptions = Pick<
  CheckpointOptions,
  "lazyPages" | "pageServer" | "statusFd" | "leaveRunning" | "preDump"
>;

/** CRIU serves pages through a pipe of this size. Where it cannot have one it does not say so, and fails later. */
const SERVING_BYTES = 4 << 20;
const [F_GETFL, F_SETPIPE_SZ] = [3, 1031];
const [O_ACCMODE, O_RDONLY] = [3, 0];

/** What of that makes no sense, or cannot be. @throws {UsageError | UnsupportedError} that says why. */
export function refusePages(options: PageOptions): void {
  const { lazyPages, pageServer, statusFd } = options;
  if (pageServer !== undefined) readPageServer(pageServer);
  if (lazyPages) refuseServing(options);
  else if (statusFd !== undefined) {
    throw new UsageError("Cannot use --status-fd without --lazy-pages: nobody would write to it");
  }
}

function refuseServing({ pageServer, statusFd, leaveRunning, preDump }: PageOptions): void {
  if (leaveRunning || preDump) {
    const other = preDump ? "--pre-dump" : "--leave-running";
    throw new UsageError(
      `Cannot use --lazy-pages with ${other}: it is held until its pages are fetched, and ends`,
    );
  }
  if (pageServer === undefined) {
    throw new UsageError(
      "Cannot use --lazy-pages without --page-server: write ADDRESS:PORT, where pages are served",
    );
  }
  if (statusFd !== undefined) {
    const flags = libc.fcntl(statusFd, F_GETFL, 0n);
    const why = flags === -1 ? "bad file descriptor" : (flags & O_ACCMODE) === O_RDONLY ? "not writable" : "";
    if (why !== "") throw new UsageError(`invalid --status-fd argument ${statusFd}: ${why}`);
  }
  if (canServe()) return;
  throw new UnsupportedError(
    "--lazy-pages",
    "CRIU serves pages through a pipe of 4 MiB, which takes CAP_SYS_RESOURCE, or fs.pipe-max-size to be as large",
    "raise that, or send them to a criu page-server by --page-server alone",
  );
}

/** Whether CRIU can serve pages itself. */
export function canServe(): boolean {
  const ends = pipe();
  using _read = ends.read;
  using write = ends.write;
  return libc.fcntl(write.raw, F_SETPIPE_SZ, BigInt(SERVING_BYTES)) !== -1;
}

/** Tells whoever waits for it that pages are served: by a byte, and the end. Whether that could be said. */
export function tellServing(statusFd: number): boolean {
  const written = Number(libc.write(statusFd, new Uint8Array(1), 1n));
  libc.close(statusFd);
  return written === 1;
}

/** The flags of CRIU for that, which libcriu has no functions for. */
export function pageFlags({ pageServer, lazyPages }: PageOptions): string[] {
  if (pageServer === undefined) return [];
  const { address, port } = readPageServer(pageServer);
  return [lazyPages ? "--lazy-pages" : "--page-server", "--address", address, "--port", String(port)];
}
