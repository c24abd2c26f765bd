import { equal, match, ok } from "node:assert/strict";
import { refuses, type Scene } from "../helpers/bad_input.ts";
import { leavesNothing } from "../helpers/census.ts";
import { cli, SOURCES, STRANGER, Temporary } from "../helpers/cli.ts";
import { MOUNTS, TestBundle } from "../helpers/launch_bundle.ts";

// The root file system

function rootfs(make: (path: string) => void): (scene: Scene) => string[] {
  return ({ bundle }) => {
    Deno.removeSync(bundle.rootfs, { recursive: true });
    make(bundle.rootfs);
    return ["run", bundle.path];
  };
}

refuses({
  name: "a rootfs that is missing",
  args: rootfs(() => {}),
  says: /\/root\/path: .*rootfs": no such directory/,
});
refuses({
  name: "a rootfs that is a file",
  args: rootfs((path) => Deno.writeTextFileSync(path, "")),
  says: /\/root\/path: .*rootfs": it is not a directory/,
});
refuses({
  name: "a rootfs that is a link",
  args: rootfs((path) => Deno.symlinkSync("/", path)),
  says: /\/root\/path: .*rootfs": it is a symbolic link/,
});
refuses({
  name: "a rootfs that is a fifo",
  args: rootfs((path) => new Deno.Command("mkfifo", { args: [path] }).outputSync()),
  says: /it is not a directory/,
});

// The program

function program(path: string, make: (bundle: TestBundle) => unknown): (scene: Scene) => string[] {
  return ({ bundle }) => {
    make(bundle);
    bundle.write([path]);
    return ["run", bundle.path];
  };
}

const NOT_FOUND = /run "\/bin\/x".*no such file or directory/;
refuses({ name: "a program that is missing", args: program("/bin/x", () => {}), says: NOT_FOUND, code: 127 });
refuses({
  name: "a program that is not executable",
  args: program("/bin/x", (bundle) => bundle.file("bin/x", "#!/bin/sh\n", 0o644)),
  says: /"\/bin\/x".*permission denied: make it executable/,
  code: 126,
});
refuses({
  name: "a program that is a directory",
  args: program("/bin/x", (bundle) => bundle.directory("bin/x")),
  says: /"\/bin\/x".*is a directory: name a program/,
  code: 126,
});
refuses({
  name: "a program in no format",
  args: program("/bin/x", (bundle) => bundle.file("bin/x", "echo", 0o755)),
  says: /"\/bin\/x".*ENOEXEC.*#!\/bin\/sh/,
});
refuses({
  name: "a program without its interpreter",
  args: program("/bin/x", (bundle) => bundle.file("bin/x", "#!/none\n", 0o755)),
  says: /"\/bin\/x".*interpreter/,
  code: 127,
});
refuses({ name: "a program below a file", args: program("/bin/sh/x", () => {}), says: /"\/bin\/sh\/x"/ });
refuses({
  name: "a program that is a link to itself",
  args: program("/bin/x", (bundle) => Deno.symlinkSync("x", `${bundle.rootfs}/bin/x`)),
  says: /"\/bin\/x"/,
});
refuses({
  name: "a program that PATH does not know",
  args: program("x", () => {}),
  says: /"x" in PATH \(\/bin\).*no such file or directory/,
  code: 127,
});
refuses({
  name: "a program on a mount that forbids it",
  args: ({ bundle, here }) => {
    Deno.copyFileSync("/usr/bin/busybox", `${here.path}/x`);
    const mounts = [{ destination: "/m", source: here.path, options: ["bind", "noexec"] }];
    bundle.write(["/m/x"], { mounts });
    return ["run", bundle.path];
  },
  says: /"\/m\/x".*permission denied.*noexec/,
  code: 126,
});
refuses({
  name: "more open files than the host has",
  args: ({ bundle }) => {
    bundle.write("true", {
      process: { rlimits: [{ type: "RLIMIT_NOFILE", soft: 2 ** 40, hard: 2 ** 40 }] } as never,
    });
    return ["run", bundle.path];
  },
  says: /RLIMIT_NOFILE|nofile|open files/i,
});

// Mounts

function mount(
  part: Record<string, unknown>,
  make: (bundle: TestBundle) => unknown = () => {},
): (scene: Scene) => string[] {
  return ({ bundle }) => {
    make(bundle);
    bundle.write("true", { mounts: [...MOUNTS, part as never] });
    return ["run", "--overlay", "none", bundle.path];
  };
}

refuses({
  name: "a mount whose source is missing",
  args: mount({ destination: "/tmp", source: "/none", options: ["bind"] }),
  says: /\/mounts\/\d\/source: .*"\/none": No such file/,
});
refuses({
  name: "a mount of an unknown file system",
  args: mount({ destination: "/tmp", type: "nonefs", source: "none" }),
  says: /"?nonefs"?.*ENODEV; this kernel has no such file system/,
});
refuses({
  name: "a mount with an unknown option",
  args: mount({ destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["frob=1"] }),
  says: /frob.*EINVAL; the file system does not know the option/,
});
refuses({
  name: "a directory to be mounted on a file",
  args: mount(
    { destination: "/etc/f", source: "/usr", options: ["bind"] },
    (bundle) => bundle.file("etc/f", ""),
  ),
  says: /\/etc\/f.*(ENOTDIR|EEXIST)/,
});
refuses({
  name: "a file to be mounted on a directory",
  args: mount({ destination: "/tmp", source: "/etc/hostname", options: ["bind"] }),
  says: /\/tmp/,
});

/** Ways for a rootfs to lead a path out of it; MARK is a directory of the host. */
const LEADS: Record<string, (rootfs: string, mark: string) => void> = {
  "an absolute link": (rootfs, mark) => Deno.symlinkSync(mark, `${rootfs}/target`),
  "a link of many ..": (rootfs, mark) => Deno.symlinkSync(`${"../".repeat(30)}${mark}`, `${rootfs}/target`),
  "a chain of links": (rootfs, mark) => {
    Deno.symlinkSync("a", `${rootfs}/target`);
    Deno.symlinkSync("./b/../c", `${rootfs}/a`);
    Deno.mkdirSync(`${rootfs}/b`);
    Deno.symlinkSync(mark, `${rootfs}/c`);
  },
  "a link to the host's root": (rootfs) => Deno.symlinkSync("/proc/1/root", `${rootfs}/target`),
  "a link through /proc/self/cwd": (rootfs) => Deno.symlinkSync("/proc/self/cwd", `${rootfs}/target`),
  "a dangling link": (rootfs, mark) => Deno.symlinkSync(`${mark}/none`, `${rootfs}/target`),
};

for (const [name, lead] of Object.entries(LEADS)) {
  for (const destination of ["/target", "/target/deep/er"]) {
    Deno.test(`run mounts inside or not at all where ${destination} is ${name}`, async () => {
      using bundle = new TestBundle();
      using mark = new Temporary();
      mark.file("marker", "untouched");
      lead(bundle.rootfs, mark.path);
      for (const [type, options] of [["tmpfs", []], ["bind", ["bind"]]] as const) {
        bundle.write("true", { mounts: [...MOUNTS, { destination, type, source: "/usr/share", options }] });
        await leavesNothing([mark.path], async () => {
          const said = await cli(["run", "--overlay", "none", bundle.path]);
          ok(said.code === 0 || /^runtime: Cannot [^\n]*\n$/.test(said.stderr), said.stderr);
        });
      }
    });
  }
}

for (const name of ["dev", "proc", "sys", "dev/pts", "dev/shm"]) {
  Deno.test(`run makes nothing outside where the rootfs has a link for /${name}`, async () => {
    using bundle = new TestBundle();
    using mark = new Temporary();
    mark.file("marker", "untouched");
    await Deno.remove(`${bundle.rootfs}/${name}`).catch(() => {});
    Deno.symlinkSync(mark.path, `${bundle.rootfs}/${name}`);
    const mounts = name.includes("/") ? MOUNTS.filter(({ destination }) => destination !== "/dev") : MOUNTS;
    bundle.write("test -c /dev/null && echo there", { mounts });
    await leavesNothing([mark.path], async () => {
      const said = await cli(["run", "--overlay", "none", bundle.path]);
      ok(said.code === 0 || /^runtime: Cannot [^\n]*\n$/.test(said.stderr) || said.code === 1, said.stderr);
    });
  });
}

// The host

/** Many processes of this user are there already. */
Deno.test("run says so when the user may have no more processes", async () => {
  using bundle = new TestBundle();
  bundle.write("true");
  Deno.chmodSync(bundle.path, 0o755);
  using here = new Temporary();
  const compiled = await cli(["compile", "-o", `${here.path}/box`, bundle.path]);
  equal(compiled.code, 0);
  Deno.chmodSync(`${here.path}/box`, 0o755);
  const wrapper = [
    "prlimit",
    "--nproc=1:1",
    "setpriv",
    `--reuid=${STRANGER}`,
    `--regid=${STRANGER}`,
    "--clear-groups",
  ];
  const said = await leavesNothing([bundle.path], () => cli([], { program: [`${here.path}/box`], wrapper }));
  equal(said.code, 125);
  match(said.stderr, /^[^\n]*clone3?[^\n]*EAGAIN[^\n]*\n$|^[^\n]*start init[^\n]*\n$/);
});

refuses({
  name: "to go on without descriptors",
  args: ({ bundle }) => ["run", bundle.path],
  options: { wrapper: ["prlimit", "--nofile=26:26"], program: SOURCES },
  says: /(EMFILE|Too many open files|os error 24)/,
});

Deno.test("run --result fails cleanly on a full disk", async () => {
  const script = `mount -t tmpfs -o size=4k none "$1" && head -c 100000 /dev/zero > "$1/fill" 2>/dev/null
    shift; exec "$@"`;
  using here = new Temporary();
  const wrapper = ["unshare", "-m", "sh", "-c", script, "sh", here.path];
  const said = await leavesNothing(
    [here.path],
    () => cli(["run", "--result", `${here.path}/r`, "--", "true"], { wrapper }),
  );
  equal(said.code, 1);
  match(said.stderr, /^runtime: Cannot write the result ".*": No space left on device[^\n]*\n$/);
});

const WITHOUT_USER_NAMESPACES = ["unshare", "-U", "--map-user=1000", "--map-group=1000", "--keep-caps"];
refuses({
  name: "to go on where user namespaces are forbidden",
  args: ({ bundle }) => ["run", bundle.path],
  options: {
    wrapper: [
      ...WITHOUT_USER_NAMESPACES,
      ...["sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh"],
    ],
  },
  says:
    /user namespace .*: user\.max_user_namespaces is 0; run it as root, or: .*sysctl -w user\.max_user_namespaces/,
});
