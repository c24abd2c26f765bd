import { deepEqual, equal } from "node:assert/strict";
import { beneath, isBeneath } from "../../../../runtime/untrusted/beneath.ts";
import type { Facts } from "../../../../runtime/untrusted/facts.ts";

for (
  const [path, directory, is] of [
    ["/srv", "/srv", true],
    ["/srv/a/b", "/srv", true],
    ["/srv2", "/srv", false],
    ["/sr", "/srv", false],
    ["/etc", "/", true],
  ] as const
) {
  Deno.test(`isBeneath() says that ${path} is ${is ? "" : "not "}beneath ${directory}`, () => {
    equal(isBeneath(path, directory), is);
  });
}

Deno.test("beneath() finds the root and each bind from the directory that allows it", () => {
  const facts: Facts = {
    bundle: "/real/b",
    root: { real: "/real/b/rootfs", kind: "directory", inode: 1 },
    sources: new Map([
      [0, { real: "/real/b/data", kind: "directory", inode: 2 }],
      [1, { real: "/srv/file", kind: "file", inode: 3 }],
    ]),
    binds: [{ path: "/srv" }, { path: "/" }],
    oneHierarchy: true,
    rlimits: new Map(),
  };
  const mounts = ["/real/b/data", "/srv/file", "/srv", "/etc"].map((source) => ({
    destination: "/x",
    type: "bind",
    source,
  }));
  const spec = { ociVersion: "1.3.0", root: { path: "rootfs" }, mounts };
  deepEqual(Object.fromEntries(beneath("/link/b", spec, facts)), {
    "/link/b/rootfs": { root: "/real/b", path: "rootfs" },
    "/real/b/data": { root: "/real/b", path: "data" },
    "/srv/file": { root: "/srv", path: "file", inode: 3 },
    "/srv": { root: "/srv", path: "" },
    "/etc": { root: "/", path: "etc" },
  });
});
