import { deepEqual, equal, throws } from "node:assert/strict";
import {
  cgroupOf,
  descriptorFlags,
  idInside,
  limitOf,
  parseIdMap,
  parseMountinfo,
  parseOffsets,
  parseStatus,
  statusLine,
  statusNumbers,
} from "../../../../runtime/attest/parse.ts";

Deno.test("parseMountinfo() reads every column", () => {
  const text = "98 110 0:50 / /proc rw,nosuid,nodev - proc proc rw,hidepid=invisible\n" +
    "36 35 98:0 /a\\040b /mnt\\134\\011x ro shared:1 master:2 - ext4 /dev/root rw,errors=continue\n";
  deepEqual(parseMountinfo(text), [
    {
      id: 98,
      parent: 110,
      device: "0:50",
      root: "/",
      path: "/proc",
      options: ["rw", "nosuid", "nodev"],
      spreads: [],
      type: "proc",
      data: ["rw", "hidepid=invisible"],
    },
    {
      id: 36,
      parent: 35,
      device: "98:0",
      root: "/a b",
      path: "/mnt\\\tx",
      options: ["ro"],
      spreads: ["shared:1", "master:2"],
      type: "ext4",
      data: ["rw", "errors=continue"],
    },
  ]);
});

for (
  const [what, line] of [["no dash", "1 2 3:4 / / rw proc proc rw"], [
    "a line that ends early",
    "1 2 3:4 / / rw -",
  ]]
) {
  Deno.test(`parseMountinfo() refuses ${what}`, () =>
    throws(() => parseMountinfo(`${line}\n`), /Cannot read mountinfo/));
}

Deno.test("parseMountinfo() takes what lines say in the same words apart once", () => {
  const [first, second, third] = parseMountinfo(
    "98 110 0:50 / /a rw,nodev - proc proc rw\n99 111 0:51 / /a rw,nodev - proc proc rw\n" +
      "99 111 0:51 / /a ro,nodev - proc proc rw",
  );
  equal(first!.options, second!.options);
  deepEqual([second!.id, second!.parent, second!.device, third!.options], [99, 111, "0:51", ["ro", "nodev"]]);
});

Deno.test("parseMountinfo() reads what this kernel writes", () => {
  const mounts = parseMountinfo(Deno.readTextFileSync("/proc/self/mountinfo"));
  equal(mounts.some(({ path }) => path === "/proc"), true);
  equal(mounts.every(({ id, parent, options }) => id > 0 && parent > 0 && options.length > 0), true);
});

const STATUS = "Name:\tUid:\nUmask:\t0022\nUid:\t0\t1\t2\t3\nGroups:\t \nSeccomp:\t0\nSeccomp_filters:\t2\n";

for (
  const [name, value] of [
    ["Name", "Uid:"],
    ["Umask", "0022"],
    ["Uid", "0\t1\t2\t3"],
    ["Seccomp_filters", "2"],
    ["Groups", ""],
    ["mask", undefined],
  ] as const
) {
  Deno.test(`statusLine() finds ${value === undefined ? "no" : JSON.stringify(value)} for ${name}`, () => {
    equal(statusLine(STATUS, name), value);
  });
}

Deno.test("statusNumbers() reads numbers, none, and no line", () => {
  deepEqual(statusNumbers(parseStatus(STATUS), "Uid"), [0, 1, 2, 3]);
  deepEqual(statusNumbers(parseStatus(STATUS), "Groups"), []);
  throws(() => statusNumbers(parseStatus(STATUS), "Gid"), /there is no Gid/);
});

Deno.test("parseIdMap() sorts ranges, and idInside() looks an id up", () => {
  const map = parseIdMap("      1000     200000         10\n         0     100000       1000\n");
  deepEqual(map.map(({ inside }) => inside), [0, 1000]);
  for (
    const [outside, inside] of [[100000, 0], [100999, 999], [101000, -1], [200009, 1009], [0, -1]] as const
  ) {
    equal(idInside(map, outside), inside);
  }
});

Deno.test("cgroupOf() keeps paths with colons, and takes controllers by their whole name", () => {
  const text = "4:cpu,cpuacct:/a:b\n3:cpuset:/c\n1:name=systemd:/\n0::/user.slice\n";
  for (
    const [controllers, path] of [["cpu,cpuacct", "/a:b"], ["name=systemd", "/"], [
      "",
      "/user.slice",
    ]] as const
  ) equal(cgroupOf(text, controllers), path);
  throws(() => cgroupOf(text, "cpu"), /there is no hierarchy "cpu"/);
});

const LIMITS = "Limit                     Soft Limit           Hard Limit           Units     \n" +
  "Max open files            1024                 20000                files     \n" +
  "Max nice priority         0                    unlimited            \n";

Deno.test("limitOf() reads both values of a limit", () => {
  equal(limitOf(LIMITS, "Max open files"), "1024:20000");
  equal(limitOf(LIMITS, "Max nice priority"), "0:unlimited");
  throws(() => limitOf(LIMITS, "Max open"), /there is no "Max open"/);
});

Deno.test("parseOffsets() reads both clocks", () => {
  const offsets = parseOffsets("monotonic           60         5\nboottime          -120         0\n");
  deepEqual([...offsets], [["monotonic", "60 5"], ["boottime", "-120 0"]]);
});

Deno.test("descriptorFlags() reads octal flags", () => {
  equal(descriptorFlags("pos:\t0\nflags:\t02000002\nmnt_id:\t10\n"), 0o2000002);
  throws(() => descriptorFlags("pos:\t0\n"), /no flags/);
});
