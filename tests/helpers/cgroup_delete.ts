import { deepEqual, ok } from "node:assert/strict";
import { CgroupGroup } from "../../runtime/cgroup/group.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { cannotLimit } from "./cgroups.ts";
import { start, until } from "./cli.ts";
import { MOUNTS, NEW, type TestBundle } from "./launch_bundle.ts";
import { launchTest } from "./launch_leaks.ts";
import { skip } from "./skip.ts";

/** Far longer than it takes on a busy machine. */
const GONE_MS = 30_000;

/** What the program does before it says that it is up, and what is done to it then. */
interface Content {
  readonly what: string;
  readonly script: string;
  readonly before?: (group: CgroupGroup) => Promise<void>;
  /** A way that it cannot end in. */
  readonly except?: Way;
}

/** In every hierarchy; some of the files are there in one version only, and a new cpuset of version 1 takes nobody. */
const NESTED = `
  for top in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -e "$top/cgroup.procs" ] || continue
    mkdir -p "$top/a/b/c" "$top/a/..d/e" "$top/f"
    for each in a/b/c a/..d/e f; do
      sleep 1000 &
      echo $! >"$top/$each/cgroup.procs"
    done
  done 2>/dev/null
  echo FROZEN >/sys/fs/cgroup/freezer/a/b/freezer.state
  echo 1 >/sys/fs/cgroup/a/b/cgroup.freeze`;

const CONTENTS: readonly Content[] = [
  { what: "one process", script: "" },
  { what: "nested groups of its own, one frozen", script: `(${NESTED}) 2>/dev/null` },
  { what: "frozen processes", script: "sleep 1000 &", before: (group) => group.freeze() },
  {
    what: "processes frozen by cgroup v1",
    script: "sleep 1000 &",
    // The kernel keeps them, and nobody is told that a signal came.
    except: "init is killed",
    before: async ({ directories }) => {
      for (const each of directories.filter((one) => one.includes("/freezer/"))) {
        await Deno.writeTextFile(`${each}/freezer.state`, "FROZEN");
      }
    },
  },
  { what: "a fork bomb", script: "bomb() { bomb & bomb & }; bomb 2>/dev/null &" },
];

const ENDS = {
  "init is killed": (_: Deno.ChildProcess, init: number) => Deno.kill(init, "SIGKILL"),
  "the supervisor is killed": (supervisor: Deno.ChildProcess) => supervisor.kill("SIGKILL"),
  // As kill -9 -PGID and the job control of shells and batch systems do.
  "its whole process group is killed": (supervisor: Deno.ChildProcess) =>
    Deno.kill(-supervisor.pid, "SIGKILL"),
  "the supervisor is told to end": (supervisor: Deno.ChildProcess) => supervisor.kill("SIGTERM"),
} as const;
type Way = keyof typeof ENDS;

/** Tests that the groups of a sandbox go whatever is in them and whoever dies, on the hierarchies of this machine. */
export function deletionTests(ways: readonly Way[]): void {
  for (const content of CONTENTS) {
    for (const how of ways) {
      if (how === content.except) continue;
      launchTest(`no cgroup is left of a sandbox with ${content.what} when ${how}`, async (bundle) => {
        const reason = cannotLimit();
        if (reason) return skip(reason);
        const path = `/ai-sandbox-delete-${Deno.pid}`;
        write(bundle, path, content.script);
        const run = ["run", "--pid-file", `${bundle.path}/pid`, bundle.path];
        const child = start(run, { wrapper: ["setsid"] }); // which makes a process group of its own
        await until(child.stdout, "up\n");
        const init = Number(Deno.readTextFileSync(`${bundle.path}/pid`));
        const group = CgroupGroup.open(path, probeHost().cgroups);
        ok(group.directories.length > 0);
        await content.before?.(group);
        ENDS[how](child, init);
        await child.status;
        const began = performance.now();
        while (left(path).length > 0 && performance.now() - began < GONE_MS) await sleep(20);
        deepEqual(left(path), []);
        await Promise.all([child.stdout.cancel(), child.stderr.cancel(), child.stdin.abort()]);
      });
    }
  }
}

function write(bundle: TestBundle, cgroupsPath: string, script: string): void {
  const cgroups = { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw"] };
  bundle.write(`${script}\necho up; sleep 1000`, {
    mounts: [...MOUNTS, cgroups],
    linux: {
      cgroupsPath,
      namespaces: [...NEW, "cgroup" as const].map((type) => ({ type })),
      resources: { pids: { limit: 100 } },
    },
  });
}

/** The directories of a group that are still there. */
function left(path: string): string[] {
  return probeHost().cgroups.map(({ mountPoint }) => `${mountPoint}${path}`).filter((directory) => {
    try {
      return Deno.statSync(directory).isDirectory;
    } catch {
      return false;
    }
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
