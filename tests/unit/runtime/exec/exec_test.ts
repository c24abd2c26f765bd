import { deepEqual, equal, throws } from "node:assert/strict";
import { readSubGroups, subGroups } from "../../../../runtime/exec/groups.ts";
import { homeIn } from "../../../../runtime/exec/home.ts";
import { completed, processFor, type ProcessOptions } from "../../../../runtime/exec/process.ts";
import type { Process } from "../../../../runtime/spec/config.ts";
import { parseProcess } from "../../../../runtime/spec/process.ts";

for (
  const [given, paths, error] of [
    [[], []],
    [["a"], [["", "a"]]],
    [["cpu,memory:a", "pids:/b"], [["cpu", "a"], ["memory", "a"], ["pids", "/b"]]],
    [["a", "b"], undefined, /missing <controller>: prefix/],
    [["cpu:a", "cpu:b"], undefined, /controller cpu specified multiple times/],
    [["cpu:a:b"], undefined, /invalid --cgroup argument: cpu:a:b/],
  ] as const
) {
  Deno.test(`readSubGroups() reads ${JSON.stringify(given)}`, () => {
    if (paths) deepEqual([...readSubGroups(given)], paths);
    else throws(() => readSubGroups(given), error);
  });
}

Deno.test("subGroups() stays below the container's groups and knows their controllers", () => {
  const groups = [{ directory: "/nosuch/pids/box", version: 1, controllers: "pids" }] as const;
  deepEqual(subGroups(groups, new Map()), [{ directory: "/nosuch/pids/box", version: 1 }]);
  throws(() => subGroups(groups, new Map([["", "../other"]])), /not a sub cgroup path/);
  throws(() => subGroups(groups, new Map([["pids", "a/../.."]])), /not a sub cgroup path/);
  throws(() => subGroups(groups, new Map([["pids", "/../a"]])), /\/nosuch\/pids\/box\/a\/cgroup.procs/);
  throws(() => subGroups(groups, new Map([["cpu", "a"]])), /unknown controller cpu in SubCgroupPaths/);
});

for (
  const [text, home] of [
    ["root:x:0:0::/root:/bin/sh\nu:x:5:5::/home/u:/bin/sh\n", "/home/u"],
    ["u:x:5:5::/first:/bin/sh\nv:x:5:5::/second:/bin/sh", "/first"],
    ["u:x:05:5::/home/u:/bin/sh", "/"],
    ["u:x:5:5:::/bin/sh", "/"],
    ["u:x:5", "/"],
    ["u:x:5:5::/a\0b:/bin/sh", "/"],
    ["", "/"],
  ] as const
) {
  Deno.test(`homeIn() finds ${home} in ${JSON.stringify(text)}`, () => equal(homeIn(text, 5), home));
}

const BASE: Process = {
  cwd: "/base",
  args: ["first"],
  env: ["A=1", "B=2"],
  user: { uid: 1, gid: 2, additionalGids: [3], umask: 0o77 },
  capabilities: { bounding: ["CAP_KILL"], inheritable: ["CAP_KILL"] },
  rlimits: [{ type: "RLIMIT_NOFILE", soft: 1, hard: 1 }],
  noNewPrivileges: true,
  terminal: true,
  consoleSize: { height: 1, width: 1 },
  oomScoreAdj: 5,
};

Deno.test("processFor() changes what is asked for, and nothing else", () => {
  const { consoleSize: _, ...kept } = BASE;
  deepEqual(processFor(BASE, { args: ["a"] }), { ...kept, args: ["a"], terminal: false });
  const { env, user, capabilities } = processFor(BASE, {
    args: ["a"],
    env: ["B=3", "C="],
    user: { uid: 9 },
    additionalGids: [4, 3],
    capabilities: ["CAP_CHOWN"],
  });
  deepEqual(env, ["A=1", "B=3", "C="]);
  deepEqual(user, { umask: 0o77, uid: 9, gid: 2, additionalGids: [3, 4] });
  const both = ["CAP_KILL", "CAP_CHOWN"];
  deepEqual(capabilities, {
    bounding: both,
    permitted: ["CAP_CHOWN"],
    effective: ["CAP_CHOWN"],
    inheritable: ["CAP_KILL"],
  });
});

Deno.test("processFor() makes ambient what it adds and is inheritable", () => {
  const { capabilities } = processFor(BASE, { args: ["a"], capabilities: ["CAP_CHOWN", "CAP_KILL"] });
  deepEqual(capabilities?.ambient, ["CAP_KILL"]);
});

for (
  const [options, error] of [
    [{ args: [] }, /process args cannot be empty/],
    [{ args: ["a"], cwd: "b" }, /Cwd must be an absolute path/],
    [{ args: ["a"], env: ["NAME"] }, /invalid environment variable: "NAME"/],
    [{ args: ["a"], env: ["=b"] }, /invalid environment variable/],
    [{ args: ["a\0"] }, /NUL/],
    [{ args: ["a"], user: { uid: 0xffffffff } }, /it is no id/],
    [{ args: ["a"], additionalGids: [-1] }, /it is no id/],
    [{ args: ["a"], capabilities: ["CHOWN"] }, /no such capability/],
  ] as const satisfies readonly (readonly [ProcessOptions, RegExp])[]
) {
  Deno.test(`processFor() refuses ${JSON.stringify(options)}`, () =>
    throws(() => processFor(BASE, options), error));
}

Deno.test("completed() takes from the sandbox's own process what a document leaves out, but no privilege", () => {
  const { cwd, args, capabilities, rlimits, oomScoreAdj, noNewPrivileges, env, terminal, user } = completed(
    BASE,
    {
      cwd: "/",
      args: ["b"],
    },
  );
  deepEqual([cwd, args, env, terminal, noNewPrivileges], ["/", ["b"], undefined, undefined, undefined]);
  deepEqual([capabilities, rlimits, oomScoreAdj], [BASE.capabilities, BASE.rlimits, 5]);
  deepEqual(user, { uid: 0, gid: 0, umask: 0o77 });
});

for (
  const [text, error] of [
    ["", /process.json/],
    ["null", /process property must not be empty/],
    ["{}", /Cwd property must not be empty/],
    ['{"cwd":"a"}', /Cwd must be an absolute path/],
    ['{"cwd":"/"}', /args must not be empty/],
    ['{"cwd":"/","args":["a"],"capabilities":{"bounding":[5]}}', /\/capabilities\/bounding\/0/],
    ['{"cwd":"/","args":["a"]},"hooks":{}', /process.json/],
  ] as const
) {
  Deno.test(`parseProcess() refuses ${text}`, () => throws(() => parseProcess(text, "process.json"), error));
}

Deno.test("parseProcess() takes properties in capitals or not, as runc does", () => {
  deepEqual(parseProcess('{"Cwd":"/","ARGS":["a"]}', "process.json"), { cwd: "/", args: ["a"] });
});
