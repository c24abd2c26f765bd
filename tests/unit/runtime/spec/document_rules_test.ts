import { shared } from "./_samples.ts";
import { testRules } from "./_rules.ts";

const UNKNOWN = "those of version 1 are known";

testRules([
  ["nothing out of the ordinary", {}],
  ...["1.0.0", "1.0.2-dev", "1.3.0", "1.3.12", "1.2.0-rc.1+build", "1.4.0", "1.40.0"].map((it) =>
    [`version ${it}`, { ociVersion: it }] as const
  ),
  ...["2.0.0", "11.0.0", "0.5.0-dev", "1.0", "1.00.0", "v1.0.0", "1.0.0 ", ""].map((it) =>
    [`version "${it}"`, { ociVersion: it }, `/ociVersion: Cannot follow version "${it}": ${UNKNOWN}`] as const
  ),
  [
    "a root without a path",
    { root: { path: "" } },
    "/root/path: Cannot use the root filesystem: its path is empty",
  ],
  ["a hostname in a new uts namespace", { hostname: "a".repeat(64) }],
  ["a hostname in a joined uts namespace", {
    hostname: "box",
    linux: { namespaces: [{ type: "uts", path: "/proc/9/ns/uts" }], uidMappings: [], gidMappings: [] },
  }],
  [
    "a hostname of 65 bytes",
    { hostname: "a".repeat(65) },
    "/hostname: Cannot set a hostname: it is longer than 64 bytes",
  ],
  [
    "a hostname of 66 bytes in 33 characters",
    { hostname: "é".repeat(33) },
    "/hostname: Cannot set a hostname: it is longer than 64 bytes",
  ],
  [
    "a domainname of 65 bytes",
    { domainname: "a".repeat(65) },
    "/domainname: Cannot set a domainname: it is longer than 64 bytes",
  ],
  ["hooks", {
    hooks: { prestart: [{ path: "/bin/a", timeout: 1, env: ["A="] }], poststop: [{ path: "/bin/a" }] },
  }],
  [
    "a hook by a relative path",
    { hooks: { poststop: [{ path: "bin/a" }] } },
    "/hooks/poststop/0/path: Cannot run a hook: its path is not absolute",
  ],
  [
    "a hook without time",
    { hooks: { createRuntime: [{ path: "/a", timeout: 0 }] } },
    "/hooks/createRuntime/0/timeout: Cannot time a hook: its timeout is not above zero",
  ],
  [
    "a hook's variable without a name",
    { hooks: { startContainer: [{ path: "/a", env: ["A=b", "=c"] }] } },
    "/hooks/startContainer/0/env/1: Cannot set an environment variable: its name is empty",
  ],
  ["an annotation without a value", { annotations: { a: "" } }],
  [
    "an annotation without a key",
    { annotations: { "": "a" } },
    "/annotations/: Cannot keep an annotation: its key is empty",
  ],
]);

testRules([
  ["a spec that shares every namespace", {}],
  [
    "a hostname without a uts namespace",
    { hostname: "box" },
    "/hostname: Cannot set a hostname: the uts namespace is shared",
  ],
  [
    "an empty hostname without a uts namespace",
    { hostname: "" },
    "/hostname: Cannot set a hostname: the uts namespace is shared",
  ],
  [
    "a domainname without a uts namespace",
    { domainname: "a" },
    "/domainname: Cannot set a domainname: the uts namespace is shared",
  ],
], shared);
