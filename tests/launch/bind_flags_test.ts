import { match, ok } from "node:assert/strict";
import {
  MOUNTS,
  type Part,
  type RunOptions,
  type TestBundle,
  USER_NAMESPACE,
} from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { HostTmpfs, mountAt, type MountLine, parseMountInfo, run } from "../helpers/launch_mountinfo.ts";

/** Flags of the source → options → words that the mount has, and words that it has not. */
type Row = readonly [source: string, options: string, has: string, hasNot?: string];

const ROOT: readonly Row[] = [
  ["ro,noexec,nosymfollow,nodiratime", "bind", "ro noexec nosymfollow nodiratime"],
  ["ro,noexec,nosymfollow,nodiratime", "bind,dev", "rw nodiratime", "noexec nosymfollow"],
  ["ro", "bind,nosuid,rprivate", "rw nosuid", "ro"],
  ["ro", "bind,async", "rw", "ro"],
  ["nosuid,nodev,noexec,noatime", "bind,ro,atime", "ro noatime", "nosuid nodev noexec"],
  ["noatime", "bind,relatime", "relatime", "noatime"],
  ["noatime", "bind,nodiratime,norelatime", "nodiratime relatime", "noatime"],
  ["nodiratime", "bind,strictatime", "rw", "nodiratime relatime noatime"],
  ["ro,nosuid", "bind,rnosuid,noexec", "rw nosuid noexec", "ro"],
];

const USER: readonly Row[] = [
  ["ro,noexec,nosymfollow", "bind,dev", "ro noexec", "nosymfollow"],
  ["rw,nodev,nosuid,noatime", "bind,ro,exec", "ro nodev nosuid noatime"],
  ["noatime", "bind,noatime,nosuid", "noatime nosuid"],
  ["rw", "bind,rw,dev", "rw"],
];

const LOCKED = [
  ["ro", "bind,rw"],
  ["nodev", "bind,dev"],
  ["noatime", "bind,strictatime"],
  ["relatime", "bind,nodiratime"],
] as const;

const NAMESPACE: Part = { linux: USER_NAMESPACE };

/** The mount of a source with these flags. */
async function bound(
  bundle: TestBundle,
  [flags, options]: readonly [string, string, ...unknown[]],
  part: Part = {},
  how: RunOptions = { trusted: true },
): Promise<MountLine> {
  const mounts = prepared(bundle, flags, options);
  return mountAt(
    parseMountInfo(await bundle.output("cat /proc/self/mountinfo", { ...part, mounts }, how)),
    "/m",
  );
}

function prepared(bundle: TestBundle, flags: string, options: string): NonNullable<Part["mounts"]> {
  const { path } = bundle;
  bundle.directory("m"); // root of a user namespace may not make it
  for (const each of ["diratime,strictatime,rw,suid,dev,exec,symfollow", flags]) {
    run("mount", "--bind", "-o", `remount,${each}`, `${path}/source`);
  }
  return [...MOUNTS, { destination: "/m", source: "source", options: options.split(",") }];
}

function check({ options }: MountLine, [source, asked, yes, no = ""]: Row): void {
  const found = `${asked} of ${source} gave ${options}`;
  for (const word of yes.split(" ")) ok(options.includes(word), found);
  for (const word of no.split(" ")) ok(!options.includes(word), found);
}

launchTest("launch() gives a bind that names flags those alone", async (bundle) => {
  using _host = new HostTmpfs(`${bundle.path}/source`);
  for (const row of ROOT) check(await bound(bundle, row), row);
});

launchTest("launch() keeps in a user namespace the flags that a bind does not name", async (bundle) => {
  using _host = new HostTmpfs(`${bundle.path}/source`);
  for (const row of USER) check(await bound(bundle, row, NAMESPACE), row);
});

launchTest("launch() refuses to change in a user namespace what the source of a bind has", async (bundle) => {
  using _host = new HostTmpfs(`${bundle.path}/source`);
  for (const [flags, options] of LOCKED) {
    const mounts = prepared(bundle, flags, options);
    const { message } = await bundle.failure("true", { ...NAMESPACE, mounts }, { trusted: true });
    match(message, /^Cannot change flags that a user namespace locks to mount .*EPERM; .* error mounting/);
    match(message, /operation not permitted/);
  }
});

launchTest("launch() clears no flag by silence for a bundle that is not trusted", async (bundle) => {
  using _host = new HostTmpfs(`${bundle.path}/source`);
  const row = ["ro,nosuid,nodev", "bind,noexec", "ro nosuid nodev noexec"] as const;
  check(await bound(bundle, row, {}, {}), row);
});
