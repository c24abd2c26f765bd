import { deepEqual, equal, match } from "node:assert/strict";
import { probeHost } from "../../runtime/host/probe.ts";
import { cannotTrack } from "../helpers/cgroups.ts";
import { NEW } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { skip } from "../helpers/skip.ts";

const namespaces = NEW.filter((type) => type !== "pid").map((type) => ({ type }));

/** The cgroups of ours that exist. */
function groupsNow(): string[] {
  const tree = probeHost().cgroups.find(({ version }) => version === 2)!;
  const own = `${tree.mountPoint}${tree.own === "/" ? "" : tree.own}`;
  return [...Deno.readDirSync(own)].map(({ name }) => name).filter((name) => /^ai-sandbox-\d{10}/.test(name));
}

/** The cgroups of ours that were not there before, and the processes that run `words`. */
function left(words: string, before: readonly string[]): { groups: string[]; running: number } {
  const groups = groupsNow().filter((name) => !before.includes(name));
  const running = [...Deno.readDirSync("/proc")].filter(({ name }) => {
    try {
      return /^\d+$/.test(name) && Deno.readTextFileSync(`/proc/${name}/cmdline`).includes(words);
    } catch {
      return false;
    }
  });
  return { groups, running: running.length };
}

launchTest(
  "a sandbox without a pid namespace takes along what its program has left running",
  async (bundle) => {
    const reason = cannotTrack();
    if (reason) return skip(reason);
    const before = groupsNow();
    const seconds = `1${Deno.pid}`; // long, and nobody else's
    const script = `(nohup sleep ${seconds} >/dev/null 2>&1 &) ; grep ^0 /proc/self/cgroup`;
    const { stdout, code } = await bundle.run(script, { linux: { namespaces } });
    equal(code, 0);
    match(stdout, /ai-sandbox-\d{10}/, "it ran in a cgroup of its own");
    deepEqual(left(`sleep\0${seconds}\0`, before), { groups: [], running: 0 });
  },
);

launchTest("a failed step of a sandbox without a pid namespace leaves no cgroup behind", async (bundle) => {
  const reason = cannotTrack();
  if (reason) return skip(reason);
  const before = groupsNow();
  const { message } = await bundle.failure(["/missing"], { linux: { namespaces } });
  match(message, /Cannot run "\/missing"/);
  deepEqual(left("/missing", before), { groups: [], running: 0 });
});
