import { deepEqual, equal, throws } from "node:assert/strict";
import { baseOfManager, unitOf } from "../../../../runtime/systemd/unit.ts";

const at = { id: "one", base: "/", slice: "system.slice" };

for (
  const [cgroupsPath, name, slice, path] of [
    [undefined, "ai-sandbox-one.scope", "system.slice", "/system.slice/ai-sandbox-one.scope"],
    ["", "ai-sandbox-one.scope", "system.slice", "/system.slice/ai-sandbox-one.scope"],
    [":docker:1", "docker-1.scope", "system.slice", "/system.slice/docker-1.scope"],
    ["a-b-c.slice:p:n", "p-n.scope", "a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice/p-n.scope"],
    ["-:p:n", "p-n.scope", "-.slice", "/p-n.scope"],
    ["-.slice::n", "n.scope", "-.slice", "/n.scope"],
    ["a.slice:p:own.slice", "own.slice", "a.slice", "/a.slice/own.slice"],
  ] as const
) {
  Deno.test(`unitOf() finds ${name} for ${JSON.stringify(cgroupsPath)}`, () => {
    deepEqual(unitOf(cgroupsPath, at), { name, slice, path });
  });
}

Deno.test("unitOf() places a unit below the instance of a user", () => {
  const base = "/user.slice/user-7.slice/user@7.service";
  equal(unitOf("a.slice:p:n", { ...at, base }).path, `${base}/a.slice/p-n.scope`);
});

for (
  const path of ["/absolute", "a:b", "a:b:c:d", "a/b.slice:p:n", "a:p:n", "a--b.slice:p:n", "a.slice:p:../n"]
) {
  Deno.test(`unitOf() refuses ${path}`, () => throws(() => unitOf(path, at), { name: "UsageError" }));
}

Deno.test("baseOfManager() tells where systemd is from the groups of its first process, or of a user's", () => {
  const own = "/user.slice/user-7.slice/user@7.service";
  equal(baseOfManager("0::/init.scope\n", undefined), "/");
  equal(baseOfManager("1:name=systemd:/box/init.scope\n0::/other\n", undefined), "/box");
  equal(baseOfManager(`0::${own}/app.slice/x.scope\n`, 7), own);
  equal(baseOfManager("0::/user.slice/user-7.slice/session-1.scope\n", 7), own);
});
