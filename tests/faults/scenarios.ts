import { compare, portrait } from "./portrait.ts";
import type { Injected, Kind, World } from "./world.ts";

/** How long a program may take to begin or to end. */
const SETTLE_MS = 20_000;
/** How often it is looked whether a program that has not said that it runs has ended. */
const LOOK_MS = 300;

/** What a container without faults is like. */
export interface Baseline {
  readonly created: readonly string[];
  readonly running: readonly string[];
}

/** A command that faults are made for, on a container that was brought to some state. */
export interface Scenario {
  readonly name: string;
  /** The commands before it, which must succeed. */
  readonly before: readonly (readonly string[])[];
  readonly command: readonly string[];
  /** Nothing is kept of earlier commands, and only calls count that are about what is kept. */
  readonly cold?: boolean;
  /** What the container is made from. @default "plain" */
  readonly kind?: Kind;
  /** The calls that count are those of the container's first process, and of what it starts, while the command runs. */
  readonly init?: boolean;
  /** What is wrong afterwards; `delete --force` follows. */
  readonly check: (world: World, baseline: Baseline, said: Injected) => Promise<string[]>;
}

/** All commands; `ID`, `PIDFILE` and `CONSOLE` stand for those of the world. */
const CREATE = ["create", "--pid-file", "PIDFILE", "ID"];
const CREATE_TERMINAL = ["create", "--console-socket", "CONSOLE", "--pid-file", "PIDFILE", "ID"];
const START = ["start", "ID"];
const DELETE = ["delete", "--force", "ID"];
/** Other limits than those of config.json. */
const UPDATED = [String(48 << 20), "30"] as const;
const UPDATED_FILES = /\/(memory\.limit_in_bytes|memory\.max|pids\.max) /;

export const SCENARIOS: readonly Scenario[] = [
  { name: "create", before: [], command: CREATE, check: checkCreate },
  { name: "first create", before: [], command: CREATE, cold: true, check: checkCreate },
  {
    name: "create without Deno",
    kind: "usual",
    before: [CREATE, DELETE, CREATE, DELETE], // the steps are kept of a bundle that has lain still
    command: CREATE,
    check: checkCreate,
  },
  {
    name: "run --detach",
    before: [],
    command: ["run", "--detach", "--pid-file", "PIDFILE", "ID"],
    check: checkRun,
  },
  {
    name: "run --detach without Deno",
    kind: "usual",
    before: [CREATE, DELETE, CREATE, DELETE],
    command: ["run", "--detach", "--pid-file", "PIDFILE", "ID"],
    check: checkRun,
  },
  { name: "start", before: [CREATE], command: START, check: checkStart },
  { name: "state", before: [CREATE, START], command: ["state", "ID"], check: checkState },
  { name: "ps", before: [CREATE, START], command: ["ps", "--format", "json", "ID"], check: checkState },
  {
    name: "exec",
    before: [CREATE, START],
    command: ["exec", "ID", "/bin/sh", "-c", "echo joined"],
    check: checkExec,
  },
  {
    name: "exec --detach",
    before: [CREATE, START],
    command: ["exec", "--detach", "--pid-file", "PIDFILE", "ID", "/bin/sleep", "300"],
    check: checkDetached,
  },
  {
    name: "update",
    before: [CREATE, START],
    command: ["update", "--memory", UPDATED[0], "--pids-limit", UPDATED[1], "ID"],
    check: checkUpdate,
  },
  { name: "kill", before: [CREATE, START], command: ["kill", "ID", "KILL"], check: checkKill },
  { name: "kill --all", before: [CREATE, START], command: ["kill", "--all", "ID", "KILL"], check: checkKill },
  { name: "pause", before: [CREATE, START], command: ["pause", "ID"], check: checkPause("paused") },
  {
    name: "resume",
    before: [CREATE, START, ["pause", "ID"]],
    command: ["resume", "ID"],
    check: checkPause("running"),
  },
  {
    name: "delete",
    before: [CREATE, START, ["kill", "ID", "KILL"]],
    command: ["delete", "ID"],
    check: checkDelete,
  },
  {
    name: "delete --force",
    before: [CREATE, START],
    command: ["delete", "--force", "ID"],
    check: checkDelete,
  },
  { name: "start (first process)", before: [CREATE], command: START, init: true, check: checkStartByInit },
  { name: "create with hooks", kind: "hooks", before: [], command: CREATE, check: checkCreate },
  { name: "start with hooks", kind: "hooks", before: [CREATE], command: START, check: checkStartHooks },
  {
    name: "start with hooks (first process)",
    kind: "hooks",
    before: [CREATE],
    command: START,
    init: true,
    check: checkStartByInit,
  },
  {
    name: "delete with hooks",
    kind: "hooks",
    before: [CREATE, START, ["kill", "ID", "KILL"]],
    command: ["delete", "ID"],
    check: checkDelete,
  },
  {
    name: "create with a terminal",
    kind: "terminal",
    before: [],
    command: CREATE_TERMINAL,
    check: checkCreate,
  },
  {
    name: "exec --detach with a terminal",
    kind: "terminal",
    before: [CREATE_TERMINAL, START],
    command: [
      ...["exec", "--detach", "--tty", "--console-socket", "CONSOLE", "--pid-file", "PIDFILE"],
      ...["ID", "/bin/sleep", "300"],
    ],
    check: checkDetached,
  },
];

/** The arguments of a command in a world. */
export function argumentsOf(world: World, command: readonly string[]): string[] {
  const words: Readonly<Record<string, string>> = {
    ID: world.id,
    PIDFILE: world.pidFile,
    CONSOLE: world.console,
  };
  return command.map((word) => words[word] ?? word);
}

/** What a container without faults is like, created and running. */
export async function baselineOf(world: World, kind: Kind): Promise<Baseline> {
  const create = kind === "terminal" ? CREATE_TERMINAL : CREATE;
  // Twice: the first one may keep things for later commands.
  await prepare(world, [create, START]);
  await world.run("delete", "--force", world.id);
  world.forget();
  await prepare(world, [create]);
  const created = portrait((await world.state())!.pid);
  await prepare(world, [START]);
  await untilRun(world);
  const { pid } = (await world.state())!;
  while (!Deno.readTextFileSync(`/proc/${pid}/cmdline`).startsWith("sleep")) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const running = portrait(pid);
  await world.run("delete", "--force", world.id);
  await world.left();
  world.forget();
  return { created, running };
}

/** Runs commands that must succeed. */
export async function prepare(world: World, commands: Scenario["before"]): Promise<void> {
  for (const command of commands) {
    const { code, stderr } = await world.run(...argumentsOf(world, command));
    if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stderr.trim()}`);
    if (command[0] === "start" && !await untilRun(world)) throw new Error("the program did not begin");
    if (command[0] === "kill") await untilStatus(world, "stopped");
  }
}

async function checkCreate(world: World, baseline: Baseline, said: Injected): Promise<string[]> {
  if (said.code !== 0) return await nothingMade(world, said);
  const state = await world.state();
  if (state?.status !== "created") {
    return [`it succeeded, and the container is ${state?.status ?? "missing"}`];
  }
  const problems = compare(baseline.created, portrait(state.pid));
  if (problems.length > 0) return problems;
  return [...pidFile(world, state.pid), ...await startAgain(world, baseline)];
}

async function checkRun(world: World, baseline: Baseline, said: Injected): Promise<string[]> {
  if (said.code !== 0) return await nothingMade(world, said);
  const state = await world.state();
  const found = runs(world, baseline).then((wrong) => [...pidFile(world, state?.pid ?? 0), ...wrong]);
  return await orEnded(world, isFirstKilled(said), found);
}

/** One that was not killed and has failed cleans up itself. */
async function nothingMade(world: World, { code, hit, stderr }: Injected): Promise<string[]> {
  // Deno does without some calls in no way, such as the pipe by which it hears of signals: that ends it as a kill does.
  const killed = code > 128 || hit === undefined || stderr.includes("Deno has panicked");
  if (killed || await world.state() === undefined) return [];
  return [`it failed with ${code} and left the container to others`];
}

function pidFile(world: World, pid: number): string[] {
  try {
    const text = Deno.readTextFileSync(world.pidFile);
    return Number(text) === pid ? [] : [`the pid file says "${text}" and not ${pid}`];
  } catch {
    return ["it succeeded without a pid file"];
  }
}

async function checkStart(world: World, baseline: Baseline, { code }: Injected): Promise<string[]> {
  if (code === 0) return await runs(world, baseline);
  const status = (await world.state())?.status;
  if (status === "running") return await runs(world, baseline);
  if (status === "created") return await startAgain(world, baseline);
  return [`the container is ${status ?? "missing"} after start has failed with ${code}`];
}

/** Whether the container's first process was killed: nobody can tell that from the end of its program. */
function isFirstKilled({ fault, hit }: Injected): boolean {
  return fault === "kill-self" && hit !== undefined && hit.process > 0;
}

async function checkStartByInit(world: World, baseline: Baseline, said: Injected): Promise<string[]> {
  return await orEnded(world, said.code !== 0 || isFirstKilled(said), checkStart(world, baseline, said));
}

/** A container whose start has failed by a hook is ended. */
async function checkStartHooks(world: World, baseline: Baseline, said: Injected): Promise<string[]> {
  return await orEnded(world, said.code !== 0, checkStart(world, baseline, said));
}

/** What is wrong, unless the container may end and does. */
async function orEnded(world: World, mayEnd: boolean, found: Promise<string[]>): Promise<string[]> {
  const wrong = await found;
  const ended = mayEnd && wrong.length > 0 && await untilStatus(world, "stopped") === "stopped";
  return ended ? [] : wrong;
}

async function startAgain(world: World, baseline: Baseline): Promise<string[]> {
  const { code, stderr } = await world.run("start", world.id);
  // The one that was killed may just have come through.
  if (code !== 0 && !/already running/.test(stderr)) {
    return [`start fails afterwards: ${stderr.trim() || `status ${code}`}`];
  }
  return await runs(world, baseline);
}

async function checkState(world: World, baseline: Baseline, said: Injected): Promise<string[]> {
  const { code, stdout, args } = said;
  if (code !== 0) return await runs(world, baseline);
  const whole = await world.run(...args);
  const wrong = stdout === whole.stdout ? [] : [`it succeeded and printed ${JSON.stringify(stdout)}`];
  return [...wrong, ...await runs(world, baseline)];
}

async function checkExec(world: World, baseline: Baseline, { code, stdout }: Injected): Promise<string[]> {
  const wrong = code === 0 && stdout !== "joined\n"
    ? [`it succeeded and printed ${JSON.stringify(stdout)}`]
    : [];
  return [...wrong, ...await runs(world, baseline)];
}

async function checkDetached(world: World, baseline: Baseline, said: Injected): Promise<string[]> {
  const wrong: string[] = [];
  if (said.code === 0) {
    const pid = Number(Deno.readTextFileSync(world.pidFile));
    // One that is killed before its execve cannot be told from a program that has ended.
    if (said.fault === "kill-self" && linkOf(pid, "exe") === "") return await runs(world, baseline);
    const init = (await world.state())?.pid ?? 0;
    const same = (name: string): boolean => linkOf(pid, name) === linkOf(init, name);
    if (!["mnt", "pid", "net", "ipc", "uts", "cgroup"].every((name) => same(`ns/${name}`))) {
      wrong.push(`process ${pid} is not in the container`);
    }
  }
  return [...wrong, ...await runs(world, baseline)];
}

function linkOf(pid: number, name: string): string {
  try {
    return Deno.readLinkSync(`/proc/${pid}/${name}`);
  } catch {
    return "";
  }
}

/** Limits are as they were or as they are to be, and nothing else has changed. */
async function checkUpdate(world: World, { running }: Baseline, { code }: Injected): Promise<string[]> {
  const state = await world.state();
  if (state?.status !== "running") return [`the container is ${state?.status ?? "missing"} and not running`];
  const found = portrait(state.pid);
  const limits = (lines: readonly string[]): string[] => lines.filter((line) => UPDATED_FILES.test(line));
  const others = (lines: readonly string[]): string[] => lines.filter((line) => !UPDATED_FILES.test(line));
  const wrong = compare(others(running), others(found));
  const values = limits(found).map((line) => line.slice(line.lastIndexOf(" ") + 1));
  const allowed = code === 0
    ? UPDATED
    : [...UPDATED, ...limits(running).map((line) => line.split(" ").at(-1)!)];
  return [...wrong, ...values.filter((each) => !allowed.includes(each)).map((each) => `a limit is ${each}`)];
}

async function checkKill(world: World, baseline: Baseline, { code }: Injected): Promise<string[]> {
  const status = code === 0 ? await untilStatus(world, "stopped") : await settled(world);
  if (status === "stopped") return [];
  if (code === 0) return [`it succeeded, and the container is ${status}`];
  // Those that were killed may still be on their way out, when what failed is to let them go on.
  return await orEnded(world, true, unharmed(world, baseline, status));
}

function checkPause(wanted: string): Scenario["check"] {
  return async (world, baseline, { code }) => {
    const status = (await world.state())?.status ?? "missing";
    if (code === 0 && status !== wanted) return [`it succeeded, and the container is ${status}`];
    return await unharmed(world, baseline, status);
  };
}

async function checkDelete(world: World, baseline: Baseline, { code }: Injected): Promise<string[]> {
  if (code === 0) return (await world.left()).map((one) => `it succeeded, and there still is ${one}`);
  const status = await settled(world);
  // One that was killed may still be on its way out.
  return status === "running" ? await orEnded(world, true, unharmed(world, baseline, status)) : [];
}

/** A container that is to run, or was stopped by a half pause, goes on as before. */
async function unharmed(world: World, baseline: Baseline, status: string): Promise<string[]> {
  if (status === "paused") {
    const { code, stderr } = await world.run("resume", world.id);
    if (code !== 0) return [`resume fails afterwards: ${stderr.trim()}`];
    return await runs(world, baseline);
  }
  if (status === "running") return await runs(world, baseline);
  return [`the container is ${status} afterwards`];
}

async function runs(world: World, { running }: Baseline): Promise<string[]> {
  if (!await untilRun(world)) return ["the program did not begin"];
  const state = await world.state();
  if (state?.status !== "running") return [`the container is ${state?.status ?? "missing"} and not running`];
  // The shell becomes another program a moment after it has said that it runs.
  for (const end = performance.now() + SETTLE_MS;;) {
    const wrong = compared(running, state.pid);
    if (wrong.length === 0 || performance.now() > end) return wrong;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What is wrong with a process, which may end while it is looked at: its caller knows whether it may. */
function compared(running: readonly string[], pid: number): string[] {
  try {
    return compare(running, portrait(pid));
  } catch (error) {
    return [`process ${pid} cannot be looked at: ${error}`];
  }
}

/** Where a container is that somebody may just have killed. */
async function settled(world: World): Promise<string> {
  await new Promise((resolve) => setTimeout(resolve, 20));
  return (await world.state())?.status ?? "missing";
}

async function untilStatus(world: World, wanted: string): Promise<string> {
  for (const end = performance.now() + SETTLE_MS;;) {
    const status = (await world.state())?.status ?? "missing";
    if (status === wanted || performance.now() > end) return status;
  }
}

/** The program says so as a shell, and then becomes another one. */
async function untilRun(world: World): Promise<boolean> {
  let look = performance.now() + LOOK_MS;
  for (const end = performance.now() + SETTLE_MS; performance.now() < end;) {
    if (world.hasRun) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (performance.now() < look) continue;
    if ((await world.state())?.status === "stopped") return world.hasRun; // it never will
    look = performance.now() + LOOK_MS;
  }
  return false;
}
