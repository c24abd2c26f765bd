import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { memoryFile } from "../../ffi/memfd.ts";
import { LaunchError } from "../../runtime/launch/launch_error.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { findCriu, type InstalledCriu } from "../../snapshots/installed.ts";
import { type CriuUse, KeptCriu } from "../../snapshots/kept_criu.ts";
import { WaitingCriu } from "../../snapshots/waiting.ts";
import { type Answer, runCriu } from "../../snapshots/worker.ts";
import { GATE_FD, type WorkerRequest } from "../../snapshots/worker_plan.ts";
import { leavesNothing } from "../helpers/census.ts";
import { eventually, waitUntil } from "../helpers/eventually.ts";
import { link, list, read } from "../helpers/gone.ts";
import { skip } from "../helpers/skip.ts";
import { snapshotTest } from "../helpers/snapshot_box.ts";
import { warmUp } from "../helpers/warm_up.ts";

if (Deno.uid() === 0) await warmUp();

const { arch } = probeHost();
const WAITING = fromFileUrl(import.meta.resolve("../../snapshots/waiting.ts"));
const INSTALLED = fromFileUrl(import.meta.resolve("../../snapshots/installed.ts"));
const CONFIG = fromFileUrl(import.meta.resolve("../../deno.json"));
/** As far as a process is CRIU: the kernel shows the name of what it has run. */
const NAME = "ld-linux-x86-64";
/** As /proc/PID/syscall shows who reads where it will be told to begin. */
const READS = `0 0x${GATE_FD.toString(16)} `;

function waitingTest(name: string, body: (criu: InstalledCriu) => Promise<void>): void {
  snapshotTest(name, async () => {
    if (arch !== "x86_64") return skip("CRIU waits on x86-64 only");
    await body(findCriu());
  });
}

/** The children of a process. */
function childrenOf(pid: number): number[] {
  const texts = list(`/proc/${pid}/task`).map(({ name }) => read(`/proc/${pid}/task/${name}/children`));
  return texts.flatMap((text) => text.split(" ").filter((each) => each.trim() !== "").map(Number));
}

/** The one child that CRIU was loaded in and that waits: it reads. */
async function loaded(parent: number): Promise<number> {
  const waits = (pid: number): boolean => {
    return read(`/proc/${pid}/comm`).trim() === NAME && read(`/proc/${pid}/syscall`).startsWith(READS);
  };
  const found = await eventually(() => childrenOf(parent).filter(waits), ({ length }) => length > 0);
  equal(found.length, 1);
  return found[0]!;
}

function request(criu: InstalledCriu, more: Partial<WorkerRequest> = {}): WorkerRequest {
  return { arch, program: criu.program, flags: [], ...more };
}

async function version(
  criu: InstalledCriu,
  worker: WorkerRequest,
  waiting: WaitingCriu,
  job: Partial<Parameters<typeof runCriu>[2]> = {},
): Promise<Answer> {
  return await runCriu(criu, worker, { what: "get_version", request: () => ({}), waiting, ...job });
}

/** What a process has open, by number. */
function openIn(pid: number): Map<number, string> {
  return new Map(list(`/proc/${pid}/fd`).map(({ name }) => [Number(name), link(`/proc/${pid}/fd/${name}`)]));
}

waitingTest("CRIU that was loaded before has the descriptors of now, and no others", async (criu) => {
  await using waiting = WaitingCriu.start(criu, { arch, flags: [] })!;
  const pid = await loaded(Deno.pid);
  using first = memoryFile("first", new TextEncoder().encode("1"));
  using second = memoryFile("second", new TextEncoder().encode("2"));
  let files = new Map<number, string>();
  const isFile = (path: string | undefined, name: string): boolean =>
    path?.startsWith(`/memfd:${name}`) ?? false;
  // What tells that it begins is closed last.
  const isGiven = (found: Map<number, string>): boolean => isFile(found.get(5), "first") && !found.has(4);
  const ready = eventually(() => openIn(pid), isGiven).then((found) => {
    files = found;
  });
  const job = { inherited: [{ fd: first.raw, key: "a" }], more: [second], ready };
  const { result } = await version(criu, request(criu), waiting, job) as { readonly result: number };
  ok(result >= 40200);
  ok(isFile(files.get(5), "first"));
  ok(isFile(files.get(6), "second"));
  equal(
    [...files.values()].filter((file) => file.startsWith("/memfd:")).length,
    2,
    "it keeps none of its own",
  );
  deepEqual(childrenOf(Deno.pid), []);
});

waitingTest("CRIU that was loaded before and is not needed leaves nothing", async (criu) => {
  await leavesNothing([], async () => {
    await using _waiting = WaitingCriu.start(criu, { arch, flags: [], network: "new" })!;
    await loaded(Deno.pid);
  });
  await leavesNothing([], async () => {
    await using _waiting = WaitingCriu.start(criu, { arch, flags: [] })!; // before it has been loaded
  });
});

waitingTest("CRIU that was loaded before ends when whoever has loaded it is killed", async () => {
  const script = `
    import { WaitingCriu } from "${WAITING}";
    import { findCriu } from "${INSTALLED}";
    globalThis.kept = WaitingCriu.start(findCriu(), { arch: "x86_64", flags: [] });
    setInterval(() => {}, 1000);`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", "--config", CONFIG, script],
    stdout: "null",
    stderr: "null",
  }).spawn();
  const pid = await loaded(child.pid);
  child.kill("SIGKILL");
  await child.status;
  await waitUntil(() => link(`/proc/${pid}/exe`) === "", "CRIU that waits has ended");
});

waitingTest("a step that fails when CRIU has been loaded is named", async (criu) => {
  await leavesNothing([], async () => {
    await using waiting = WaitingCriu.start(criu, { arch, flags: [] })!;
    const group = { directory: "/sys/fs/cgroup/there-is-none", version: 1 } as const;
    await rejects(version(criu, request(criu, { groups: [group] }), waiting), (error) => {
      ok(error instanceof LaunchError);
      match(error.message, /join cgroup "\/sys\/fs\/cgroup\/there-is-none" .*ENOENT/);
      return true;
    });
  });
});

waitingTest("CRIU that ended while it waited is an error, and no hang", async (criu) => {
  await using waiting = WaitingCriu.start(criu, { arch, flags: [] })!;
  const pid = await loaded(Deno.pid);
  Deno.kill(pid, "SIGKILL");
  await waitUntil(() => link(`/proc/${pid}/exe`) === "", "CRIU that waits has ended");
  await rejects(version(criu, request(criu), waiting), /CRIU.*(ECONNRESET|EPIPE)/);
});

waitingTest("CRIU is loaded anew where it was loaded for something else", async (criu) => {
  for (
    const [loadedFor, wanted] of [
      [{ network: "new" as const, flags: [] }, {}], // it cannot go back
      [{ flags: ["--lazy-pages"] }, {}],
      [{ flags: [] }, { flags: ["--lazy-pages"] }],
    ] as const
  ) {
    await using waiting = WaitingCriu.start(criu, { arch, ...loadedFor })!;
    equal(waiting.suits(request(criu, wanted)), false);
    const { result } = await version(criu, request(criu, wanted), waiting) as { readonly result: number };
    ok(result >= 40200);
  }
  await using waiting = WaitingCriu.start(criu, { arch, flags: [] })!;
  ok(waiting.suits(request(criu, { network: "new" })));
});

waitingTest("a CRIU that came otherwise is not loaded before", async (criu) => {
  equal(WaitingCriu.start({ ...criu, loader: undefined }, { arch, flags: [] }), undefined);
  equal(WaitingCriu.start({ ...criu, version: "5.0" }, { arch, flags: [] }), undefined);
  equal(WaitingCriu.start(criu, { arch: "aarch64", flags: [] }), undefined);
  await Promise.resolve();
});

waitingTest("what talks to CRIU is bound once in a process, for all that it is asked", async (criu) => {
  equal(findCriu().library, criu.library);
  await Promise.resolve();
});

waitingTest(
  "CRIU is kept loaded for the next one alone, as long as it lives, and not for ever",
  async (criu) => {
    await using kept = new KeptCriu({ idleMs: 60_000 });
    const use = { criu, path: "/there/is/none", isLazy: true };
    const load = async (): Promise<number> => {
      kept.prepare(use);
      return await loaded(Deno.pid);
    };
    const take = async (asked: CriuUse): Promise<number> => {
      await using waiting = await kept.take(asked);
      ok(waiting?.isWaiting);
      return await loaded(Deno.pid);
    };
    const first = await load();
    equal(link(`/proc/${first}/ns/mnt`), link("/proc/self/ns/mnt"), "what is mounted later it is to see");
    equal(await take(use), first);
    for (
      const other of [{ isLazy: false }, { path: "/elsewhere" }, { criu: { ...criu, program: "/criu" } }]
    ) {
      const one = await load();
      notEqual(await take({ ...use, ...other }), one);
    }
    const killed = await load();
    Deno.kill(killed, "SIGKILL");
    await waitUntil(() => /^State:\tZ/m.test(read(`/proc/${killed}/status`)), "CRIU that is kept has ended");
    notEqual(await take(use), killed);
    await using short = new KeptCriu({ idleMs: 3000 });
    short.prepare(use);
    await waitUntil(() => short.isLoaded, "CRIU has been loaded");
    await waitUntil(() => !short.isLoaded && childrenOf(Deno.pid).length === 0, "nobody has come");
  },
);
