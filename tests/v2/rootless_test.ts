import { deepEqual, equal, match, ok } from "node:assert/strict";
import { AS_STRANGER, finish, ROOT, start, STRANGER, until } from "../helpers/cli.ts";
import { eventually } from "../helpers/eventually.ts";
import { StrangersHome } from "../helpers/strangers_home.ts";

const CGROUPS = "/sys/fs/cgroup";
const CONTROLLERS = ["cpu", "cpuset", "io", "memory", "pids"];
/** Joins the group that its first argument names, then becomes the rest. */
const JOIN = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"'];

/** A group that belongs to the stranger, as systemd delegates one; nothing is left of it. */
class Delegated implements Disposable {
  readonly path = `${CGROUPS}/delegated-${crypto.randomUUID().slice(0, 8)}`;
  readonly home = new StrangersHome();

  constructor(controllers: readonly string[] = CONTROLLERS) {
    write(`${CGROUPS}/cgroup.subtree_control`, CONTROLLERS.map((each) => `+${each}`).join(" "));
    Deno.mkdirSync(this.path);
    for (const each of ["", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"]) {
      Deno.chownSync(`${this.path}${each}`, STRANGER, STRANGER);
    }
    if (controllers.length > 0) return;
    Deno.mkdirSync(`${this.path}/bare`); // nothing was passed on to this one
    for (const each of ["", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"]) {
      Deno.chownSync(`${this.path}/bare${each}`, STRANGER, STRANGER);
    }
  }

  /** Runs the command line as the stranger, in that group. */
  run(args: readonly string[], group = this.path): Deno.ChildProcess {
    return start(args, {
      cwd: "/",
      env: { DENO_DIR: this.home.cache },
      wrapper: [...JOIN, group, ...AS_STRANGER],
    });
  }

  /** Groups of sandboxes that are still there. */
  left(): string[] {
    return [...Deno.readDirSync(this.path)].filter(({ isDirectory, name }) => {
      return isDirectory && name !== "ai-sandbox-callers" && name !== "bare";
    }).map(({ name }) => name);
  }

  [Symbol.dispose](): void {
    for (const each of ["/ai-sandbox-callers", "/bare", ""]) {
      try {
        Deno.removeSync(`${this.path}${each}`);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    this.home[Symbol.dispose]();
  }
}

function write(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { create: false });
}

// deno-lint-ignore no-explicit-any -- a config.json before anybody has looked at it
function copiedBundle(delegated: Delegated, change: (spec: any) => void): string {
  const path = `${delegated.home.path}/bundle`;
  new Deno.Command("cp", { args: ["-r", `${ROOT}/bundles/hello`, path] }).outputSync();
  const spec = JSON.parse(Deno.readTextFileSync(`${path}/config.json`));
  change(spec);
  Deno.writeTextFileSync(`${path}/config.json`, JSON.stringify(spec));
  new Deno.Command("chmod", { args: ["-R", "a+rX", path] }).outputSync();
  return path;
}

async function said(child: Deno.ChildProcess): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await finish(child);
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

const limits = ["--cpu", "0.5", "--memory", "128MB", "--pids", "30", "--cpuset", "0"];

Deno.test("a user without rights limits a sandbox in a delegated group, and leaves none behind", async () => {
  using delegated = new Delegated();
  const child = delegated.run(["run", "--id", "mine", ...limits, "--", "sh", "-c", "echo up; sleep 1000"]);
  await until(child.stdout, "up\n");
  const read = (file: string): string =>
    Deno.readTextFileSync(`${delegated.path}/ai-sandbox-mine/${file}`).trim();
  deepEqual(["cpu.max", "memory.max", "pids.max", "cpuset.cpus"].map(read), [
    "50000 100000",
    String(128 << 20),
    "30",
    "0",
  ]);
  ok(read("cgroup.procs") !== "");
  child.kill("SIGTERM");
  equal((await child.status).code, 143);
  deepEqual(delegated.left(), []);
  await Promise.all([child.stdout.cancel(), child.stderr.cancel(), child.stdin.abort()]);
});

Deno.test("a user's sandbox that takes too much memory ends with that limit named", async () => {
  using delegated = new Delegated();
  const result = `${delegated.home.path}/result.json`;
  const hog = "x = bytearray(300 << 20); print('no')";
  const { stdout } = await said(
    delegated.run(["run", "--result", result, "--memory", "64MB", "--", "python3", "-c", hog]),
  );
  equal(stdout, "");
  const { exit, events } = JSON.parse(Deno.readTextFileSync(result));
  deepEqual(exit, { kind: "limit", limit: "memory" });
  equal(events.oomKills, 1);
});

Deno.test("a user's sandbox leaves no group when its command is killed", async () => {
  using delegated = new Delegated();
  const child = delegated.run(["run", "--pids", "30", "--", "sh", "-c", "echo up; sleep 1000"]);
  await until(child.stdout, "up\n");
  equal(delegated.left().length, 1);
  child.kill("SIGKILL");
  await child.status;
  deepEqual(await eventually(() => delegated.left(), ({ length }) => length === 0), []);
  await Promise.all([child.stdout.cancel(), child.stderr.cancel(), child.stdin.abort()]);
});

Deno.test("a user's sandbox cannot lift the limits of its own group", async () => {
  using delegated = new Delegated();
  const bundle = copiedBundle(delegated, (spec) => {
    spec.linux.resources = { pids: { limit: 30 } };
    spec.mounts.push({ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw"] });
    const script =
      "cat pids.max; echo max >pids.max; cat pids.max; mkdir below && echo 7 >below/cgroup.max.depth";
    spec.process.args = ["sh", "-c", `cd /sys/fs/cgroup; ${script}; cat below/cgroup.max.depth`];
  });
  const { stdout, stderr } = await said(delegated.run(["run", bundle]));
  equal(stdout, "30\n30\n7\n", stderr); // it owns the files, but for those of its root
  deepEqual(delegated.left(), []);
});

Deno.test("a user's limits are refused where the kernel would let the program lift them", async () => {
  using delegated = new Delegated();
  const remount = (options: string): void => {
    // Named in full, or mount would add the options that are in force.
    const args = ["-t", "cgroup2", "-o", `remount,nosuid,nodev,noexec${options}`, "cgroup2", CGROUPS];
    if (!new Deno.Command("mount", { args }).outputSync().success) throw new Error("Cannot remount cgroup2");
  };
  remount("");
  try {
    const { code, stderr } = await said(delegated.run(["run", "--pids", "30", "--", "echo", "ran"]));
    equal(code, 1);
    match(stderr, /mounted without nsdelegate, so that a program could lift its own limits/);
  } finally {
    remount(",nsdelegate");
  }
});

for (
  const [where, made, group, reason] of [
    [
      "outside of a delegated group",
      CONTROLLERS,
      CGROUPS,
      /this user may not make cgroups in "\/sys\/fs\/cgroup"/,
    ],
    ["in a group without controllers", [], "bare", /was not given the controllers [^;]*pids/],
  ] as const
) {
  Deno.test(`a user's limits are refused ${where}, and the refusal says what to do`, async () => {
    using delegated = new Delegated(made);
    const at = group === "bare" ? `${delegated.path}/bare` : group;
    const { code, stdout, stderr } = await said(
      delegated.run(["run", "--pids", "30", "--", "echo", "ran"], at),
    );
    deepEqual([code, stdout], [1, ""]);
    match(stderr, reason);
    match(stderr, /systemd-run --user --scope -p Delegate=yes[^\n]*--cgroup-manager disabled/);
  });
}

Deno.test("a user runs a bundle with limits without them by --cgroup-manager disabled", async () => {
  using delegated = new Delegated();
  const bundle = copiedBundle(delegated, (spec) => spec.linux.resources = { pids: { limit: 5 } });
  const refused = await said(delegated.run(["run", bundle], CGROUPS));
  equal(refused.code, 1);
  const { code, stderr } = await said(
    delegated.run(["run", "--cgroup-manager", "disabled", bundle], CGROUPS),
  );
  equal(code, 0, stderr);
});
