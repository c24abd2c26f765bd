import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Mount } from "../../runtime/spec/config.ts";
import { eventually } from "../helpers/eventually.ts";
import { MOUNTS } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { HostTmpfs, mountAt, type MountLine, parseMountInfo, run } from "../helpers/launch_mountinfo.ts";

const READ = "cat /proc/self/mountinfo";

/** The options of a mount → words that its line in mountinfo has, and words that it has not. */
type Row = readonly [options: readonly string[], has: readonly string[], hasNot: readonly string[]];

const ATTRIBUTES: readonly Row[] = [
  [["ro"], ["ro"], ["rw"]],
  [["rw"], ["rw"], ["ro"]],
  [["ro", "rw"], ["rw"], ["ro"]],
  [["rw", "ro"], ["ro"], ["rw"]],
  [["nosuid"], ["nosuid"], []],
  [["nosuid", "suid"], [], ["nosuid"]],
  [["nodev"], ["nodev"], []],
  [["nodev", "dev"], [], ["nodev"]],
  [["noexec"], ["noexec"], []],
  [["noexec", "exec"], [], ["noexec"]],
  [["noatime"], ["noatime"], ["relatime"]],
  [["noatime", "atime"], ["relatime"], ["noatime"]],
  [["nodiratime"], ["nodiratime", "relatime"], []],
  [["nodiratime", "diratime"], [], ["nodiratime"]],
  [["relatime"], ["relatime"], []],
  [["norelatime"], [], ["relatime", "noatime"]],
  [["strictatime"], [], ["relatime", "noatime"]],
  [["noatime", "strictatime"], [], ["relatime", "noatime"]],
  [["strictatime", "nostrictatime"], ["relatime"], []],
  [["nosymfollow"], ["nosymfollow"], []],
  [["nosymfollow", "symfollow"], [], ["nosymfollow"]],
  [["defaults", "async", "loud", "silent", "nomand", "noiversion", "nolazytime"], ["rw", "relatime"], []],
  [["ro", "nosuid", "nodev", "noexec", "noatime"], ["ro", "nosuid", "nodev", "noexec", "noatime"], []],
];

function has(line: MountLine, [options, yes, no]: Row): void {
  const found = `${options} gave ${line.options}`;
  for (const word of yes) ok(line.options.includes(word), found);
  for (const word of no) ok(!line.options.includes(word), found);
}

/** Runs a sandbox with these mounts beside the usual ones and returns its mounts. */
type Run = (mounts: readonly Mount[]) => Promise<MountLine[]>;

function test(name: string, body: (run: Run, source: string) => Promise<void>): void {
  launchTest(name, async (bundle) => {
    const source = `${bundle.path}/source`;
    Deno.mkdirSync(source);
    Deno.writeTextFileSync(`${source}/file`, "text");
    await body(
      async (mounts) => parseMountInfo(await bundle.output(READ, { mounts: [...MOUNTS, ...mounts] })),
      source,
    );
  });
}

test("launch() sets and clears the attributes of a new file system", async (run) => {
  const lines = await run(ATTRIBUTES.map(([options], index) => {
    return { destination: `/m${index}`, type: "tmpfs", source: "tmpfs", options };
  }));
  ATTRIBUTES.forEach((row, index) => has(mountAt(lines, `/m${index}`), row));
});

test(
  "launch() sets what belongs to a whole new file system, and nothing of it on a bind mount",
  async (run, source) => {
    const options = ["sync", "dirsync", "lazytime", "mand"];
    const lines = await run([
      { destination: "/new", type: "tmpfs", source: "tmpfs", options },
      { destination: "/bound", source, options: ["bind", ...options] },
    ]);
    const { superOptions } = mountAt(lines, "/new");
    for (const word of options) ok(superOptions.includes(word), superOptions.join());
    ok(!mountAt(lines, "/bound").superOptions.includes("sync"));
  },
);

test("launch() sets and clears the attributes of a bind mount", async (run, source) => {
  const lines = await run(ATTRIBUTES.map(([options], index) => {
    return { destination: `/m${index}`, source, options: ["bind", ...options] };
  }));
  ATTRIBUTES.forEach((row, index) => has(mountAt(lines, `/m${index}`), row));
});

test("launch() clears on a bind mount what its source has set", async (inside, source) => {
  using _host = new HostTmpfs(source);
  run("mount", "-o", "remount,ro,nosuid,nodev,noexec,noatime", source);
  const rows: Row[] = [
    [[], ["ro", "nosuid", "nodev", "noexec", "noatime"], []],
    [["rw", "suid", "dev", "exec", "atime"], [], ["nosuid", "nodev", "noexec", "noatime"]],
    [["exec"], ["nosuid", "nodev"], ["noexec"]],
  ];
  const lines = await inside(rows.map(([options], index) => {
    return { destination: `/m${index}`, source, options: ["bind", ...options] };
  }));
  rows.forEach((row, index) => has(mountAt(lines, `/m${index}`), row));
});

test("launch() copies submounts by rbind and leaves them out by bind", async (inside, source) => {
  using _nested = new HostTmpfs(`${source}/nested`);
  const lines = await inside([
    { destination: "/one", source, options: ["bind"] },
    { destination: "/all", source, options: ["rbind"] },
    { destination: "/type", type: "rbind", source, options: [] },
    { destination: "/plain", type: "bind", source },
  ]);
  const nested = lines.filter(({ path }) => path.endsWith("/nested")).map(({ path }) => path);
  deepEqual(nested.toSorted(), ["/all/nested", "/type/nested"]);
  ok(mountAt(lines, "/plain"));
});

const RECURSIVE: readonly Row[] = [
  [["rro"], ["ro"], []],
  [["rro", "rrw"], [], ["ro"]],
  [["rnosuid"], ["nosuid"], []],
  [["rnodev"], ["nodev"], []],
  [["rnoexec"], ["noexec"], []],
  [["rnoatime"], ["noatime"], []],
  [["rnodiratime"], ["nodiratime"], []],
  [["rnosymfollow"], ["nosymfollow"], []],
  [["rstrictatime"], [], ["relatime"]],
  [["rrelatime"], ["relatime"], []],
  [["rnorelatime"], [], ["relatime"]],
  [["rnoexec", "rexec"], [], ["noexec"]],
  [["rnosuid", "rsuid"], [], ["nosuid"]],
  [["rnodev", "rdev"], [], ["nodev"]],
];

test("launch() sets recursive attributes on the mount and on everything below it", async (inside, source) => {
  using _nested = new HostTmpfs(`${source}/nested`);
  const lines = await inside(RECURSIVE.map(([options], index) => {
    return { destination: `/m${index}`, source, options: ["rbind", ...options] };
  }));
  RECURSIVE.forEach((row, index) => {
    has(mountAt(lines, `/m${index}`), row);
    has(mountAt(lines, `/m${index}/nested`), row);
  });
});

test("launch() sets plain attributes on the mount alone", async (inside, source) => {
  using _nested = new HostTmpfs(`${source}/nested`);
  const lines = await inside([{ destination: "/m", source, options: ["rbind", "ro", "noexec"] }]);
  has(mountAt(lines, "/m"), [["ro"], ["ro", "noexec"], []]);
  has(mountAt(lines, "/m/nested"), [["ro"], ["rw"], ["ro", "noexec"]]);
});

/** What a mount is in a peer group with the host's has no "master". */
const OWN_GROUP = /^shared:\d+ master:\d+$/;
const SPREAD: readonly [option: string, top: RegExp, below: RegExp][] = [
  ["shared", OWN_GROUP, /^master:\d+$/],
  ["slave", /^master:\d+$/, /^master:\d+$/],
  ["private", /^$/, /^master:\d+$/],
  ["unbindable", /^unbindable$/, /^master:\d+$/],
  ["rshared", OWN_GROUP, OWN_GROUP],
  ["rslave", /^master:\d+$/, /^master:\d+$/],
  ["rprivate", /^$/, /^$/],
  ["runbindable", /^unbindable$/, /^unbindable$/],
];

test("launch() gives a bind mount the propagation that it asks for", async (inside, source) => {
  using _outer = new HostTmpfs(source);
  run("mount", "--make-shared", source);
  using _nested = new HostTmpfs(`${source}/nested`);
  run("mount", "--make-shared", `${source}/nested`);
  const lines = await inside(SPREAD.map(([option]) => {
    return { destination: `/${option}`, source, options: ["rbind", option] };
  }));
  for (const [option, top, below] of SPREAD) {
    match(mountAt(lines, `/${option}`).propagation.join(" "), top, option);
    match(mountAt(lines, `/${option}/nested`).propagation.join(" "), below, `${option}, nested`);
  }
});

test(
  "launch() makes a bind mount a slave of the host when it asks for no propagation",
  async (inside, source) => {
    using _outer = new HostTmpfs(source);
    run("mount", "--make-shared", source);
    const lines = await inside([{ destination: "/m", source, options: ["rbind"] }]);
    match(mountAt(lines, "/m").propagation.join(" "), /^master:\d+$/);
  },
);

launchTest("launch() shares mounts with the host where mount and root are to be shared", async (bundle) => {
  using outer = new HostTmpfs(`${bundle.path}/shared`);
  run("mount", "--make-shared", outer.path);
  const mounts = [...MOUNTS, { destination: "/m", source: outer.path, options: ["rbind", "rshared"] }];
  const lines = parseMountInfo(await bundle.output(READ, { mounts, linux: { rootfsPropagation: "shared" } }));
  match(mountAt(lines, "/m").propagation.join(" "), /^shared:\d+$/);
});

const isMark = ({ name }: Deno.DirEntry): boolean => name === "mounted";
launchTest("launch() keeps what is mounted inside from showing on the host", async (bundle) => {
  using outer = new HostTmpfs(`${bundle.path}/shared`);
  run("mount", "--make-shared", outer.path);
  Deno.mkdirSync(`${outer.path}/place`);
  const mounts = [...MOUNTS, { destination: "/m", source: outer.path, options: ["rbind"] }];
  const script = "mount -t tmpfs inside /m/place && grep -c ' inside ' /proc/self/mountinfo";
  const meanwhile = ": >/m/mounted; until [ -e /m/seen ]; do sleep 0.02; done";
  let host = "";
  equal(
    await bundle.output(`${script}; ${meanwhile}`, { mounts }, {
      during: async () => {
        await eventually(() => [...Deno.readDirSync(outer.path)], (all) => all.some(isMark));
        host = Deno.readTextFileSync("/proc/self/mountinfo");
        Deno.writeTextFileSync(`${outer.path}/seen`, "");
      },
    }),
    "1",
  );
  ok(host.includes(outer.path) && !host.includes(`${outer.path}/place`));
});

test("launch() sets size and mode of a tmpfs", async (inside) => {
  const [line] = (await inside([
    { destination: "/m", type: "tmpfs", source: "named", options: ["size=1m", "mode=0711", "nr_inodes=99"] },
  ])).filter(({ path }) => path === "/m");
  equal(line?.source, "named");
  deepEqual(
    line?.superOptions.filter((word) => /^(size|mode|nr_inodes)=/.test(word)),
    ["size=1024k", "nr_inodes=99", "mode=711"],
  );
});

launchTest("launch() changes the options of a mount by remount", async (bundle) => {
  const mounts: Mount[] = [
    ...MOUNTS,
    { destination: "/m", type: "tmpfs", source: "tmpfs", options: ["mode=777"] },
    { destination: "/m", options: ["remount", "bind", "ro", "nosuid"] },
  ];
  const script = "touch /m/x 2>&1; grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6";
  equal(await bundle.output(script, { mounts }), "touch: /m/x: Read-only file system\nro,nosuid,relatime");
});

launchTest("launch() refuses an option that the file system does not know", async (bundle) => {
  const mounts = [...MOUNTS, { destination: "/m", type: "tmpfs", options: ["nonsense=1"] }];
  const { message, errno } = await bundle.failure("true", { mounts });
  match(
    message,
    /^Cannot mount tmpfs on "\/m" with option "nonsense=1" \(step \d+ of \d+, fsconfig\): EINVAL; /,
  );
  equal(errno, 22);
  const unknown = await bundle.failure("true", {
    mounts: [...MOUNTS, { destination: "/m", type: "nosuchfs" }],
  });
  match(unknown.message, /^Cannot mount nosuchfs on "\/m" .*ENODEV; this kernel has no such file system/);
});
