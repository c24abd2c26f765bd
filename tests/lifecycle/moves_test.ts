import { deepEqual, equal, match, ok } from "node:assert/strict";
import { stampAt } from "../../ffi/look.ts";
import { assembleTable, MOVES_FORM } from "../../runtime/launch/image.ts";
import { formatPlan } from "../../runtime/plan/format.ts";
import { MOVES, type MovesRequest, planMoves } from "../../runtime/plan/moves.ts";
import { movesOf } from "../../runtime/lifecycle/moves.ts";
import { FILES, GATE, Store } from "../../runtime/state/store.ts";
import { STUBS } from "../../tools/build/stubs.ts";
import { Temporary } from "../helpers/cli.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { golden } from "../helpers/golden.ts";
import { missing, type Moved, MovesProgram } from "../helpers/moves_program.ts";
import { skip } from "../helpers/skip.ts";

/** Our user namespace. */
function ownUsers(): MovesRequest["users"] {
  const { inode, device } = stampAt("/proc/self/ns/user");
  return { inode, device };
}

const REQUEST: MovesRequest = {
  arch: "x86_64",
  id: "box",
  init: { pid: 4711, inode: 42n, bootId: "6a2c7de2-32d1-4aba-8d2a-1f4362350000" },
  users: { inode: 50n, device: 4n },
  texts: { created: "created", running: "running", paused: "paused", stopped: "stopped" },
  frozen: ["/sys/fs/cgroup/freezer/box/freezer.self_freezing"],
  groups: ["/sys/fs/cgroup/pids/above/box", "/sys/fs/cgroup/freezer/box"],
  parents: ["/sys/fs/cgroup/pids/above"],
  files: FILES,
  gate: GATE,
  executeMs: 10_000,
  moves: ["state", "start", "delete", "kill"],
};

Deno.test("planMoves() looks, then moves", () => {
  golden("moves.txt", formatPlan(planMoves(REQUEST)));
});

Deno.test("planMoves() leaves moves at once that need more", () => {
  golden("moves_with_hooks.txt", formatPlan(planMoves({ ...REQUEST, moves: ["state", "kill"] })));
});

Deno.test("movesOf() leaves out what takes more than system calls", () => {
  deepEqual(movesOf({ hooks: [] }), ["state", "kill", "start", "delete"]);
  deepEqual(movesOf({ hooks: ["poststop"] }), ["state", "kill"]);
  deepEqual(movesOf({ unit: { name: "box.scope", user: false } }), ["state", "kill", "start"]);
  deepEqual(movesOf({ resctrl: ["/sys/fs/resctrl/box"] }), ["state", "kill", "start"]);
});

Deno.test("the stubs know what else is written down in TypeScript", () => {
  for (const [machine, stub] of Object.entries(STUBS)) {
    const text = String.fromCharCode(...Uint8Array.fromHex(stub));
    // The place of a command is its number: that of EXEC_FLAGGED is no command's.
    const [commands, directories] = machine === "x86_64"
      ? [["run", "exec", "-", "create"], ["/run/ai-sandbox/recreates\0"]]
      : [["run", "exec"], []];
    for (
      const each of [
        "/run/ai-sandbox/containers\0",
        MOVES_FORM,
        `${[...Object.keys(MOVES), ...commands].join("\0")}\0\0`,
        ...directories,
        "/run/ai-sandbox/runs\0",
        `${FILES[0]}\0`,
        `${FILES[2]}\0`,
        `${FILES[4]}\0`,
      ]
    ) {
      ok(text.includes(each), each);
    }
  }
});

/** A container of which nothing but a table is there: its process ended with another boot. */
function stopped(root: string, id = "box"): string {
  const directory = `${root}/${id}`;
  Deno.mkdirSync(directory, { mode: 0o711, recursive: true });
  const arch = Deno.build.arch as MovesRequest["arch"];
  const table = assembleTable(
    planMoves({ ...REQUEST, users: ownUsers(), arch, id, groups: [], parents: [] }),
  );
  Deno.writeFileSync(`${directory}/moves`, table, { mode: 0o600 });
  for (const file of ["record.json", "config.json"]) Deno.writeTextFileSync(`${directory}/${file}`, "");
  return directory;
}

/** Command lines of a container that is there, and what comes of them. */
const LINES: readonly (readonly [args: string, said: "stopped" | "left"])[] = [
  ["--root ROOT state box", "stopped"],
  ["-root ROOT state box", "stopped"],
  ["--root=ROOT --log /dev/null --log-format json state box", "stopped"],
  ["--log=x --log-format=text -root=ROOT state box", "stopped"],
  ["--root /nowhere --root ROOT state box", "stopped"],
  ["--root ROOT --log-format xml state box", "left"],
  ["--root ROOT --log-format=text=x state box", "left"],
  ["--root ROOT --log-form text state box", "left"],
  ["--root ROOT --debug state box", "left"],
  ["--root ROOT --rootless true state box", "left"],
  ["--root ROOT --log= state box", "left"],
  ["--root ROOT --log", "left"],
  ["--root", "left"],
  ["--", "left"],
  ["-", "left"],
  ["", "left"],
  ["--root ROOT state", "left"],
  ["--root ROOT state box box", "left"],
  ["--root ROOT state --help", "left"],
  ["--root ROOT state box --help", "left"],
  ["--root ROOT state .box", "left"],
  ["--root ROOT state ..", "left"],
  ["--root ROOT state ../ROOT/box", "left"],
  ["--root ROOT state box/", "left"],
  ["--root ROOT state bo\u00e9", "left"],
  ["--root ROOT state bo@", "left"],
  ["--root ROOT state other", "left"],
  ["--root ROOT states box", "left"],
  ["--root ROOT stat box", "left"],
  ["--root ROOT state=box box", "left"],
  ["--root ROOT list", "left"],
  ["--root ROOT start box", "left"],
  ["--root ROOT kill box", "left"],
  ["--root ROOT kill box 9", "left"],
  ["--root ROOT delete other", "left"],
  ["--root ROOT delete --force=true other", "left"],
  ["--root ROOT delete --forced other", "left"],
  ["--root ROOT delete --force", "left"],
  ["--root ROOT exec box", "left"],
  ["--root ROOT exec box true", "left"],
  ["--root ROOT exec box --tty true", "left"],
  ["--root ROOT exec --tty box true", "left"],
  ["--root ROOT exec --detach --env A=b box true", "left"],
  ["--root ROOT exec --detach", "left"],
  ["--root ROOT exec --detach=true box true", "left"],
  ["--root ROOT exec --process", "left"],
  ["--systemd-cgroup=true --root ROOT state box", "left"],
  ["state box", "left"],
];

/** What somebody could do to the files, and what then is left to Deno. */
const TAMPERED: Readonly<Record<string, (directory: string, root: string) => void>> = {
  "has no table": (directory) => Deno.removeSync(`${directory}/moves`),
  "can be changed by others": (directory) => Deno.chmodSync(directory, 0o777),
  "can be changed by a group": (directory) => Deno.chmodSync(directory, 0o775),
  "is kept where others can change it": (_, root) => Deno.chmodSync(root, 0o777),
  "has a table that others can write to": (directory) => Deno.chmodSync(`${directory}/moves`, 0o606),
  "has a table of another form": (directory) => change(`${directory}/moves`, 0x1e, 0x39),
  "has an empty table": (directory) => Deno.truncateSync(`${directory}/moves`, 0),
  "has a table that is too short": (directory) => Deno.truncateSync(`${directory}/moves`, 0x20),
  "has a table that is too long": (directory) => Deno.truncateSync(`${directory}/moves`, 2 << 20),
  "has a link for a table": (directory) => {
    Deno.renameSync(`${directory}/moves`, `${directory}/elsewhere`);
    Deno.symlinkSync("elsewhere", `${directory}/moves`);
  },
  "has a directory for a table": (directory) => {
    Deno.removeSync(`${directory}/moves`);
    Deno.mkdirSync(`${directory}/moves`);
  },
  "is a link": (directory) => {
    Deno.renameSync(directory, `${directory}.else`);
    Deno.symlinkSync(`${directory}.else`, directory);
  },
  ...(Deno.uid() === 0 && {
    "is another user's": (directory: string) => Deno.chownSync(directory, 65534, 65534),
    "is kept by another user": (_: string, root: string) => Deno.chownSync(root, 65534, 65534),
    "has another user's table": (directory: string) => Deno.chownSync(`${directory}/moves`, 65534, 65534),
  }),
};

function change(file: string, offset: number, byte: number): void {
  const bytes = Deno.readFileSync(file);
  bytes[offset] = byte;
  Deno.writeFileSync(file, bytes);
}

Deno.test("the stub takes the commands that it knows whole, and leaves all others untouched", () => {
  if (missing) return skip(missing);
  using program = new MovesProgram();
  using home = new Temporary();
  stopped(home.path);
  const descriptors = /^left with \d+/.exec(program.run("nosuch").said)![0];
  for (const [line, said] of LINES) {
    const args = line === "" ? [] : line.replaceAll("ROOT", home.path).split(" ");
    const left = { code: 0, said: [`${descriptors}:`, ...args].join(" ") };
    deepEqual(program.run(...args), said === "left" ? left : { code: 0, said }, line);
  }
  deepEqual(program.run("--root", home.path, "state", ""), {
    code: 0,
    said: `${descriptors}: --root ${home.path} state `,
  });
  equal(program.run("--root", home.path, "delete", "--force", "").said.slice(0, 4), "left");
  for (const flag of ["--force", "-f"]) {
    deepEqual(program.run("--root", home.path, "delete", flag, "other"), { code: 0, said: "" });
    deepEqual(program.run("--root", `${home.path}/other`, "delete", flag, "box"), { code: 0, said: "" });
  }
  deepEqual(program.run("--root", home.path, "delete", "box"), { code: 0, said: "" });
  deepEqual([...Deno.readDirSync(home.path)], []);
});

for (const [what, tamper] of Object.entries(TAMPERED)) {
  Deno.test(`the stub leaves a container that ${what}`, () => {
    if (missing) return skip(missing);
    using program = new MovesProgram();
    using home = new Temporary();
    const directory = stopped(home.path);
    equal(program.run("--root", home.path, "state", "box").said, "stopped");
    tamper(directory, home.path);
    for (const command of ["state", "delete"]) {
      const { code, said } = program.run("--root", home.path, command, "box");
      equal(code, 0);
      match(said, /^left/);
    }
    ok(Deno.statSync(`${directory}/record.json`).isFile);
  });
}

Deno.test("root of another user namespace, who may keep his containers elsewhere, is left to Deno", () => {
  if (missing) return skip(missing);
  const other = (...command: string[]): Deno.CommandOutput =>
    new Deno.Command("unshare", { args: ["--user", "--map-root-user", ...command] }).outputSync();
  if (!other("true").success) return skip("needs user namespaces");
  using program = new MovesProgram();
  using home = new Temporary();
  stopped(home.path);
  for (const command of ["state", "delete"]) {
    const { stdout } = other(program.path, "--root", home.path, command, "box");
    match(new TextDecoder().decode(stdout), /^left/, command);
  }
  equal(program.run("--root", home.path, "state", "box").said, "stopped");
});

containerTest("the stub does what Deno does, and leaves the rest to it", async () => {
  if (missing) return skip(missing);
  using program = new MovesProgram();
  await using containers = new Containers();
  const fast = (...args: string[]): Moved => program.run("--root", containers.root, ...args);
  const left = (...args: string[]): void => match(fast(...args).said, /^left/, args.join(" "));
  const done = (...args: string[]): void => deepEqual(fast(...args), { code: 0, said: "" });
  const same = async (status: string): Promise<void> => {
    const { code, said } = fast("state", BOX);
    equal(JSON.parse(said).status, status);
    deepEqual({ code, stdout: said, stderr: "" }, await containers.run("state", BOX));
  };

  await containers.output("create", BOX);
  await same("created");
  for (const args of [["delete", BOX], ["delete", "--force", BOX], ["kill", BOX, "9"]]) left(...args);
  {
    using _locked = await new Store(containers.root).lock(BOX);
    left("start", BOX);
    await same("created");
  }
  done("start", BOX);
  await same("running");
  for (const args of [["start", BOX], ["delete", BOX], ["delete", "--force", BOX]]) left(...args);
  await containers.output("pause", BOX);
  await same("paused");
  for (const args of [["start", BOX], ["delete", BOX], ["kill", BOX, "KILL"]]) left(...args);
  await containers.output("resume", BOX);
  for (const signal of ["0", "99", "TERMINAL", "SIG", "URG", "-9", "09"]) left("kill", BOX, signal);
  done("kill", BOX, "SIGUSR1"); // a first process without a handler gets none
  done("kill", BOX);
  await same("running");
  done("kill", BOX, "9");
  await containers.until(BOX, "stopped");
  await same("stopped");
  for (const args of [["start", BOX], ["kill", BOX, "9"]]) left(...args);
  const stranger = `${containers.root}/${BOX}/stranger`;
  Deno.writeTextFileSync(stranger, "");
  left("delete", BOX);
  Deno.removeSync(stranger);
  equal((await containers.run("state", BOX)).code, 0);
  left("delete", BOX); // half of it was done, and goes on in Deno
  await containers.output("delete", BOX);
  left("state", BOX);

  await containers.output("create", BOX);
  done("start", BOX);
  done("kill", BOX, "KILL");
  await containers.until(BOX, "stopped");
  done("delete", BOX);
  deepEqual([...Deno.readDirSync(containers.root)], []);
});
