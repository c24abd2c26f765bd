import { open } from "../ffi/fd.ts";
import { loadBundle } from "../mod.ts";
import { request } from "../runtime/bundle.ts";
import { probeHost } from "../runtime/host/probe.ts";
import { assemble } from "../runtime/launch/image.ts";
import { launch } from "../runtime/launch/launch.ts";
import { plan } from "../runtime/plan/plan.ts";

const WARM_UPS = 500;

/** Milliseconds of each step on the way of one sandbox, in their order. */
export interface Phases {
  /** Read and validate config.json. */
  readonly load: number;
  /** Ask the kernel and look at the mounts' sources. */
  readonly prepare: number;
  readonly plan: number;
  readonly assemble: number;
  /** Until posix_spawn has returned: memfd, socket, pipe, fork and exec of the launcher. */
  readonly spawn: number;
  /** Until init has become the program. */
  readonly executed: number;
  /** Until init is reaped and its guard gone. */
  readonly reaped: number;
}

/** Milliseconds of planning and assembling, done `runs` times in a row when V8 has compiled it well. */
export function imagesInARow(path: string, runs: number): number[] {
  const asked = request(loadBundle(path), {
    host: probeHost(),
    overlay: { kind: "tmpfs" },
    form: "supervised",
  });
  return Array.from({ length: WARM_UPS + runs }, () => {
    const begin = performance.now();
    assemble(plan(asked));
    return performance.now() - begin;
  }).slice(WARM_UPS);
}

/** Makes and runs one sandbox step by step, as `Sandbox.run` does. */
export async function phases(path: string): Promise<Phases> {
  using null_ = open("/dev/null", 2);
  const begin = performance.now();
  const bundle = loadBundle(path);
  const loaded = performance.now();
  const asked = request(bundle, {
    host: probeHost(),
    overlay: { kind: "tmpfs" },
    form: "supervised",
  });
  const prepared = performance.now();
  const made = plan(asked);
  const planned = performance.now();
  const image = assemble(made);
  const assembled = performance.now();
  const child = launch(image, { stdin: null_.raw, stdout: null_.raw, stderr: null_.raw });
  const spawned = performance.now();
  child.start();
  await child.executed;
  const executed = performance.now();
  const { code } = await child.ended;
  await child[Symbol.asyncDispose]();
  const reaped = performance.now();
  if (code !== 0) throw new Error(`Cannot measure the library: the program ended with ${code ?? "a signal"}`);
  return {
    load: loaded - begin,
    prepare: prepared - loaded,
    plan: planned - prepared,
    assemble: assembled - planned,
    spawn: spawned - assembled,
    executed: executed - spawned,
    reaped: reaped - executed,
  };
}

// Run by itself it prints the phases of the first sandbox of a process.
if (import.meta.main) console.log(JSON.stringify(await phases(Deno.args[0]!)));
