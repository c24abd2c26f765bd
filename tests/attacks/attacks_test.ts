import { deepEqual, equal, ok } from "node:assert/strict";
import { probeHost } from "../../runtime/host/probe.ts";
import { ROOT } from "../helpers/cli.ts";
import { skip } from "../helpers/skip.ts";
import { CLASSES, type Column, COLUMNS, isShown, PROBED, problems, type Row } from "./rows.ts";
import { inSandbox, onControl, Victims } from "./run_probes.ts";
import { EXHAUSTION } from "./scenarios/exhaustion.ts";
import { SCENARIOS } from "./scenarios/all.ts";
import { inPlace } from "./scenarios/scenario.ts";
import { attackTest, reason } from "./setup.ts";
import { SURFACE } from "./surface.ts";
import { resultsText, statesOf } from "./table.ts";
import type { Verdict } from "./verdict.ts";

const DOC = `${ROOT}/docs/security.md`;
const [BEGIN, END] = ["<!-- attacks -->", "<!-- /attacks -->"];
const NAMES: readonly string[] = PROBED.flatMap(({ attacks }) => attacks.map(({ name }) => name));
/** Fewer would leave classes of attacks out. */
const [LEAST_SHOWN, MOST_OPEN] = [120, 12];
const results = new Map<Column, Map<string, Verdict>>(COLUMNS.map((column) => [column, new Map()]));

function keep(column: Column, verdicts: Iterable<readonly [string, Verdict]>): void {
  for (const [name, verdict] of verdicts) results.get(column)!.set(name, verdict);
}

attackTest(
  "every probe of the table is one that the probe program knows, and fires on the control",
  async (world) => {
    keep("control", await onControl(world, NAMES));
  },
);

for (const policy of ["default", "strict"] as const) {
  for (const form of ["command", "bundle", "untrusted bundle"] as const) {
    attackTest(
      `no probe has an effect under ${policy}, in a sandbox for a program or bundle: ${form}`,
      async (world) => {
        Deno.env.set("HOST_SECRET", "x");
        try {
          await using victims = await Victims.start(world, policy);
          const verdicts = await inSandbox(world, NAMES, { policy, form, victims: victims.pids });
          if (form === "command") keep(policy, verdicts);
          const open = NAMES.filter((name) => verdicts.get(name)?.state !== "closed" && !(name in SURFACE));
          deepEqual(open.map((name) => `${name}: ${verdicts.get(name)?.why}`), []);
        } finally {
          Deno.env.delete("HOST_SECRET");
        }
        deepEqual(world.changes(), []);
      },
    );
  }
}

/** Classes of attacks that cannot be tried here. */
const skipped = new Set<string>();

for (const { title, attacks } of SCENARIOS) {
  attackTest(`no sandbox falls for: ${title}`, async ({ probe }) => {
    if (title === EXHAUSTION.title && !hasLimits()) {
      skipped.add(title);
      return skip("needs the controllers memory and pids");
    }
    for (const { name, control, attack } of attacks) {
      keep("control", [[name, await inPlace(probe, control)]]);
      for (const policy of ["default", "strict"] as const) {
        const verdict = await inPlace(probe, (place) => attack(place, policy));
        keep(policy, [[name, verdict]]);
        equal(verdict.state, "closed", `${name} under ${policy}: ${verdict.why}`);
      }
    }
  });
}

function hasLimits(): boolean {
  const all = probeHost().cgroups.flatMap(({ controllers }) => controllers.split(","));
  return ["memory", "pids"].every((name) => all.includes(name));
}

/** The rows of the table, from what the tests above have found. */
function rows(): Row[] {
  return CLASSES.filter(({ title }) => !skipped.has(title)).flatMap(({ title: kind, attacks }) =>
    attacks.map((attack): Row => {
      const one = (column: Column): Row["verdicts"][Column] =>
        results.get(column)?.get(attack.name) ?? { state: "broken", why: "it was not run" };
      return {
        kind,
        ...attack,
        verdicts: { control: one("control"), default: one("default"), strict: one("strict") },
      };
    })
  );
}

Deno.test("at least 120 attacks fire on a control and have no effect, and at most 12 stay open", () => {
  if (reason !== undefined) return skip(reason);
  deepEqual(rows().flatMap(problems), []);
  const shown = rows().filter(isShown);
  const open = shown.filter(({ name }) => name in SURFACE);
  ok(shown.length - open.length >= LEAST_SHOWN, `${shown.length} are shown`);
  ok(open.length <= MOST_OPEN);
});

Deno.test("docs/security.md lists these results", () => {
  if (reason !== undefined) return skip(reason);
  const text = Deno.readTextFileSync(DOC);
  const [head, rest = ""] = text.split(BEGIN);
  const [listed, tail] = rest.split(END);
  const now = resultsText(rows());
  if (Deno.env.get("UPDATE_GOLDEN") === "1") {
    Deno.writeTextFileSync(DOC, `${head}${BEGIN}\n\n${now}\n\n${END}${tail}`);
    return;
  }
  // Which errno it is differs from kernel to kernel.
  const [then, found] = [statesOf(listed!), statesOf(now)];
  if (skipped.size > 0 || Deno.build.arch !== "x86_64") {
    for (const name of then.keys()) if (!found.has(name)) then.delete(name);
  }
  deepEqual([...then].sort(), [...found].sort());
});
