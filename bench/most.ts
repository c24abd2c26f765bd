import { Crowd, settle } from "./crowd.ts";
import { ms, type Section } from "./report.ts";
import { availableBytes, networkNamespaces } from "./usage.ts";
import { Workspace } from "./workspace.ts";

const CONCURRENCY = 16;
const STEP = 1_000;
/** What stays free for everybody else on the machine. */
const MARGIN_BYTES = 4 * 2 ** 30;
const MARGIN_PROCESSES = 2_000;
const LIMIT_MS = 240_000;

/** Starts as many sandboxes as fit, up to `runs`: first with a network of their own, then without. */
export async function most({ runs }: { readonly runs: number }): Promise<Section> {
  await using workspace = new Workspace();
  const rows: string[][] = [];
  const notes = [
    `What stays free: ${
      MARGIN_BYTES / 2 ** 30
    } GiB, and ${MARGIN_PROCESSES} of the processes that the kernel allows.`,
  ];
  for (const network of [true, false]) {
    const name = network ? "network of its own" : "host's network";
    const bundle = workspace.bundleOf(["/bin/sleep", "1000000"], { network });
    const namespaces = networkNamespaces();
    const begin = performance.now();
    const passed = (): number => performance.now() - begin;
    await using crowd = new Crowd();
    const free = availableBytes();
    let reason: string | undefined;
    for (let count = STEP; reason === undefined && crowd.sandboxes.length < runs; count += STEP) {
      const [stepMs, had] = [performance.now(), crowd.sandboxes.length];
      const stop = (running: number): string | undefined => scarce() ?? late(passed(), running);
      reason = await crowd.fill(bundle, { count: Math.min(count, runs), concurrency: CONCURRENCY, stop });
      const running = crowd.sandboxes.length;
      const each = (performance.now() - stepMs) / Math.max(1, running - had);
      const kib = (free - availableBytes()) / 1024 / running;
      rows.push([name, String(running), (passed() / 1000).toFixed(1), ms(each), kib.toFixed(0)]);
    }
    const running = crowd.sandboxes.length;
    const end = performance.now();
    await crowd[Symbol.asyncDispose]();
    const gone = ((performance.now() - end) / 1000).toFixed(1);
    notes.push(
      `${name}: ${running} at the same time, gone in ${gone} s; ${reason ?? "more were not asked for"}.`,
    );
    await settle(namespaces, network ? running : 0);
  }
  return {
    title: `As many sandboxes as fit, up to ${runs}`,
    tables: [{ head: ["kind", "running", "after s", "each ms", "KiB less available, each"], rows }],
    targets: [],
    notes,
  };
}

/** What others on this machine would soon lack. */
function scarce(): string | undefined {
  const free = availableBytes();
  if (free < MARGIN_BYTES) return `only ${(free / 2 ** 30).toFixed(1)} GiB of memory are left`;
  // "running/all" processes and threads (proc_loadavg(5)).
  const used = Number(Deno.readTextFileSync("/proc/loadavg").split(/[ /]/)[4]);
  for (const name of ["pid_max", "threads-max"]) {
    const limit = Number(Deno.readTextFileSync(`/proc/sys/kernel/${name}`));
    if (used > limit - MARGIN_PROCESSES) return `${used} processes run of the ${limit} of kernel.${name}`;
  }
  return undefined;
}

function late(passedMs: number, running: number): string | undefined {
  return passedMs > LIMIT_MS ? `${running} took ${(passedMs / 1000).toFixed(0)} s` : undefined;
}
