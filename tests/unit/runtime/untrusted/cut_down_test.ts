import { deepEqual, equal, notDeepEqual } from "node:assert/strict";
import { loadBundle } from "../../../../runtime/bundle.ts";
import { type Ceiling, DEFAULT_CEILING } from "../../../../runtime/untrusted/ceiling.ts";
import { type CutDown, cutDown, RULES } from "../../../../runtime/untrusted/cut_down.ts";
import { type Facts, gatherFacts } from "../../../../runtime/untrusted/facts.ts";
import { cutLine, show } from "../../../../runtime/untrusted/rule.ts";
import { ROOT } from "../../../helpers/cli.ts";
import { ASKS } from "./asks/all.ts";
import { type Ask, spec } from "./asks/ask.ts";

const FACTS: Facts = {
  bundle: "/b",
  root: { real: "/b/rootfs", kind: "directory", inode: 1 },
  sources: new Map(),
  binds: [],
  oneHierarchy: true,
  rlimits: new Map(),
};
const LIMITS = { memoryBytes: 1000, pids: 20, cpus: 2 };

function run({ spec, sources = [], facts, says }: Ask, rules = RULES): CutDown {
  const ceiling: Ceiling = says === "the cgroups of the caller"
    ? DEFAULT_CEILING
    : { ...DEFAULT_CEILING, ...LIMITS };
  const found = sources.flatMap((source, index) => source ? [[index, source] as const] : []);
  return cutDown(spec, ceiling, { ...FACTS, sources: new Map(found), ...facts }, rules);
}

for (const ask of ASKS) {
  Deno.test(`${ask.rule}: ${ask.says}`, () => {
    const { spec, cuts, refusals } = run(ask);
    deepEqual(
      cuts.map(({ pointer, asked, given = "nothing" }) => `${pointer}: ${asked} → ${given}`),
      ask.cuts,
    );
    deepEqual(refusals.map(({ pointer }) => pointer), ask.refusals ?? []);
    if (ask.left) deepEqual(ask.left[0](spec), ask.left[1]);
  });
}

for (const { name } of RULES) {
  Deno.test(`without rule ${name} something gets through`, () => {
    const own = ASKS.filter(({ rule }) => rule === name);
    notDeepEqual(own, []);
    const others = RULES.filter((rule) => rule.name !== name);
    notDeepEqual(own.map((ask) => run(ask, others)), own.map((ask) => run(ask)));
  });
}

Deno.test("cutDown() takes nothing from a bundle that asks for nothing beyond the ceiling", () => {
  const { cuts, refusals } = cutDown(spec(), DEFAULT_CEILING, FACTS);
  deepEqual([cuts, refusals], [[], []]);
});

for (const name of ["hello", "python", "node"]) {
  Deno.test(`cutDown() takes nothing from bundles/${name} where /usr is allowed`, () => {
    const bundle = loadBundle(`${ROOT}/bundles/${name}`);
    const ceiling = { ...DEFAULT_CEILING, binds: [{ path: "/usr" }] };
    const { cuts, refusals } = cutDown(bundle.spec, ceiling, gatherFacts(bundle, ceiling, { cgroups: [] }));
    deepEqual([cuts, refusals], [[], []]);
  });
}

Deno.test("cutDown() changes nothing in what it has cut down already", () => {
  for (const ask of ASKS.filter(({ refusals }) => !refusals)) {
    const once = run(ask).spec;
    const sources = (once.mounts ?? []).map(({ source = "" }) => ({
      real: source,
      kind: "file" as const,
      inode: 1,
    }));
    deepEqual(run({ ...ask, spec: once, sources }).cuts, [], `${ask.rule}: ${ask.says}`);
  }
});

Deno.test("show() is short and does not steer a terminal", () => {
  equal(show("a\x1b[31m\u202eb\n"), "a\\u{1b}[31m\\u{202e}b\\u{a}");
  equal(show("x".repeat(1000)).length, 81);
  equal(show({ limit: 2n ** 63n }), '{"limit":9223372036854776000}');
});

Deno.test("cutLine() says what, what instead, and why", () => {
  equal(
    cutLine({ pointer: "/a", asked: "b", reason: "c" }),
    "/a: asked for b, given nothing: c",
  );
});
