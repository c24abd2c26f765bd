import { type Call, nameOf, type Point, pointsAt } from "./injector.ts";
import { argumentsOf, type Baseline, baselineOf, prepare, type Scenario, SCENARIOS } from "./scenarios.ts";
import { CACHE, type Kind, type World } from "./world.ts";

/** A point of a scenario. */
export interface Case {
  readonly scenario: Scenario;
  readonly point: Point;
}

/** What came of a point. */
export interface Outcome {
  readonly scenario: string;
  /** As `2:14/ENOMEM`. */
  readonly point: string;
  /** The call that was hit; nothing if the command did not come to it this time. */
  readonly hit?: Call | undefined;
  readonly code: number;
  /** What the command said. */
  readonly stderr: string;
  /** What is left after `delete --force`, or what is not as it should be. */
  readonly problems: readonly string[];
}

/** Which points are tried. */
export interface Choice {
  /** How many of all, spread evenly over the scenarios; all of them if it is left out. */
  readonly sample?: number | undefined;
  readonly seed: number;
  /** Every so manieth, from this one on. */
  readonly part: number;
  readonly parts: number;
  /** Names of scenarios; all of them if there is none. */
  readonly only: readonly string[];
  /** The one point that is tried, as `2:14/ENOMEM`. */
  readonly point?: string | undefined;
}

const CLEAR_TRIES = 3;

/** Tries points and tells what came of each. */
export async function* sweep(world: World, choice: Choice): AsyncGenerator<Outcome> {
  const baselines = new Map<Kind, Baseline>();
  // Else the first baseline would wait for all that there is to go, and for what the first command of all brings along.
  await world.state();
  world.settle();
  for (const kind of ["plain", "hooks", "terminal", "usual"] as const) {
    if (!chosen(choice).some((each) => kindOf(each) === kind)) continue;
    world.become(kind);
    baselines.set(kind, await baselineOf(world, kind));
  }
  world.settle();
  for (const each of await choose(world, choice)) {
    yield await attempt(world, baselines.get(kindOf(each.scenario))!, each);
  }
}

function kindOf({ kind = "plain" }: Scenario): Kind {
  return kind;
}

function chosen({ only }: Choice): Scenario[] {
  return SCENARIOS.filter(({ name }) => only.length === 0 || only.includes(name));
}

async function choose(world: World, choice: Choice): Promise<Case[]> {
  const { sample, seed, part, parts, point } = choice;
  const all: Case[][] = [];
  for (const scenario of chosen(choice)) {
    const points = pointsAt(await callsOf(world, scenario));
    all.push(points.map((each) => ({ scenario, point: each })));
  }
  const picked = sample === undefined ? all : evenly(all.map((each) => shuffled(each, seed)), sample);
  const flat = picked.flat().filter((each) => point === undefined || nameOf(each.point) === point);
  return flat.filter((_, index) => index % parts === part);
}

/** The calls that a command makes without a fault. */
async function callsOf(world: World, scenario: Scenario): Promise<readonly Call[]> {
  const { before, command, name, cold, init } = scenario;
  world.become(kindOf(scenario));
  await prepare(world, before);
  if (cold) world.forgetKept();
  const attached = init ? (await world.state())?.pid : undefined;
  const { code, calls, stderr } = await world.inject(undefined, argumentsOf(world, command), attached);
  if (code !== 0) throw new Error(`${name} ended with ${code} without a fault: ${stderr.trim()}`);
  await world.run("delete", "--force", world.id);
  const left = await world.left();
  if (left.length > 0) throw new Error(`${name} left without a fault: ${left.join(", ")}`);
  world.forget();
  if (init) return calls.filter(({ process }) => process > 0);
  return cold ? calls.filter(({ detail }) => detail.startsWith(CACHE)) : calls;
}

/** As many of each list as come together to `sample`; short lists leave more to the others. */
function evenly<T>(lists: readonly (readonly T[])[], sample: number): T[][] {
  let rest = sample;
  const order = lists.map((_, index) => index).sort((a, b) => lists[a]!.length - lists[b]!.length);
  const taken: T[][] = lists.map(() => []);
  order.forEach((index, place) => {
    const share = Math.ceil(rest / (order.length - place));
    taken[index] = lists[index]!.slice(0, share);
    rest -= taken[index]!.length;
  });
  return taken;
}

/** The same order for the same seed (mulberry32 and Fisher-Yates). */
function shuffled<T>(list: readonly T[], seed: number): T[] {
  let state = seed >>> 0;
  const random = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const result = [...list];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other]!, result[last]!];
  }
  return result;
}

async function attempt(world: World, baseline: Baseline, { scenario, point }: Case): Promise<Outcome> {
  const problems: string[] = [];
  world.become(kindOf(scenario));
  try {
    await prepare(world, scenario.before);
  } catch (error) {
    console.error(`${scenario.name} ${nameOf(point)} is prepared again: ${error}`);
    await clear(world); // what the next create would find there, and join, is left to others by its delete
    await prepare(world, scenario.before);
  }
  if (scenario.cold) world.forgetKept();
  const attached = scenario.init ? (await world.state())?.pid : undefined;
  const said = await world.inject(point, argumentsOf(world, scenario.command), attached);
  if (said.code === 124) problems.push("it did not end");
  try {
    problems.push(...await scenario.check(world, baseline, said));
  } catch (error) {
    problems.push(`cannot be looked at: ${error instanceof Error ? error.message : error}`);
  }
  const { code, stderr } = await world.run("delete", "--force", world.id);
  if (code !== 0) problems.push(`delete --force ended with ${code}: ${stderr.trim()}`);
  const left = await world.left();
  problems.push(...left.map((one) => `left: ${one}`));
  if (left.length > 0 && stderr !== "") problems.push(`delete --force said: ${stderr.trim()}`);
  if (left.length > 0 || code !== 0) await clear(world);
  world.forget();
  return {
    scenario: scenario.name,
    point: nameOf(point),
    hit: said.hit,
    code: said.code,
    stderr: said.stderr,
    problems,
  };
}

/** Removes by hand what is left, until nothing is: on a busy machine those that were killed take long to end. */
async function clear(world: World): Promise<void> {
  for (let tries = 1;; tries++) {
    world.clear();
    const left = await world.left();
    if (left.length === 0) return;
    if (tries === CLEAR_TRIES) throw new Error(`Cannot clear up for the next point: ${left.join(", ")}`);
  }
}
