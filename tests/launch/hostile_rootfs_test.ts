import { equal, match, ok } from "node:assert/strict";
import { LaunchError } from "../../runtime/launch/launch_error.ts";
import type { Mount } from "../../runtime/spec/config.ts";
import { MOUNTS, type TestBundle } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { parseMountInfo } from "../helpers/launch_mountinfo.ts";
import { attempt, Outside } from "../helpers/launch_outside.ts";

const UP = "../".repeat(30);

/** What an attacker plants where something is to be mounted on /target, and the error that is due; none: it lands inside. */
const PLANTS: readonly (readonly [
  name: string,
  plant: (bundle: TestBundle, outside: Outside) => void,
  error?: RegExp,
])[] = [
  ["an absolute link", (bundle, { path }) => link(bundle, `${path}/dir`), /EEXIST|ELOOP/],
  ["a link that climbs", (bundle, { path }) => link(bundle, `${UP}${path}/dir`), /EEXIST|ELOOP/],
  ["a link to the marker", (bundle, { marker }) => link(bundle, marker), /EEXIST|ELOOP/],
  ["a dangling link", (bundle) => link(bundle, "/nowhere/at/all"), /EEXIST|ELOOP/],
  ["a link to itself", (bundle) => link(bundle, "target"), /ELOOP/],
  ["a link to the root", (bundle) => link(bundle, UP)],
  ["a link through proc", (bundle) => link(bundle, "/proc/self/root/../../tmp"), /ELOOP/],
  ["a link to a descriptor", (bundle) => link(bundle, "/proc/self/fd/5"), /ELOOP|ENOENT|EEXIST/],
  // The kernel follows 40 links, but counts those of a walk that it had to begin again, twice at most (do_filp_open()).
  ["a chain of 12 links to a directory inside", (bundle) => chain(bundle, 12, "/inside")],
  ["a chain of 41 links", (bundle) => chain(bundle, 41, "/inside"), /ELOOP/],
  [
    "a chain of 39 links that leads out",
    (bundle, { path }) => chain(bundle, 39, `${path}/dir`),
    /EEXIST|ELOOP/,
  ],
  ["a link to a directory inside", (bundle) => link(bundle, "/inside/")],
  ["a fifo", (bundle) => node(bundle, "p"), /ENOTDIR/],
  ["a device", (bundle) => node(bundle, "c", "1", "3"), /ENOTDIR/],
  ["a file", (bundle) => void bundle.file("target", "text"), /ENOTDIR/],
];

function link(bundle: TestBundle, to: string): void {
  Deno.symlinkSync(to, `${bundle.rootfs}/target`);
}

function chain(bundle: TestBundle, length: number, to: string): void {
  for (let index = 1; index < length; index++) {
    Deno.symlinkSync(`/link${index + 1}`, `${bundle.rootfs}/link${index}`);
  }
  Deno.symlinkSync(to, `${bundle.rootfs}/link${length}`);
  Deno.symlinkSync("/link1", `${bundle.rootfs}/target`);
}

function node(bundle: TestBundle, ...kind: string[]): void {
  new Deno.Command("mknod", { args: [`${bundle.rootfs}/target`, ...kind] }).outputSync();
}

/** A mount on the planted place, in each way there is. */
const WAYS: readonly (readonly [name: string, mount: Mount])[] = [
  ["a tmpfs", { destination: "/target", type: "tmpfs" }],
  ["a tmpfs with a slash behind its place", { destination: "/target/", type: "tmpfs" }],
  ["a tmpfs that copies up", { destination: "/target", type: "tmpfs", options: ["tmpcopyup"] }],
  ["a bind", { destination: "/target", source: "given", options: ["bind"] }],
];

for (const [name, plant, refused] of PLANTS) {
  launchTest(`launch() lets ${name} lead no mount out of the rootfs`, async (bundle) => {
    const outside = new Outside(bundle);
    Deno.mkdirSync(`${bundle.path}/given`);
    bundle.directory("inside");
    plant(bundle, outside);
    for (const [way, mount] of WAYS) {
      const result = await attempt(bundle, outside, "cat /proc/self/mountinfo", {
        mounts: [...MOUNTS, mount],
      });
      // With the root itself covered there is no program any more.
      if (refused || result instanceof LaunchError) {
        match(String(result), refused ?? /faccessat2|move_mount/, `${way}: ${result}`);
      } else ok(parseMountInfo(result).every(({ path }) => !path.includes("outside")), way);
    }
  });

  launchTest(`launch() lets ${name} lead no file, device, cwd or mask out of the rootfs`, async (bundle) => {
    const outside = new Outside(bundle);
    bundle.directory("inside");
    Deno.writeTextFileSync(`${bundle.path}/given`, "given");
    plant(bundle, outside);
    const file: Mount = { destination: "/target", source: "given", options: ["bind"] };
    await attempt(bundle, outside, "true", { mounts: [...MOUNTS, file] });
    const below: Mount = { destination: "/target/made/file", source: "given", options: ["bind"] };
    await attempt(bundle, outside, "true", { mounts: [...MOUNTS, below] });
    await attempt(bundle, outside, "true", { linux: { maskedPaths: ["/target", "/target/marker"] } });
    await attempt(bundle, outside, "true", { linux: { readonlyPaths: ["/target", "/target/marker"] } });
    await attempt(bundle, outside, "touch x", { process: { cwd: "/target/made" } });
    for (const path of ["/target/null", "/target"]) {
      const devices = [{ path, type: "c", major: 1, minor: 3 }] as const;
      await attempt(bundle, outside, "true", { linux: { devices } });
    }
  });
}

for (const name of ["dev", "proc", "sys"]) {
  launchTest(`launch() does not follow a /${name} that is a link out of the rootfs`, async (bundle) => {
    const outside = new Outside(bundle);
    Deno.removeSync(`${bundle.rootfs}/${name}`);
    Deno.symlinkSync(`${outside.path}/${name}`, `${bundle.rootfs}/${name}`);
    const usual = await attempt(bundle, outside, "true", {});
    ok(usual instanceof LaunchError);
    match(usual.message, new RegExp(`"/${name}".*(EEXIST|ELOOP)`));
    // The sandbox's devices go into a /dev of the rootfs where no mount is made there.
    const mounts = MOUNTS.filter(({ destination }) => !destination.startsWith("/dev"));
    ok((await attempt(bundle, outside, "true", { mounts })) instanceof LaunchError);
  });

  launchTest(`launch() does not follow a /${name} that climbs out of the rootfs`, async (bundle) => {
    const outside = new Outside(bundle);
    Deno.removeSync(`${bundle.rootfs}/${name}`);
    Deno.symlinkSync(`../outside/${name}`, `${bundle.rootfs}/${name}`);
    ok((await attempt(bundle, outside, "true", {})) instanceof LaunchError);
  });
}

for (const [name, type] of [["proc", "proc"], ["sys", "sysfs"]] as const) {
  launchTest(
    `launch() mounts ${type} on no link, even one that stays inside (CVE-2019-19921)`,
    async (bundle) => {
      const outside = new Outside(bundle);
      bundle.directory(`real/${name}`);
      Deno.removeSync(`${bundle.rootfs}/${name}`);
      Deno.symlinkSync(`/real/${name}`, `${bundle.rootfs}/${name}`);
      match(String(await attempt(bundle, outside, "true", {})), /ELOOP; a symbolic link is in the way/);
    },
  );
}

launchTest(
  "launch() masks with the host's null device when the rootfs has a forged one (CVE-2025-31133)",
  async (bundle) => {
    const mounts = MOUNTS.filter(({ destination }) =>
      !destination.startsWith("/dev/") && destination !== "/dev"
    );
    const linux = { maskedPaths: ["/proc/version", "/sys/kernel", "/etc/secret"] };
    for (const forged of ["link", "file", "bind"]) {
      const outside = new Outside(bundle);
      bundle.file("etc/secret", "hidden");
      Deno.removeSync(`${bundle.rootfs}/dev`, { recursive: true });
      bundle.directory("dev");
      if (forged === "link") Deno.symlinkSync("/proc/sys/kernel/core_pattern", `${bundle.rootfs}/dev/null`);
      if (forged === "file") bundle.file("dev/null", "forged");
      const part = forged === "bind"
        ? { mounts: [...mounts, { destination: "/dev", source: "outside", options: ["bind"] }], linux }
        : { mounts, linux };
      const script =
        "cat /proc/version /etc/secret; stat -c %t:%T /proc/version /etc/secret; ls -A /sys/kernel";
      const result = await attempt(bundle, outside, script, part);
      if (forged === "bind") equal(result, "1:3\n1:3\n");
      else match(String(result), /Cannot make device "\/dev\/null" .*EEXIST/);
      Deno.removeSync(outside.path, { recursive: true });
    }
  },
);
