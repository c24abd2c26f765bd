import { Sandbox } from "../../../mod.ts";
import { until } from "../../helpers/cli.ts";
import { MOUNTS } from "../../helpers/launch_bundle.ts";
import type { Verdict } from "../verdict.ts";
import {
  carelessly,
  judgeOutside,
  type Place,
  runBundle,
  type Scenario,
  type ScenarioClass,
} from "./scenario.ts";

/** Far longer than it takes on a busy machine. */
const WAIT_MS = 30_000;

/** What a program leaves where the runtime made something, for whoever cleans up. */
const LEFT: readonly (readonly [name: string, tries: string, script: (outside: string) => string])[] = [
  [
    "stub-becomes-link",
    "have files outside removed: the directory with a mount target becomes a link",
    (outside) => `mv /a /b; ln -s ${outside} /a`,
  ],
  [
    "stub-becomes-directory",
    "have files outside removed: the mount target comes to lie in a link",
    (outside) => `mv /a /b; mkdir /a; ln -s ${outside} /a/stub`,
  ],
];

const stubs = LEFT.map(([name, tries, script]): Scenario => ({
  name,
  tries,
  control: async (place) => {
    const program = script(place.outside.path);
    await carelessly(
      place,
      `mkdir -p "$ROOTFS/a/stub"; chroot "$ROOTFS" /bin/sh -c '${program}'
find "$ROOTFS/a/stub/" "$ROOTFS/a/" -mindepth 1 -delete`,
    );
    return judgeOutside(place, "unchanged");
  },
  attack: async (place, policy) => {
    const mounts = [...MOUNTS, { destination: "/a/stub", type: "tmpfs" }];
    await runBundle(place, policy, { command: script(place.outside.path), part: { mounts } });
    return judgeOutside(place, "unchanged");
  },
}));

/** Programs that do not want to end. */
const STAYING: readonly (readonly [name: string, tries: string, script: (mark: string) => string])[] = [
  [
    "stay-by-session",
    "stay alive in a session of its own",
    (mark) => `setsid sleep ${mark} & echo up; exec sleep 60`,
  ],
  [
    "stay-by-orphan",
    "stay alive as an orphan that ignores signals",
    (mark) => `(trap '' HUP TERM INT; (sleep ${mark} &) ); echo up; exec sleep 60`,
  ],
  [
    "stay-by-forking",
    "stay alive by being born again and again",
    (mark) => `(while :; do sleep ${mark} & sleep 0.01; done) & echo up; exec sleep 60`,
  ],
];

const staying = STAYING.map(([name, tries, script]): Scenario => ({
  name,
  tries,
  control: async () => {
    const mark = unique();
    const child = new Deno.Command("sh", { args: ["-c", script(mark)], stdout: "piped" }).spawn();
    await until(child.stdout, "up");
    child.kill("SIGKILL");
    await child.stdout.cancel();
    await child.status;
    return await judgeStaying(mark);
  },
  attack: async (_place: Place, policy) => {
    const mark = unique();
    const sandbox = await Sandbox.run({ command: ["sh", "-c", script(mark)], policy, stderr: "null" });
    await until(sandbox.stdout!, "up");
    await sandbox[Symbol.asyncDispose]();
    return await judgeStaying(mark);
  },
}));

/** A time to sleep that nobody else sleeps. */
function unique(): string {
  return `59.${crypto.getRandomValues(new Uint32Array(1))[0]}`;
}

/** Open if a process with the mark is there; it is ended. */
async function judgeStaying(mark: string): Promise<Verdict> {
  await new Promise((resolve) => setTimeout(resolve, 50));
  const found = marked(mark);
  const deadline = Date.now() + WAIT_MS;
  // Whoever is born meanwhile is ended too.
  for (let left = found; left.length > 0 && Date.now() < deadline; left = marked(mark)) {
    for (const pid of left) kill(pid);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return found.length > 0 ? { state: "open", why: "it is there" } : { state: "closed", why: "gone" };
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

function marked(mark: string): number[] {
  const pids = [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => pid > 0);
  return pids.filter((pid) => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes(mark);
    } catch {
      return false; // it has ended
    }
  });
}

/** What is left when a program has ended. */
export const END_CLASSES: readonly ScenarioClass[] = [{
  title: "Cleaning up",
  attacks: [...stubs, ...staying],
}];
