import { equal, ok } from "node:assert/strict";
import { tellTime, timeText } from "../../../../runtime/plan/clock.ts";
import { op } from "../../../../runtime/plan/op.ts";
import { exit, RUNNABLE, runOps } from "../../../helpers/run_image.ts";

const [DAY_SECONDS, DAY_MS, WRONG_DAY] = [86_400, 86_400_000, 99];

for (const arch of RUNNABLE) {
  Deno.test(`tellTime() tells the time of a day and the next, and of no other (${arch})`, () => {
    for (const ago of [-1, 0, 1, 2]) {
      const before = Date.now();
      const day = (Math.floor(before / DAY_MS) - ago) * DAY_SECONDS;
      const into = timeText(day);
      const { code, stdout } = runOps(arch, [
        ...tellTime(day, into),
        op("say it", "write", [1, into, into.bytes.length]),
        exit(0),
      ]);
      const after = Date.now();
      if (Math.floor(before / DAY_MS) !== Math.floor(after / DAY_MS)) continue; // midnight
      if (ago !== 0 && ago !== 1) {
        equal(code, WRONG_DAY);
        continue;
      }
      equal(code, 0);
      equal(new Date(stdout).toISOString(), stdout);
      // The kernel's clock is cut off to milliseconds by both.
      ok(Date.parse(stdout) >= before && Date.parse(stdout) <= after, `${before} ${stdout} ${after}`);
    }
  });
}
