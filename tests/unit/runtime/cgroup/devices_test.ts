import { deepEqual, throws } from "node:assert/strict";
import { cgroupWrites, type Hierarchy } from "../../../../runtime/cgroup/files.ts";
import type { DeviceRule } from "../../../../runtime/spec/linux.ts";

const V1: readonly Hierarchy[] = [{ version: 1, controllers: "devices", mountPoint: "/devices", own: "/" }];
const V2: readonly Hierarchy[] = [{ version: 2, controllers: "pids", mountPoint: "/v2", own: "/" }];
/** What runc lets every container use. */
const ALWAYS = [
  ...["c *:* m", "b *:* m", "c 1:3 rwm", "c 1:8 rwm", "c 1:7 rwm", "c 5:0 rwm", "c 1:5 rwm", "c 1:9 rwm"],
  ...["c 136:* rwm", "c 5:2 rwm"],
].map((rule) => `allow ${rule}`);
const DENY_ALL: DeviceRule = { allow: false, access: "rwm" };

function lines(devices: readonly DeviceRule[], mounted: readonly Hierarchy[]): string[] {
  return cgroupWrites({ devices }, mounted).map(({ file, value }) => `${file.split(".")[1]} ${value}`);
}

for (
  const [name, rules, expected] of [
    ["nothing without rules", [], []],
    ["one denial of everything", [DENY_ALL], ["deny a", ...ALWAYS]],
    [
      "as runc: all is denied at first",
      [{ allow: true, type: "c", major: 10, minor: 229, access: "rw" }],
      ["deny a", "allow c 10:229 rw", ...ALWAYS],
    ],
    [
      "an access that is none as nothing, as runc",
      [{ allow: true, type: "c", major: 10, minor: 229, access: "rwa" }],
      ["deny a", "allow c 10:229 rw", ...ALWAYS],
    ],
    [
      "both types for one kind of access",
      [DENY_ALL, { allow: true, major: 8, access: "r" }],
      ["deny a", "allow b 8:* r", "allow c 8:* r", ...ALWAYS],
    ],
    [
      "-1 as all, no access as all",
      [DENY_ALL, { allow: true, type: "b", major: 8, minor: -1 }],
      ["deny a", "allow b 8:* rwm", ...ALWAYS],
    ],
    ["what is open", [{ allow: true }], ["deny a", "allow a"]],
    [
      "an exception from what is open",
      [{ allow: true, type: "a", access: "rwm" }, {
        allow: false,
        type: "c",
        major: 10,
        minor: 1,
        access: "rw",
      }],
      ["deny a", "allow a", "deny c 10:1 rw"],
    ],
    [
      "one number taken back by number",
      [
        { allow: true, type: "c", major: 10, minor: 1, access: "rw" },
        { allow: true, type: "c", major: 10, minor: 2, access: "r" },
        { allow: false, type: "c", major: 10, access: "r" },
      ],
      ["deny a", "allow c 10:1 rw", "allow c 10:2 r", "deny c 10:1 r", "deny c 10:2 r", ...ALWAYS],
    ],
    [
      "everything anew after a full denial",
      [{ allow: true, type: "c", major: 10, access: "rw" }, DENY_ALL],
      ["deny a", "allow c 10:* rw", "deny a", ...ALWAYS],
    ],
  ] as readonly (readonly [string, readonly DeviceRule[], readonly string[]])[]
) {
  Deno.test(`cgroupWrites() writes device rules: ${name}`, () => deepEqual(lines(rules, V1), expected));
}

Deno.test("cgroupWrites() refuses a device rule that cgroup v1 would ignore", () => {
  const rules: DeviceRule[] = [
    DENY_ALL,
    { allow: true, type: "c", major: 10, access: "rw" },
    { allow: false, type: "c", major: 10, minor: 5, access: "w" },
  ];
  throws(() => lines(rules, V1), { name: "UnsupportedError", feature: "/linux/resources/devices/2" });
});

Deno.test("cgroupWrites() leaves device rules to a program on v2, and refuses them where no hierarchy is", () => {
  deepEqual(lines([DENY_ALL, { allow: true, type: "c", major: 10, access: "rw" }], V2), []);
  throws(() => lines([DENY_ALL], []), { name: "UnsupportedError", feature: "/linux/resources/devices/0" });
  deepEqual(lines([DENY_ALL, { allow: true }, { allow: true, type: "c", access: "r" }], []), []);
});
