import { deepEqual, equal } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { applySkips, type Case, count, readJunit, summary } from "./helpers/run_junit.ts";
import { leftovers, type Machine, type Process } from "./helpers/run_leftovers.ts";
import { caller } from "./helpers/skip.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="9" failures="3" errors="0" time="0.007">
  <testsuite name="./a_test.ts" tests="9" disabled="2" errors="0" failures="3">
    <testcase name="one" classname="./a_test.ts" time="0.002" line="1" col="6">
      <failure message="1 test step failed">1 test step failed.</failure>
    </testcase>
    <testcase name="two" classname="./a_test.ts" time="0.001" line="2" col="6">
    </testcase>
    <testcase name="a &lt; b" classname="./a_test.ts" time="0.000" line="3" col="33">
      <skipped/>
    </testcase>
    <testcase name="one &gt; s1" classname="./a_test.ts" time="0.000" line="1" col="41">
    </testcase>
    <testcase name="one &gt; s2" classname="./a_test.ts" time="0.000" line="1" col="71">
      <failure message="Uncaught Error: x">&lt;skipped/&gt;</failure>
    </testcase>
  </testsuite>
</testsuites>`;

Deno.test("readJunit() leaves steps out and unescapes names", () => {
  deepEqual(readJunit(REPORT).map(({ name, outcome }) => [name, outcome]), [
    ["one", "failed"],
    ["two", "passed"],
    ["a < b", "skipped"],
  ]);
});

Deno.test("readJunit() tells why a test failed: the message of its error, or of its steps'", () => {
  const own = REPORT.replace(
    '<testcase name="two" classname="./a_test.ts" time="0.001" line="2" col="6">',
    '$&<failure message="x">Error: a &lt; b\nmore\n\n    at file:///a_test.ts:1:2\n    at b</failure>',
  );
  deepEqual(readJunit(own).map(({ reason }) => reason), [
    "one > s2: <skipped/>",
    "Error: a < b\nmore",
    undefined,
  ]);
});

function passed(name: string, line: number): Case {
  return { file: "/x_test.ts", name, line, outcome: "passed" };
}

for (
  const [what, skips, expected] of [
    ["takes the test registered before the line", [{ line: 7 }], ["b"]],
    ["takes the test that is named", [{ line: 7, test: "a" }], ["a"]],
    ["takes the test that is named, though a helper registered it", [{ line: 7, test: "d" }], ["d"]],
    ["takes each test of a table once", [{ line: 12 }, { line: 12 }], ["c1", "c2"]],
    ["takes no more tests than there are", [{ line: 2 }, { line: 3 }], ["a"]],
    ["ignores a line before every test", [{ line: 0 }], []],
  ] as const
) {
  Deno.test(`applySkips() ${what}`, () => {
    const cases = [passed("a", 1), passed("b", 5), passed("c1", 10), passed("c2", 10), {
      ...passed("d", 3),
      file: "/helper.ts",
    }];
    const after = applySkips(cases, skips.map((one) => ({ file: "/x_test.ts", reason: "", ...one })));
    deepEqual(after.filter((one) => one.outcome === "skipped").map((one) => one.name), expected);
  });
}

Deno.test("summary() names skips only where there are some", () => {
  equal(summary(count([{ outcome: "passed" }, { outcome: "failed" }])), "1 passed, 1 failed");
  equal(summary(count([{ outcome: "skipped" }])), "0 passed, 0 failed, 1 skipped");
});

Deno.test("caller() finds the outermost frame of a test module", () => {
  const stack = `Error
    at skip (file:///r/tests/helpers/skip.ts:30:1)
    at probe (file:///r/tests/a_test.ts:4:5)
    at async file:///r/tests/a_test.ts:9:3
    at innerWrapped (ext:cli/40_test.js:300:11)`;
  deepEqual(caller(stack), { file: "/r/tests/a_test.ts", line: 9 });
});

function machine(processes: Partial<Process>[], mounts: string[] = []): Machine {
  const all = processes.map((one, index): [string, Process] => {
    const pid = one.pid ?? 100 + index;
    return [`${pid} 1`, { parent: 1, name: "x", marked: false, sandboxed: false, ...one, pid }];
  });
  return { mounts: new Set(mounts), cgroups: new Set(), processes: new Map(all) };
}

for (
  const [what, after, expected] of [
    ["ignores what was there", machine([{ pid: 1 }], ["/a"]), []],
    ["names a new mount", machine([], ["/a", "/b"]), ["mount /b"]],
    ["names a marked process", machine([{ pid: 9, parent: 8, marked: true }]), ["process 9 (x)"]],
    [
      "names one by the beginning of a long command line",
      machine([{
        pid: 9,
        parent: 8,
        marked: true,
        name: "x".repeat(1000),
      }]),
      [`process 9 (${"x".repeat(160)})`],
    ],
    ["names an orphan in a sandbox", machine([{ pid: 9, sandboxed: true }]), ["process 9 (x)"]],
    ["ignores a sandbox that has a new parent", machine([{ pid: 9, parent: 8, sandboxed: true }]), []],
    ["ignores other processes", machine([{ pid: 9 }]), []],
  ] as const
) {
  Deno.test(`leftovers() ${what}`, () => {
    deepEqual(leftovers(machine([{ pid: 1 }], ["/a"]), after), expected);
  });
}

const RUN = fromFileUrl(new URL("run.ts", import.meta.url));
const SKIP = new URL("helpers/skip.ts", import.meta.url);
const CONTAINER_TEST = new URL("helpers/container_test.ts", import.meta.url);
const MODULES = {
  ok: `Deno.test("a", async (t) => { await t.step("s", () => {}); }); Deno.test.ignore("b", () => {});`,
  skips: `import { skip } from "${SKIP}";
    Deno.test("a", () => skip("no a"));
    Deno.test("b", async () => { await 0; skip("no b"); });
    Deno.test("c", () => {});`,
  helped: `import { naming, skip } from "${SKIP}";
    for (const name of ["a", "b"]) Deno.test(name, (t) => naming(t, async () => { await 0; if (name === "b") skip("no b"); }));`,
  fails: `Deno.test("a", async (t) => { await t.step("s", () => { throw new Error("x"); }); });`,
  failsHelped:
    `import { containerTest } from "${CONTAINER_TEST}"; containerTest("a", () => Promise.reject(new Error("x")));`,
  throws: `Deno.test("a", () => {}); throw new Error("top");`,
  dies: `Deno.test("a", () => Deno.kill(Deno.pid, "SIGKILL"));`,
  empty: ``,
  leaves: `Deno.test("a", () => { new Deno.Command("setsid", { args: ["sleep", "120.125"], stdin: "null",
    stdout: "null", stderr: "null" }).spawn().unref(); });`,
};

for (
  const [module, last, shown] of [
    ["ok", "2 passed, 0 failed, 1 skipped", ""],
    ["skips", "2 passed, 0 failed, 2 skipped", "no b"],
    ["helped", "2 passed, 0 failed, 1 skipped", "SKIP b: no b"],
    ["fails", "1 passed, 1 failed", "m_test.ts: a\n      a > s: Error: x\n"],
    ["failsHelped", "1 passed, 1 failed", "/m_test.ts: a\n"],
    ["throws", "1 passed, 1 failed", "m_test.ts threw outside of its tests"],
    ["dies", "1 passed, 1 failed", "ended with SIGKILL and without a report"],
    ["empty", "1 passed, 1 failed", "no test ran"],
    ["leaves", "1 passed, 1 failed", "(sleep 120.125)"],
  ] as const
) {
  Deno.test(`run.ts counts a module that ${module}`, async () => {
    const dir = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${dir}/m_test.ts`, MODULES[module]);
      const { code, stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", RUN, `${dir}/m_test.ts`],
        stderr: "null",
      }).output();
      const text = new TextDecoder().decode(stdout);
      equal(text.trimEnd().split("\n").at(-1), last, text);
      equal(code, last.includes("0 failed") ? 0 : 1);
      equal(text.includes(shown), true, text);
    } finally {
      await Deno.remove(dir, { recursive: true });
      if (module === "leaves") await endSleep();
    }
  });
}

/** Ends the process that the module "leaves" left. */
async function endSleep(): Promise<void> {
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const environ = await Deno.readTextFile(`/proc/${name}/environ`);
      const cmdline = await Deno.readTextFile(`/proc/${name}/cmdline`);
      if (cmdline === "sleep\x00120.125\0" && environ.includes("AI_SANDBOX_TEST_RUN=")) {
        Deno.kill(Number(name));
      }
    } catch {
      // gone, or not ours
    }
  }
}
