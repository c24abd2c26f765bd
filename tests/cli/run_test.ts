import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { TestBundle } from "../helpers/launch_bundle.ts";
import { leavesNothing } from "../helpers/census.ts";
import { cli, ROOT, Temporary } from "../helpers/cli.ts";

const HELLO = /^Hello from inside a sandbox: I am process 1 on host hello\.\n$/;

/** One run that prints `stdout` and nothing else. */
async function prints(args: readonly string[], stdout: string | RegExp, cwd = ROOT): Promise<void> {
  const said = await cli(args, { cwd });
  equal(said.stderr, "");
  if (typeof stdout === "string") equal(said.stdout, stdout);
  else match(said.stdout, stdout);
  equal(said.code, 0);
}

for (
  const args of [
    "run bundles/hello",
    "run --id box-1 bundles/hello",
    "run --bundle bundles/hello box",
    "run --bundle=bundles/hello box",
    "run -b bundles/hello box",
    "run -bundle bundles/hello box",
    "run -no-subreaper -bundle bundles/hello box",
    "run box --bundle bundles/hello",
    "run box -b bundles/hello -no-subreaper",
    "run box -bundle=bundles/hello",
    "run bundles/hello --timeout 20s",
    "--log-format json run bundles/hello",
    "-log-format=json run bundles/hello",
  ]
) {
  Deno.test(`"${args}" runs the bundle`, () => prints(args.split(" "), HELLO));
}

Deno.test("run takes the bundle of the working directory with an id alone, as runc does", () => {
  return prints(["run", "box"], HELLO, `${ROOT}/bundles/hello`);
});

Deno.test("run takes a program behind --, with its flags", () => {
  return prints(
    ["run", "--", "python3", "-c", "import sys; print(sys.argv)", "--help", "-x"],
    "['-c', '--help', '-x']\n",
  );
});

Deno.test("run takes a program without --, and leaves its flags to it", async () => {
  await prints(["run", "echo", "--help", "-n", "--", "-x"], "--help -n -- -x\n");
  await prints(["run", "--env", "A=1", "printenv", "A"], "1\n");
});

Deno.test("run of a program shows the working directory read-only and nothing else of the host", async () => {
  using here = new Temporary();
  here.file("note", "mine\n");
  const script =
    "cat note; touch note 2>/dev/null || echo read-only; ls /home /root /etc/shadow 2>&1 | grep -c .";
  const said = await cli(["run", "--", "sh", "-c", script], { cwd: here.path });
  match(said.stdout, /^mine\nread-only\n/);
  match((await cli(["run", "--", "cat", "/etc/shadow"])).stderr, /No such file/);
});

Deno.test("run --mount binds read-only unless it says rw, in both ways to write it", async () => {
  using here = new Temporary();
  here.file("in", "seen\n");
  const script = "cat /m/in; echo x > /m/out && echo written || echo refused";
  for (
    const [mount, expected] of [
      [`${here.path}:/m`, "refused"],
      [`${here.path}:/m:ro`, "refused"],
      [`${here.path}:/m:rw`, "written"],
      [`type=bind,source=${here.path},target=/m`, "refused"],
      [`type=bind,src=${here.path},dst=/m,readonly`, "refused"],
      [`type=bind,source=${here.path},destination=/m,rw`, "written"],
    ] as const
  ) {
    const said = await cli(["run", "--mount", mount, "--", "sh", "-c", script]);
    equal(said.stdout, `seen\n${expected}\n`, mount);
    await Deno.remove(`${here.path}/out`).catch(() => equal(expected, "refused"));
  }
});

Deno.test("run --mount takes relative sources, files, several mounts and a tmpfs", async () => {
  using here = new Temporary();
  here.file("a", "A\n");
  Deno.mkdirSync(`${here.path}/d`);
  const args = ["-m", "./a:/x/a", "-m", "d:/x/d:rw", "-m", "type=tmpfs,target=/x/t,size=1m"];
  const script = "cat /x/a; touch /x/d/made; df -k /x/t | tail -1 | awk '{print $2}'";
  equal((await cli(["run", ...args, "--", "sh", "-c", script], { cwd: here.path })).stdout, "A\n1024\n");
  ok(Deno.statSync(`${here.path}/d/made`).isFile);
});

Deno.test("run --mount adds to a bundle's mounts", async () => {
  using bundle = new TestBundle();
  using here = new Temporary();
  here.file("in", "seen\n");
  bundle.write("cat /new/in");
  await prints(["run", "--mount", `${here.path}:/new`, bundle.path], "seen\n");
  ok(![...Deno.readDirSync(bundle.rootfs)].some(({ name }) => name === "new"), "the rootfs is changed");
});

Deno.test("run --env sets variables, takes ours by name, and passes nothing else on", async () => {
  const env = { MINE: "from here", SECRET: "not passed" };
  const args = ["run", "-e", "A=1=2", "--env", "MINE", "-e", "EMPTY=", "--", "env"];
  const lines = (await cli(args, { env })).stdout.trim().split("\n");
  for (const line of ["A=1=2", "MINE=from here", "EMPTY=", "HOME=/tmp"]) ok(lines.includes(line), line);
  ok(!lines.some((line) => line.startsWith("SECRET")));
});

Deno.test("run --env replaces what the bundle or the sandbox says", async () => {
  using bundle = new TestBundle();
  bundle.write("echo $WHO; env | grep -c WHO", { process: { env: ["PATH=/bin", "WHO=bundle"] } });
  await prints(["run", "--env", "WHO=caller", bundle.path], "caller\n1\n");
  await prints(
    ["run", "-e", "HOME=/", "-e", "HOME=/home", "--", "sh", "-c", "env | grep ^HOME"],
    "HOME=/home\n",
  );
});

Deno.test("run --workdir says where the program begins", async () => {
  await prints(["run", "--workdir", "/usr/bin", "--", "pwd"], "/usr/bin\n");
  await prints(["run", "-w", "/tmp", "bundles/hello"], HELLO);
});

Deno.test("run --timeout ends everything with 124", async () => {
  const said = await leavesNothing([], () => {
    const script = "trap '' TERM INT; echo begun; (trap '' TERM; sleep 60) & sleep 60";
    return cli(["run", "--timeout", "500ms", "--", "sh", "-c", script]);
  });
  deepEqual([said.code, said.stdout], [124, "begun\n"]);
  equal(said.stderr, "runtime: the sandbox was killed: its time was up; allow more with --timeout\n");
  ok(said.ms < 20_000, `it took ${said.ms} ms`);
});

Deno.test("run --timeout does not keep a program waiting that is done", async () => {
  const said = await cli(["run", "--timeout", "1m", "--", "true"]);
  equal(said.code, 0);
  ok(said.ms < 20_000);
});

for (
  const [script, code] of [
    ["exit 0", 0],
    ["exit 7", 7],
    ["exit 255", 255],
    ["kill -9 $$; sleep 9", 137],
    ["ulimit -c 0; python3 -c 'import os; os.abort()'; exit $?", 134],
  ] as const
) {
  Deno.test(`run ends with ${code} after "${script}"`, async () => {
    const command = script.startsWith("kill")
      ? ["python3", "-c", "import ctypes; ctypes.string_at(0)"]
      : ["sh", "-c", script];
    const said = await cli(["run", "--", ...command]);
    equal(said.code, script.startsWith("kill") ? 139 : code);
  });
}

for (const [form, args] of [["program", ["run", "--"]], ["bundle", ["run"]]] as const) {
  Deno.test(`run ends with 127 or 126 where the program of a ${form} cannot be`, async () => {
    using bundle = new TestBundle();
    bundle.file("bin/plain", "x", 0o644);
    for (
      const [path, code, words] of [
        ["/bin/none", 127, "no such file or directory"],
        ["none-such-program", 127, "no such file or directory"],
        ["/bin", 126, "is a directory"],
        [form === "bundle" ? "/bin/plain" : "/etc/hosts", 126, "permission denied"],
      ] as const
    ) {
      bundle.write([path]);
      const said = await cli([...args, form === "bundle" ? bundle.path : path]);
      equal(said.code, code, path);
      match(said.stderr, new RegExp(`^runtime: Cannot .*"${path}".*${words}.*\n$`));
    }
  });
}

Deno.test("run --pid-file names the program's process", async () => {
  using here = new Temporary();
  const file = `${here.path}/pid`;
  await prints([
    "run",
    "--pid-file",
    file,
    "--mount",
    `${here.path}:/m`,
    "--",
    "sh",
    "-c",
    "while ! test -s /m/pid; do sleep 0.02; done; echo ok",
  ], "ok\n");
  match(Deno.readTextFileSync(file), /^\d+$/);
  equal([...Deno.readDirSync(here.path)].length, 1);
});

for (const [overlay, kept] of [["none", true], ["tmpfs", false], ["tmpfs:size=4m", false]] as const) {
  Deno.test(`run --overlay ${overlay} ${kept ? "writes into" : "spares"} the rootfs`, async () => {
    using bundle = new TestBundle();
    bundle.write("echo x > /mark && cat /mark");
    await prints(["run", "--overlay", overlay, bundle.path], "x\n");
    equal([...Deno.readDirSync(bundle.rootfs)].some(({ name }) => name === "mark"), kept);
  });
}

Deno.test("run spares the rootfs in our form and uses it as it is in runc's", async () => {
  using bundle = new TestBundle();
  bundle.write("echo x >> /mark; wc -l < /mark");
  for (const expected of ["1\n", "1\n"]) await prints(["run", bundle.path], expected);
  for (const expected of ["1\n", "2\n"]) await prints(["run", "--bundle", bundle.path, "box"], expected);
});

Deno.test("run --overlay tmpfs:size bounds what is written, and the program sees ENOSPC", async () => {
  using bundle = new TestBundle();
  bundle.write("dd if=/dev/zero of=/big bs=64k count=100; echo ended $?");
  const said = await leavesNothing(
    [bundle.path],
    () => cli(["run", "--overlay", "tmpfs:size=1m", bundle.path]),
  );
  match(said.stderr, /No space left on device/);
  equal(said.stdout, "ended 1\n");
});

Deno.test("run closes descriptors that it has inherited", async () => {
  const wrapper = ["sh", "-c", 'exec 7</etc/shadow 8</; exec "$@"', "sh"];
  const said = await cli(["run", "--", "ls", "/proc/self/fd"], { wrapper });
  equal(said.stdout, "0\n1\n2\n3\n"); // 3 is the directory that ls reads
  notEqual(said.code, 2);
});

Deno.test("run --env takes the place of what a program or a bundle would have", async () => {
  using bundle = new TestBundle();
  bundle.write(["env"], { process: { env: ["PATH=/bin", "TERM=xterm", "A=0"] } });
  const given = ["--env", "TERM=dumb", "--env", "A=1", "--env", "A=2"];
  const command = await cli(["run", ...given, "--", "/usr/bin/env"], { env: { TERM: "xterm", LANG: "C" } });
  match(command.stdout, /^PATH=\S+\nHOME=\/tmp\nTERM=dumb\nLANG=C\nA=2\n$/);
  const { stdout } = await cli(["run", ...given, bundle.path]);
  equal(stdout, "PATH=/bin\nTERM=dumb\nA=2\nHOME=/\n");
});
