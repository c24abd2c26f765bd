import { equal, match } from "node:assert/strict";
import type { Device } from "../../runtime/spec/config.ts";
import { MOUNTS, type Part, USER_NAMESPACE } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";

const NO_DEV = MOUNTS.filter(({ destination }) => !destination.startsWith("/dev"));
/** Name, numbers in hexadecimal, mode. */
const DEFAULTS = [
  "/dev/null 1:3 666 character special file",
  "/dev/zero 1:5 666 character special file",
  "/dev/full 1:7 666 character special file",
  "/dev/random 1:8 666 character special file",
  "/dev/urandom 1:9 666 character special file",
  "/dev/tty 5:0 666 character special file",
].join("\n");
const NAMES = "/dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty";
const STAT = `stat -c '%n %t:%T %a %F' ${NAMES}`;
const LINKS = "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done";
const LINK_TARGETS = "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx";

const WAYS: readonly (readonly [name: string, part: Part])[] = [
  ["with a tmpfs at /dev", {}],
  ["in the rootfs", { mounts: NO_DEV }],
  ["in a user namespace", { linux: USER_NAMESPACE }],
];
for (const [name, part] of WAYS) {
  launchTest(`launch() makes the default devices and links ${name}`, async (bundle) => {
    equal(await bundle.output(`${STAT}; ${LINKS}`, part), `${DEFAULTS}\n${LINK_TARGETS}`);
    const use =
      "echo x > /dev/null; dd if=/dev/zero bs=4 count=1 2>/dev/null | od -An -tx1; dd if=/dev/urandom bs=4 count=1 2>/dev/null | wc -c; echo x > /dev/full";
    const { stdout, stderr } = await bundle.run(use, part);
    equal(stdout, " 00 00 00 00\n4\n");
    match(stderr, /No space left on device/);
  });
}

const DEVICES: readonly Device[] = [
  { path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 0o600, uid: 5, gid: 6 },
  { path: "/dev/loop9", type: "b", major: 7, minor: 9, fileMode: 0o660 },
  { path: "/dev/pipe", type: "p", fileMode: 0o622 },
  { path: "/dev/plain", type: "u", major: 1, minor: 3 },
  { path: "/dev/far/null", type: "c", major: 1, minor: 3, fileMode: 0o20604 }, // with its type, as Podman 5 gives it
  { path: "/opt/devices/zero", type: "c", major: 1, minor: 5, uid: 7 },
  { path: "/dev/large", type: "c", major: 511, minor: 0xfffff },
];
const CONFIGURED = [
  "/dev/fuse a:e5 600 5 6 character special file",
  "/dev/loop9 7:9 660 0 0 block special file",
  "/dev/pipe 0:0 622 0 0 fifo",
  "/dev/plain 1:3 666 0 0 character special file",
  "/dev/far/null 1:3 604 0 0 character special file",
  "/opt/devices/zero 1:5 666 7 0 character special file",
  "/dev/large 1ff:fffff 666 0 0 character special file",
].join("\n");
const STAT_CONFIGURED = `stat -c '%n %t:%T %a %u %g %F' ${DEVICES.map(({ path }) => path).join(" ")}`;

for (const [name, mounts] of [["with a tmpfs at /dev", MOUNTS], ["in the rootfs", NO_DEV]] as const) {
  launchTest(`launch() makes the devices of the spec ${name}, with owner and mode`, async (bundle) => {
    equal(await bundle.output(STAT_CONFIGURED, { mounts, linux: { devices: DEVICES } }), CONFIGURED);
  });
}

launchTest("launch() makes a device whose path ends with a slash", async (bundle) => {
  const devices: Device[] = ["/dev/one//", "/opt/two/"].map((path) => ({
    path,
    type: "c",
    major: 1,
    minor: 3,
  }));
  equal(await bundle.output("stat -c %t:%T /dev/one /opt/two", { linux: { devices } }), "1:3\n1:3");
});

launchTest("launch() binds the devices of the spec in a user namespace", async (bundle) => {
  const devices: Device[] = [
    { path: "/dev/full", type: "c", major: 1, minor: 7 },
    { path: "/dev/pipe", type: "p", fileMode: 0o600 },
  ];
  const text = await bundle.output(
    "stat -c '%n %t:%T %F' /dev/full /dev/pipe; grep -c devtmpfs /proc/mounts",
    {
      linux: { ...USER_NAMESPACE, devices },
    },
  );
  equal(text, "/dev/full 1:7 character special file\n/dev/pipe 0:0 fifo\n6");
});

launchTest("launch() binds the devices in the rootfs of a user namespace", async (bundle) => {
  Deno.chownSync(`${bundle.rootfs}/dev`, 100_000, 100_000);
  Deno.chownSync(bundle.rootfs, 100_000, 100_000);
  bundle.file("dev/zero", "");
  const part = { mounts: NO_DEV, linux: USER_NAMESPACE };
  equal(await bundle.output(`${STAT}; ${LINKS}`, part), `${DEFAULTS}\n${LINK_TARGETS}`);
});

launchTest("launch() lets a device of the spec replace the default one", async (bundle) => {
  const devices: Device[] = [{ path: "/dev/tty", type: "c", major: 1, minor: 3, fileMode: 0o644 }];
  equal(await bundle.output("stat -c '%t:%T %a' /dev/tty", { linux: { devices } }), "1:3 644");
});

launchTest(
  "launch() uses a device that the rootfs has already, and refuses another in its place",
  async (bundle) => {
    equal(await bundle.output(STAT, { mounts: NO_DEV }), DEFAULTS);
    equal(await bundle.output(STAT, { mounts: NO_DEV }), DEFAULTS);
    Deno.removeSync(`${bundle.rootfs}/dev/null`);
    bundle.file("dev/null", "forged");
    const { message } = await bundle.failure("true", { mounts: NO_DEV });
    match(message, /^Cannot make device "\/dev\/null" .*EEXIST; the rootfs has something else there/);
    Deno.removeSync(`${bundle.rootfs}/dev/null`);
    new Deno.Command("mknod", { args: [`${bundle.rootfs}/dev/null`, "c", "1", "5"] }).outputSync();
    match((await bundle.failure("true", { mounts: NO_DEV })).message, /"\/dev\/null" .*EEXIST/);
  },
);

launchTest("launch() takes a /dev that is bound from the host as it is", async (bundle) => {
  const mounts = [{ destination: "/proc", type: "proc" }, {
    destination: "/dev",
    source: "/dev",
    options: ["rbind"],
  }];
  equal(await bundle.output("stat -c '%t:%T' /dev/null", { mounts }), "1:3");
});

launchTest("launch() makes a read-only /dev with its devices in it", async (bundle) => {
  const mounts = [{ destination: "/proc", type: "proc" }, {
    destination: "/dev",
    type: "tmpfs",
    options: ["ro", "mode=755"],
  }];
  const { stdout, stderr } = await bundle.run(`${STAT}; touch /dev/new`, { mounts });
  equal(stdout, `${DEFAULTS}\n`);
  equal(stderr, "touch: /dev/new: Read-only file system\n");
});

launchTest("launch() gives the sandbox a devpts of its own", async (bundle) => {
  equal(
    await bundle.output("ls /dev/pts; stat -c '%t:%T %a' /dev/ptmx /dev/pts/ptmx -L"),
    "ptmx\n5:2 666\n5:2 666",
  );
});
