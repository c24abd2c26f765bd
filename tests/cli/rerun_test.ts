import { deepEqual, equal, match, ok } from "node:assert/strict";
import { isThere as hasFile, stampAt } from "../../ffi/look.ts";
import { rightsNow } from "../../runtime/caller_rights.ts";
import { loadBundle, request } from "../../runtime/bundle.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { assemble, assembleTable } from "../../runtime/launch/image.ts";
import type { Arch } from "../../runtime/plan/abi.ts";
import { op } from "../../runtime/plan/op.ts";
import { plan } from "../../runtime/plan/plan.ts";
import { planRerun } from "../../runtime/plan/rerun.ts";
import { RERUN_NAMESPACES } from "../../runtime/rerun.ts";
import { FORWARDED, signalNumber } from "../../runtime/supervise/signals.ts";
import { cli, finish, start } from "../helpers/cli.ts";
import { add } from "../helpers/defects.ts";
import { eventually } from "../helpers/eventually.ts";
import { MOUNTS } from "../helpers/launch_bundle.ts";
import { rerunTest, type Runs, SETTLED_MS } from "../helpers/reruns.ts";

const TEXT = new TextDecoder();
/** Whether a process has never loaded a library. */
function isLight({ pid }: Deno.ChildProcess): boolean {
  return !Deno.readTextFileSync(`/proc/${pid}/maps`).includes("libc");
}

const GATED = "echo ready; read line; echo got $line; exit 7";

rerunTest("a bundle that was run before runs without Deno: streams, exit code, arguments", async (runs) => {
  equal((await runs.first(GATED)).code, 7);
  for (const line of ["one", "two"]) {
    const child = await runs.ready();
    ok(isLight(child), "it has loaded libraries");
    const { code, stdout, stderr } = await finish(child, `${line}\n`);
    deepEqual([code, TEXT.decode(stdout), TEXT.decode(stderr)], [7, `got ${line}\n`, ""]);
  }
});

rerunTest("what a bundle is warned of is told without Deno too", async (runs) => {
  const capabilities = { bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], ambient: ["CAP_KILL"] };
  const said = "runtime: can't raise ambient capability CAP_KILL: it is not inheritable\n";
  equal((await runs.first(GATED, { process: { capabilities } })).stderr, said);
  const child = await runs.ready();
  ok(isLight(child));
  equal(TEXT.decode((await finish(child, "one\n")).stderr), said);
});

rerunTest("signals of a run without Deno reach its program", async (runs) => {
  const source = `${runs.bundle.path}/source`;
  Deno.mkdirSync(source);
  const bind = { destination: "/source", source, type: "bind", options: ["bind"] };
  // The first run ends by itself; those behind it wait for their signal, however long it takes to come.
  const script = "[ -e /source/stay ] || exit 0; trap 'echo caught; exit 9' TERM; echo ready";
  const said = await runs.first(`${script}; while :; do sleep 0.05; done`, { mounts: [...MOUNTS, bind] });
  equal(said.code, 0);
  Deno.writeTextFileSync(`${source}/stay`, "");
  const child = await runs.ready();
  ok(isLight(child));
  child.kill("SIGTERM");
  const { code, stdout } = await finish(child);
  deepEqual([code, TEXT.decode(stdout)], [9, "caught\n"]);
});

/** Lets the next run's guard be late: the program begins before its end of the status socket is closed. */
function delayGuard({ bundle, file, program: [program = ""] }: Runs): void {
  const asked = request(loadBundle(bundle.path), {
    host: probeHost(),
    overlay: { kind: "none" },
    form: "supervised",
  });
  const aSecond = { struct: "timespec", members: [["sec", 8, 1], ["nsec", 8, 0]] } as const;
  const late = add({ does: "report init", by: "launcher" }, [op("be late", "ppoll", [0, 0, aSecond, 0, 8])]);
  const caller = rightsNow(RERUN_NAMESPACES);
  const table = planRerun({
    arch: Deno.build.arch as Arch,
    bundle: bundle.path,
    directory: stampAt(bundle.path),
    config: stampAt(`${bundle.path}/config.json`),
    executable: stampAt(program),
    // Whoever is called by a Deno has the soft limit to which that has raised its own.
    caller: { ...caller, openFiles: { ...caller.openFiles, soft: caller.openFiles.hard } },
    kinds: {},
    warnings: [],
    elf: assemble(late(plan(asked))).elf,
    signals: FORWARDED.map(signalNumber),
  });
  Deno.writeFileSync(file, assembleTable(table));
}

rerunTest("a signal reaches a program that has begun before its guard has said all", async (runs) => {
  equal((await runs.first("exit 0")).code, 0); // to have a file with steps
  runs.bundle.write("trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.05; done");
  delayGuard(runs);
  const child = await runs.ready();
  ok(isLight(child));
  child.kill("SIGTERM");
  const { code, stdout } = await finish(child);
  deepEqual([code, TEXT.decode(stdout)], [9, "caught\n"]);
});

rerunTest("signals that nobody handles end a run without Deno, whenever they come", async (runs) => {
  await runs.first("echo ready; read line");
  for (const [signal, expected] of [["SIGTERM", 143], ["SIGINT", 130], ["SIGUSR1", 138]] as const) {
    const child = await runs.ready();
    ok(isLight(child));
    child.kill(signal);
    equal((await child.status).code, expected);
    await child.stdin.close().catch(() => {});
    await child.stdout.cancel();
    await child.stderr.cancel();
  }
  for (let delayMs = 0; delayMs < 6; delayMs += 0.5) {
    const child = start(["run", runs.bundle.path], { program: runs.program });
    for (const end = performance.now() + delayMs; performance.now() < end;);
    child.kill("SIGTERM");
    // Before its first instruction it is an ordinary process.
    const { code, signal } = await child.status;
    ok(code === 143 || signal === "SIGTERM", `${code} after ${delayMs} ms`);
    await child.stdin.close().catch(() => {});
    await child.stdout.cancel();
    await child.stderr.cancel();
  }
});

rerunTest(
  "a program that is killed, and a command that is killed, end all without Deno too",
  async (runs) => {
    await runs.first("echo ready; read line");
    const killed = await runs.ready();
    ok(isLight(killed));
    const children = Deno.readTextFileSync(`/proc/${killed.pid}/task/${killed.pid}/children`).trim().split(
      " ",
    );
    equal(children.length, 2, "init and its guard");
    const init = children.find((pid) => Deno.readTextFileSync(`/proc/${pid}/comm`) !== "ai-sandbox\n");
    Deno.kill(Number(init), "SIGKILL");
    equal((await finish(killed)).code, 137);
    const command = await runs.ready();
    const left = Deno.readTextFileSync(`/proc/${command.pid}/task/${command.pid}/children`).trim().split(" ");
    command.kill("SIGKILL");
    await finish(command);
    const isThere = (pid: string): boolean => hasFile(`/proc/${pid}`);
    deepEqual(await eventually(() => left.filter(isThere), ({ length }) => length === 0), []);
  },
);

rerunTest("a bundle that has changed is run as it is now", async (runs) => {
  const { bundle } = runs;
  equal((await runs.first("echo first")).stdout, "first\n");
  equal((await runs.run()).stdout, "first\n");
  const time = Deno.statSync(runs.file).mtime!.getTime();
  equal((await runs.first("echo other")).stdout, "other\n");
  ok(Deno.statSync(runs.file).mtime!.getTime() > time, "its steps are kept anew");
  equal((await runs.run()).stdout, "other\n");
  // The same length and time of change, as far as a program can set it.
  const { atime, mtime } = Deno.statSync(`${bundle.path}/config.json`);
  bundle.write("echo again");
  Deno.utimeSync(`${bundle.path}/config.json`, atime!, mtime!);
  equal((await runs.run()).stdout, "again\n");
  bundle.write("id -u nobody");
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
  equal((await runs.run()).code, 1);
  bundle.file("etc/passwd", "nobody:x:77:77::/:/bin/sh\n");
  equal((await runs.run()).stdout, "77\n");
  Deno.renameSync(bundle.rootfs, `${bundle.path}/other`);
  Deno.symlinkSync("other", bundle.rootfs);
  const linked = await runs.run();
  equal(linked.code, 1);
  match(linked.stderr, /rootfs/);
});

rerunTest("what is not as usual is left to Deno, which says what is wrong", async (runs) => {
  const { bundle, program } = runs;
  await runs.first("for fd in 0 2; do readlink /proc/$$/fd/$fd; done | grep null; exit 3");
  const path = bundle.path;
  const closing = async (which: string): Promise<string> => {
    const wrapper = ["sh", "-c", `exec "$@" ${which}`, "sh"];
    const { code, stdout } = await cli(["run", path], { program, wrapper });
    equal(code, 3);
    return stdout;
  };
  equal(await closing(""), "");
  for (const which of ["0<&-", "2>&-"]) equal(await closing(which), "/dev/null\n", which);
  equal(await closing("0<&- 2>&-"), "/dev/null\n/dev/null\n");
  const few = await cli(["run", path], { program, wrapper: ["prlimit", "--nofile=5"] });
  ok(few.code !== 3 && few.stderr !== "", few.stderr);
  const sockets = await cli(["run", path], { program, env: { LISTEN_FDS: "1", LISTEN_PID: "1" } });
  equal(sockets.code, 3);
  Deno.removeSync(`${bundle.rootfs}/bin/sh`);
  const missing = await runs.run();
  equal(missing.code, 127);
  match(missing.stderr, /Cannot run "[^"]+" \(step/);
  Deno.writeFileSync(runs.file, Deno.readFileSync(runs.file).subarray(0, 5000));
  equal((await runs.run()).code, 127);
});

rerunTest("steps that others could have written are not gone through", async (runs) => {
  await runs.first("echo ready; read line; exit 4");
  Deno.chmodSync(runs.file, 0o622);
  const child = await runs.ready();
  equal(isLight(child), false);
  equal((await finish(child, "\n")).code, 4);
});

/** Whether the next run takes Deno; its program reads a line. */
async function takesDeno(runs: Runs): Promise<boolean> {
  const child = await runs.ready();
  const isHeavy = !isLight(child);
  const { code, stderr } = await finish(child, "\n");
  deepEqual([code, TEXT.decode(stderr)], [4, ""]);
  return isHeavy;
}

rerunTest("another executable, or another kind of what is mounted, takes Deno once more", async (runs) => {
  const source = `${runs.bundle.path}/source`;
  Deno.mkdirSync(source);
  const bind = { destination: "/source", source, type: "bind", options: ["bind"] };
  await runs.first("echo ready; read line; exit 4", { mounts: [...MOUNTS, bind] });
  equal(await takesDeno(runs), false);
  Deno.removeSync(source);
  Deno.writeTextFileSync(source, "a file now");
  equal(await takesDeno(runs), true);
  equal(await takesDeno(runs), false, "its steps are kept anew");
  const [program] = runs.program as [string];
  Deno.copyFileSync(program, `${program}.copy`);
  Deno.renameSync(`${program}.copy`, program);
  Deno.chmodSync(program, 0o755);
  equal(await takesDeno(runs), true);
  equal(await takesDeno(runs), false);
});

rerunTest("another caller takes Deno, and what he had is nobody else's", async (runs) => {
  const script = "ulimit -Hn; ulimit -Sn; exit 3";
  const usual = await runs.first(script);
  equal(usual.code, 3);
  const { program, bundle } = runs;
  const run = async (...wrapper: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await cli(["run", bundle.path], {
      program: ["/usr/bin/env", "LD_PRELOAD=/no/such/library", ...program],
      wrapper,
    });
    return { code, stdout, light: !stderr.includes("LD_PRELOAD") };
  };
  const light = { code: 3, stdout: usual.stdout, light: true };
  const heavy = { ...light, light: false };
  for (
    const [expected, ...wrapper] of [
      [{ ...heavy, stdout: "900\n900\n" }, "prlimit", "--nofile=900:900"],
      [{ ...heavy, stdout: "900\n800\n" }, "prlimit", "--nofile=800:900"],
      [heavy, "setpriv", "--regid=54321", "--keep-groups"],
      [heavy, "setpriv", "--bounding-set=-sys_boot"],
    ] as const
  ) {
    deepEqual(await run(), light);
    const name = wrapper.join(" ");
    deepEqual(await run(...wrapper), expected, name);
    // Its steps are kept now, for callers like him.
    deepEqual(await run(...wrapper), { ...expected, light: true }, name);
    deepEqual(await run(), heavy, `behind ${name}`);
  }
  // Who is root of a namespace alone has the same name, and the same files.
  const kept = Deno.readFileSync(runs.file);
  deepEqual(await run(), light);
  const other = await run("unshare", "--user", "--map-root-user") as typeof light;
  equal(other.light, false);
  Deno.writeFileSync(runs.file, kept);
  deepEqual(await run(), light);
});
