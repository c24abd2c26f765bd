import { deepEqual, equal, match, ok } from "node:assert/strict";
import { hasCompiler } from "../helpers/c_program.ts";
import type { Containers } from "../helpers/containers.ts";
import { FIRST, recreateTest } from "../helpers/recreates.ts";
import { skip } from "../helpers/skip.ts";
import { type Done, Followed } from "./followed.ts";
import type { Call } from "./injector.ts";

/** How an executable ends that cannot load Deno. */
const LEFT_TO_DENO = 127;
const GROUPS = "/sys/fs/cgroup";

/** What there is of a container: its directory and cgroups. */
function whatIsLeft({ root }: Containers): string[] {
  const groups = Array.from(Deno.readDirSync(GROUPS), ({ name }) => `${GROUPS}/${name}/${FIRST}`);
  return [...Array.from(Deno.readDirSync(root), ({ name }) => `${root}/${name}`), ...groups].filter(
    (path) => {
      try {
        return Deno.statSync(path).isDirectory;
      } catch {
        return false;
      }
    },
  );
}

/** Those of many alike of which none is tried for the others: the first two of them. */
function kinds(calls: readonly Call[]): Call[] {
  const counts = new Map<string, number>();
  return calls.filter(({ name, detail }) => {
    const [key, count] = [`${name} ${detail}`, counts.get(`${name} ${detail}`) ?? 0];
    counts.set(key, count + 1);
    return count < 2;
  });
}

/** One command line again and again, by an executable that cannot load Deno. */
class Alone {
  readonly #containers: Containers;
  readonly #pids: string;

  constructor(readonly followed: Followed) {
    this.#containers = followed.containers;
    this.#pids = `${followed.path}/pids`;
    Deno.mkdirSync(this.#pids);
  }

  run(what: Omit<NonNullable<Parameters<Followed["run"]>[1]>, "program"> = {}): Promise<Done> {
    const line = ["create", "--pid-file", `${this.#pids}/pid`, FIRST];
    return this.followed.run(line, { ...what, program: this.followed.alone() });
  }

  /** What the directory of the pid file holds. */
  pids(): Record<string, string> {
    const files = Array.from(Deno.readDirSync(this.#pids), ({ name }) => name);
    return Object.fromEntries(files.map((name) => [name, Deno.readTextFileSync(`${this.#pids}/${name}`)]));
  }

  /** Takes away what there is, and says what that was. */
  async clear(): Promise<string[]> {
    const pids = Object.keys(this.pids());
    for (const name of pids) Deno.removeSync(`${this.#pids}/${name}`);
    const left = whatIsLeft(this.#containers);
    if (left.length > 0) await this.#containers.run("delete", "--force", FIRST);
    return [...left, ...pids];
  }

  /** The calls of a create that nothing is done to. */
  async calls(): Promise<readonly Call[]> {
    const { code, own } = await this.run();
    equal(code, 0);
    await this.clear();
    return own;
  }
}

recreateTest("a create without Deno that fails has undone all before Deno begins", async (containers) => {
  if (!hasCompiler) return skip("needs gcc");
  using followed = new Followed(containers);
  const alone = new Alone(followed);
  const own = await alone.calls();
  const [locked, told] = ["flock", "linkat"].map((wanted) =>
    own.find(({ name }) => name === wanted)!.number
  ) as [
    number,
    number,
  ];
  const wrong: string[] = [];
  for (const call of kinds(own)) {
    const said = await alone.run({ point: { ...call, fault: "EPERM" } });
    const name = `${call.number} ${call.name} ${call.detail}`;
    equal(said.hit?.name, call.name, name);
    const left = await alone.clear();
    const isMade = said.code === 0 && /moves/.test(call.detail); // they cost time alone
    if (said.code !== LEFT_TO_DENO && !isMade) wrong.push(`${name} ends with ${said.code}: ${said.stderr}`);
    if (isMade) continue;
    // Until it is locked the directory may be another one's, who has found it; Deno writes the pid anew.
    const isFound = call.number <= locked;
    const expected = isFound ? [`${containers.root}/${FIRST}`] : call.number > told ? ["pid"] : [];
    if (left.some((one) => !expected.includes(one))) wrong.push(`${name} leaves ${left.join(", ")}`);
  }
  deepEqual(wrong, []);
});

recreateTest("what is written only in part makes no container without Deno", async (containers) => {
  if (!hasCompiler) return skip("needs gcc");
  using followed = new Followed(containers);
  const alone = new Alone(followed);
  // What is written to a cgroup is taken as a whole, or not at all.
  const writes = (await alone.calls()).filter(({ name, detail }) => {
    return /^p?write/.test(name) && !detail.startsWith(GROUPS);
  });
  const wrong: string[] = [];
  // Names are put together in the start gate, each of another part.
  const isName = ({ detail }: Call): boolean => detail.endsWith(".fifo");
  for (const call of [...writes.filter(isName), ...kinds(writes.filter((one) => !isName(one)))]) {
    const { code, hit } = await alone.run({ turn: { call, does: "less" } });
    const name = `${call.number} ${call.name} ${call.detail}`;
    equal(hit?.name, call.name, name);
    const files = code === 0 ? Array.from(Deno.readDirSync(`${containers.root}/${FIRST}`)) : [];
    const left = await alone.clear();
    if (/\/moves\.new$/.test(call.detail)) {
      equal(code, 0, name);
      deepEqual(files.filter((file) => file.name.startsWith("moves")), [], name);
    } else if (code !== LEFT_TO_DENO || left.some((one) => one !== "pid")) {
      wrong.push(`${name}: ${code} ${left}`);
    }
  }
  deepEqual(wrong, []);
  ok(writes.some(({ detail }) => detail.startsWith("/memfd:")), "the image is one of them");
});

recreateTest("a create without Deno that is killed leaves a whole pid file, or none", async (containers) => {
  if (!hasCompiler) return skip("needs gcc");
  using followed = new Followed(containers);
  const alone = new Alone(followed);
  const own = await alone.calls();
  const begun = own.findLastIndex(({ name, detail }) =>
    name === "openat" && detail === `${followed.path}/pids/`
  );
  const told = own.findIndex(({ name }) => name === "linkat");
  ok(begun > 0 && told > begun);
  for (const call of own.slice(begun, told + 2)) {
    const { hit } = await alone.run({ point: { ...call, fault: "kill-self" } });
    equal(hit?.name, call.name);
    const { pid, ...others } = alone.pids();
    deepEqual(others, {}, call.name);
    if (call.number > own[told]!.number) match(pid!, /^\d+$/);
    else equal(pid, undefined);
    await alone.clear();
  }
});

recreateTest(
  "a create without Deno undoes the rest where somebody else has removed its cgroups",
  async (containers) => {
    if (!hasCompiler) return skip("needs gcc");
    using followed = new Followed(containers);
    const line = ["create", "--pid-file", `${followed.path}/missing/pid`, FIRST];
    const program = followed.alone();
    const { code, own } = await followed.run(line, { program });
    equal(code, LEFT_TO_DENO);
    const call = own.find(({ name, detail }) => name === "unlinkat" && detail === FIRST);
    ok(call, "it removes its cgroups");
    const removed: string[] = [];
    const said = await followed.during(call, () => {
      for (const path of whatIsLeft(containers).filter((one) => one.startsWith(GROUPS))) {
        Deno.removeSync(path);
        removed.push(path);
      }
    }, [line, { program }]);
    equal(said.code, LEFT_TO_DENO);
    ok(removed.length > 0);
    deepEqual(whatIsLeft(containers), []);
  },
);
