import { deepEqual, equal, ok } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { compile } from "../../mod.ts";
import { hasCompiler } from "../helpers/c_program.ts";
import { eventually } from "../helpers/eventually.ts";
import { namespaces, type TestBundle } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { skip } from "../helpers/skip.ts";
import { buildInjector, type Call, injected, nameOf, type Point, readLog } from "./injector.ts";

const LIMIT_S = 60;
/** The processes in the order of their birth. */
const [LAUNCHER, GUARD] = [0, 2] as const;
const QUIET = { stdin: "null", stdout: "null", stderr: "null" } as const;
const KILLED = 128 + 9;

/** How a compiled sandbox without a pid namespace ended, and what it did. */
interface Ended {
  readonly code: number;
  readonly calls: readonly Call[];
  readonly hit?: Call;
  /** The cgroup by which its processes are found. */
  readonly group: string;
}

/** A sandbox whose program leaves a process behind. */
class Box {
  readonly path: string;
  readonly #injector: string;
  readonly #log: string;
  readonly #word = `300.${Deno.pid}`;

  constructor({ path }: TestBundle, write: (script: string) => void) {
    this.path = `${path}/box`;
    this.#injector = buildInjector(path);
    this.#log = `${path}/log`;
    write(`setsid sleep ${this.#word} & exit 3`);
    Deno.writeFileSync(this.path, compile({ bundle: path }), { mode: 0o700 });
  }

  async run(point?: Point): Promise<Ended> {
    const [program, ...args] = injected(this.#injector, {
      from: "/ai-sandbox-",
      log: this.#log,
      limitS: LIMIT_S,
      point,
    });
    const { code } = await new Deno.Command(program!, { args: [...args, this.path], ...QUIET }).output();
    const found = readLog(this.#log);
    return { code, ...found, group: found.calls.find(({ name }) => name === "mkdirat")!.detail };
  }

  /** What is left of it when all had time to end. */
  async left({ group }: Ended): Promise<string[]> {
    const look = (): string[] => [
      ...[group].filter(isThere),
      ...[...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name) && this.#isIts(name)).map((
        { name },
      ) => `process ${name}`),
    ];
    return await eventually(look, ({ length }) => length === 0);
  }

  #isIts(pid: string): boolean {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0").includes(this.#word);
    } catch {
      return false; // it has ended
    }
  }
}

/** A test of a compiled sandbox without a pid namespace. */
function boxTest(name: string, body: (box: Box) => Promise<void>): void {
  launchTest(name, async (bundle) => {
    if (!hasCompiler) return skip("needs gcc");
    const linux = { namespaces: namespaces([], ["pid"]) };
    await body(new Box(bundle, (script) => bundle.write(script, { linux })));
  });
}

boxTest(
  "what a compiled sandbox leaves without a pid namespace is ended if its launcher or guard is killed",
  async (box) => {
    const usual = await box.run();
    deepEqual([usual.code, await box.left(usual)], [3, []]);
    const of = (process: number): Call[] => usual.calls.filter((call) => call.process === process);
    const born = of(LAUNCHER).filter(({ name }) => name === "clone3")[1]!.number;
    const own = of(LAUNCHER).filter(({ number }) => number > born);
    // How often it tries that depends on how long processes take to end.
    const guards = of(GUARD).slice(0, of(GUARD).findIndex(({ name }) => name === "unlinkat") + 1);
    ok(own.length > 0 && guards.length > 0, "the guard removes the cgroup");
    const wrong: string[] = [];
    for (
      const point of [
        ...own.map((call): Point => ({ ...call, fault: "kill-self" })),
        ...guards.map((call): Point => ({ ...call, fault: "kill-command" })),
        ...guards.map((call): Point => ({ ...call, fault: "kill-self" })),
      ]
    ) {
      const ended = await box.run(point);
      const name = `${nameOf(point)} ${ended.hit?.name}`;
      if (!ended.hit) wrong.push(`${name} was not hit`);
      const isCommand = point.process === LAUNCHER || point.fault === "kill-command";
      if (isCommand && ended.code !== KILLED) wrong.push(`${name} ended with ${ended.code}`);
      const left = await box.left(ended);
      if (left.length > 0) wrong.push(`${name} left ${left.join(", ")}`);
    }
    deepEqual(wrong, []);
  },
);

boxTest("an empty cgroup that a killed launcher of the same pid has left is in nobody's way", async (box) => {
  const { group } = await box.run();
  const base = group.slice(0, group.lastIndexOf("-"));
  const script = 'mkdir "$0-$(printf %010d $$)" && exec "$1"';
  const args = ["-c", script, base, box.path];
  const { code, pid } = await endOf(new Deno.Command("/bin/sh", { args, ...QUIET }).spawn());
  equal(code, 3);
  const own = `${base}-${String(pid).padStart(10, "0")}`;
  equal(await eventually(() => isThere(own), (is) => !is), false);
});

async function endOf(child: Deno.ChildProcess): Promise<{ readonly code: number; readonly pid: number }> {
  return { code: (await child.status).code, pid: child.pid };
}
