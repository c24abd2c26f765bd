import { type PolicyName, Sandbox, type SandboxOptions } from "../../../mod.ts";
import { until } from "../../helpers/cli.ts";
import type { Verdict } from "../verdict.ts";
import type { Place, Scenario, ScenarioClass } from "./scenario.ts";

/** One user for the one who takes and the one who needs, as where nobody separates them. */
const SAME_USER = "prlimit --nproc=60 --sigpending=1000 setpriv --reuid=54400 --regid=54400 --clear-groups";
const TOGETHER = ["--mount", "--ipc", "--pid", "--fork", "--kill-child", "--propagation", "private"];
const LIMITS = { memoryBytes: 64 << 20, pids: 64 } as const;
const [FLOOD_MS, FLOOD_BYTES, FULL_MS] = [1_000, 16 << 20, 60_000];

/** What is per user or per file system; the name is the probe program's. */
const SHARED: readonly (readonly [kind: string, tries: string])[] = [
  ["processes", "take all processes by a fork bomb"],
  ["inotify", "take all inotify instances of the user"],
  ["pipes", "take all memory for pipes of the user"],
  ["timers", "take all timers of the user"],
  ["signals", "take all queued signals of the user"],
  ["queues", "take all message queues of the user"],
  ["disk", "fill the file system"],
];

const shared = SHARED.map(([kind, tries]): Scenario => ({
  name: `exhaust-${kind}`,
  tries,
  control: async ({ bundle, probe }) => {
    const file = `${bundle.path}/probe`;
    Deno.copyFileSync(probe, file);
    const script = `mount -t tmpfs -o size=8m,mode=777 none "$ROOTFS"
SCRATCH="$ROOTFS/a" ${SAME_USER} "$PROBE" exhaust ${kind} 2> "$FULL" &
until grep -qs full "$FULL"; do sleep 0.01; done
SCRATCH="$ROOTFS/b" exec ${SAME_USER} "$PROBE" pulse`;
    const child = new Deno.Command("unshare", {
      args: [...TOGETHER, "sh", "-c", script],
      env: { ROOTFS: bundle.rootfs, PROBE: file, FULL: `${bundle.path}/full` },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const text = await beat(child.stdin, child.stdout);
    child.kill("SIGKILL");
    await child.stdout.cancel();
    await child.status;
    return judgeBeat(text, kind === "signals" ? "timers" : kind); // a timer needs a signal
  },
  attack: async (place, policy) => {
    await using hog = await start(place, policy, ["exhaust", kind], LIMITS);
    const taken = await full(hog);
    if (kind === "queues" && taken?.startsWith("full 0")) return { state: "closed", why: "none to be had" };
    return await neighbourGoesOn(place, policy);
  },
}));

/** What the kernel bounds for a user over all namespaces, with so many sandboxes as would reach the host's usual bound. */
const TOGETHER_KINDS: readonly (readonly [kind: string, hogs: number])[] = [
  ["inotify", 9],
  ["signals", 24],
  ["queues", 9],
];

const together = TOGETHER_KINDS.map(([kind, hogs]): Scenario => {
  const alone = shared.find(({ name }) => name === `exhaust-${kind}`)!;
  return {
    name: `${alone.name}-together`,
    tries: `${alone.tries}, by ${hogs} sandboxes`,
    control: alone.control,
    attack: async (place, policy) => {
      await using stack = new AsyncDisposableStack();
      for (let index = 0; index < hogs; index++) {
        const hog = stack.use(await start(place, policy, ["exhaust", kind], LIMITS));
        const taken = await full(hog);
        if (kind === "queues" && taken?.startsWith("full 0")) {
          return { state: "closed", why: "none to be had" };
        }
      }
      return await neighbourGoesOn(place, policy);
    },
  };
});

const memory: Scenario = {
  name: "exhaust-memory",
  tries: "take 96 MiB where there are 64",
  control: async ({ probe }) => {
    const child = new Deno.Command(probe, {
      args: ["exhaust", "memory"],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const text = await until(child.stderr, "\n");
    child.kill("SIGKILL");
    await child.stderr.cancel();
    await child.status;
    return text.includes("full 96 of all") ? { state: "open", why: "taken" } : { state: "closed", why: text };
  },
  attack: async (place, policy) => {
    await using hog = await start(place, policy, ["exhaust", "memory"], LIMITS);
    const { oomKilled } = await hog.wait();
    if (!oomKilled) return { state: "open", why: "taken" };
    return await neighbourGoesOn(place, policy);
  },
};

/** Who writes and writes is to wait until somebody reads. */
const floods = ([["output", "stdout"], ["errors", "stderr"]] as const).map(([kind, stream]): Scenario => ({
  name: `flood-${stream}`,
  tries: `fill the supervisor's memory by ${stream}`,
  control: async ({ probe }) => {
    const child = new Deno.Command(probe, { args: ["exhaust", kind], stdout: "piped", stderr: "piped" })
      .spawn();
    const kept: Uint8Array[] = [];
    const reading = (async () => {
      for await (const part of child[stream]) kept.push(part);
    })();
    const verdict = await judgeFlood(child.pid);
    child.kill("SIGKILL");
    await reading;
    await child[stream === "stdout" ? "stderr" : "stdout"].cancel();
    await child.status;
    return verdict;
  },
  attack: async (place, policy) => {
    await using hog = await start(place, policy, ["exhaust", kind], LIMITS);
    return await judgeFlood(hog.pid);
  },
}));

async function judgeFlood(pid: number): Promise<Verdict> {
  const written = (): number => Number(/^wchar: (\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/io`))![1]);
  const deadline = performance.now() + FULL_MS;
  // It has begun, and then it had time: as long as it goes on, on a busy machine.
  while (written() === 0 && performance.now() < deadline) await pause(5);
  let bytes = 0;
  for (let more = written(); more > bytes && bytes <= FLOOD_BYTES && performance.now() < deadline;) {
    bytes = more;
    await pause(FLOOD_MS);
    more = written();
  }
  if (bytes === 0) return { state: "broken", why: "it wrote nothing" };
  return bytes > FLOOD_BYTES
    ? { state: "open", why: "nobody stops it" }
    : { state: "closed", why: "it waits" };
}

function start(
  { probe }: Place,
  policy: PolicyName,
  words: readonly string[],
  options: SandboxOptions,
): Promise<Sandbox> {
  const mounts = [{ source: probe, destination: "/probe", type: "bind", options: ["bind", "ro"] }];
  return Sandbox.run({ ...options, command: ["/probe", ...words], policy, mounts });
}

/** Waits until there is no more to be had, or the sandbox was ended for it. */
async function full(hog: Sandbox): Promise<string | undefined> {
  const ended = hog.wait().then(() => undefined);
  return await Promise.race([until(hog.stderr!, "\n").catch(() => undefined), ended]);
}

/** A sandbox beside it gets a little of everything. */
async function neighbourGoesOn(place: Place, policy: PolicyName): Promise<Verdict> {
  // Under strict there are no message queues, for anybody.
  const env = [`WITHOUT=${policy === "strict" ? "queues" : ""}`];
  await using neighbour = await start(place, policy, ["pulse"], { env, stdin: "piped" });
  return judgeBeat(await beat(neighbour.stdin!, neighbour.stdout!), ".*");
}

async function beat(
  stdin: WritableStream<Uint8Array>,
  stdout: ReadableStream<Uint8Array>,
): Promise<string> {
  const writer = stdin.getWriter();
  await writer.write(new Uint8Array([10]));
  const text = await until(stdout, "\n");
  await writer.close();
  return text;
}

function judgeBeat(text: string, kind: string): Verdict {
  if (!text.startsWith("beat")) return { state: "broken", why: text };
  return new RegExp(` ${kind}:`).test(text)
    ? { state: "open", why: `a neighbour goes without${text.trim().slice(4)}` }
    : { state: "closed", why: "neighbours go on" };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Taking all there is. */
export const EXHAUSTION: ScenarioClass = {
  title: "Exhaustion",
  attacks: [...shared, ...together, memory, ...floods],
};
