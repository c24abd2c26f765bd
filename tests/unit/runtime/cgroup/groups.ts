import { deepEqual, ok } from "node:assert/strict";
import type { CgroupGroup } from "../../../../runtime/cgroup/group.ts";
import type { Hierarchy } from "../../../../runtime/cgroup/files.ts";
import { probeHost } from "../../../../runtime/host/probe.ts";

export const MARK = `ai-sandbox-test-${Deno.pid}`;
const JOIN = 'until [ "$1" = -- ]; do echo 0 > "$1/cgroup.procs" || exit 99; shift; done; shift; exec "$@"';
export const HOST = probeHost().cgroups;
export const LAYOUTS: readonly { readonly name: string; readonly mounted: readonly Hierarchy[] }[] = [
  { name: "all hierarchies", mounted: HOST },
  { name: "v1 alone", mounted: HOST.filter(({ version }) => version === 1) },
  { name: "v2 alone", mounted: HOST.filter(({ version }) => version === 2) },
];
/** A machine with one version only has one layout. */
const DISTINCT = LAYOUTS.filter(({ mounted }, index) =>
  index === 0 || ![0, HOST.length].includes(mounted.length)
);
/** Everything is slow in an emulated machine. */
const PATIENCE_MS = Deno.env.has("AI_SANDBOX_GUEST") ? 60_000 : 30_000;
let count = 0;

/** What the body of a test gets: a path that is its own, and the context for a late skip. */
export interface At {
  readonly path: string;
  readonly mounted: readonly Hierarchy[];
  readonly test: Deno.TestContext;
}

/** A test of real groups, in each layout, that must leave none behind; `needs` names controllers. */
export function groupTest(name: string, needs: readonly string[], body: (at: At) => Promise<void>): void {
  for (const { name: layout, mounted } of DISTINCT) {
    const reason = missing(mounted, needs);
    const whole = `${name}, with ${layout}`;
    if (reason !== undefined) console.log(`SKIP ${whole}: ${reason}`);
    Deno.test({
      name: whole,
      ignore: reason !== undefined,
      fn: async (test) => {
        using _ = passedOn();
        await body({ path: `/${MARK}/${count++}`, mounted, test });
        deepEqual(left(), []);
      },
    });
  }
}

function missing(mounted: readonly Hierarchy[], needs: readonly string[]): string | undefined {
  if (Deno.uid() !== 0) return "needs root";
  if (mounted.length === 0) return "needs mounted cgroup hierarchies";
  const absent = needs.filter((one) => !controllers(mounted).includes(one));
  return absent.length > 0 ? `needs cgroup controllers ${absent.join(", ")}` : undefined;
}

function controllers(mounted: readonly Hierarchy[]): string[] {
  return mounted.flatMap(({ version, controllers, mountPoint }) =>
    version === 1
      ? controllers.split(",")
      // Every group of version 2 counts time and can be frozen.
      : ["cpuacct", "freezer", ...Deno.readTextFileSync(`${mountPoint}/cgroup.controllers`).trim().split(" ")]
  );
}

/** Takes back from the groups of version 2 what a test has made the root pass on. */
function passedOn(): Disposable {
  const files = HOST.filter(({ version }) => version === 2).map(({ mountPoint }) => {
    return `${mountPoint}/cgroup.subtree_control`;
  });
  const words = (file: string): string[] =>
    Deno.readTextFileSync(file).split(/\s+/).filter((one) => one !== "");
  const before = new Map(files.map((file) => [file, words(file)]));
  return {
    [Symbol.dispose]: () => {
      for (const [file, old] of before) {
        for (const one of words(file)) if (!old.includes(one)) takeBack(file, one);
      }
    },
  };
}

/** A test run beside this one may use the controller now: then that run takes it back. */
function takeBack(file: string, controller: string): void {
  try {
    Deno.writeTextFileSync(file, `-${controller}`);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EBUSY")) throw error;
  }
}

/** Processes in a group and below. */
export function members(directory: string): number {
  return [...Deno.readDirSync(directory)].filter(({ isDirectory }) => isDirectory).reduce(
    (sum, { name }) => sum + members(`${directory}/${name}`),
    Deno.readTextFileSync(`${directory}/cgroup.procs`).split("\n").length - 1,
  );
}

/** Groups of these tests that are still there. */
export function left(): string[] {
  return HOST.map(({ mountPoint }) => `${mountPoint}/${MARK}`).filter((path) => {
    try {
      return Deno.statSync(path).isDirectory;
    } catch {
      return false;
    }
  });
}

export function start(group: CgroupGroup, script: string): Deno.ChildProcess {
  return new Deno.Command("/bin/sh", {
    args: ["-c", JOIN, "sh", ...group.directories, "--", "/bin/sh", "-c", script],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
}

/** Ends with the process: its exit code, and what it said on stderr. */
export async function ended(child: Deno.ChildProcess): Promise<{ code: number; text: string }> {
  const { code, stderr } = await child.output();
  return { code, text: new TextDecoder().decode(stderr) };
}

export async function run(group: CgroupGroup, script: string): Promise<{ code: number; text: string }> {
  return await ended(start(group, script));
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export async function until(what: string, done: () => boolean): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !done(); await sleep(5)) {
    ok(performance.now() < end, `timed out: ${what}`);
  }
}
