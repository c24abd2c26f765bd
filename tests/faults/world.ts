import { isThere } from "../../ffi/look.ts";
import { libc } from "../../ffi/libc.ts";
import { reap } from "../../ffi/process.ts";
import { HOOKS } from "../../runtime/spec/words.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";
import { descriptors } from "../helpers/census.ts";
import { list, read } from "../helpers/gone.ts";
import { buildInjector, type Call, type Fault, injected, type Point, readLog } from "./injector.ts";

const PR_SET_CHILD_SUBREAPER = 36;
/** How long a command may take with a fault, and any other. */
const [LIMIT_S, TIMEOUT_MS] = [90, 120_000];
/** How long what is on its way out may take. */
const WAIT_MS = 20_000;
/** How often orphans that have ended are waited for. */
const REAP_MS = 20;
/** What the runtime keeps for later commands. */
export const CACHE = "/run/ai-sandbox";

/** What containers are made from: `hooks` has one of each kind, `terminal` a program with a terminal; `usual` leaves the cgroup to us. */
export type Kind = "plain" | "hooks" | "terminal" | "usual";

/** Keeps the latest terminal that was sent to a socket, and writes what comes out of it to a file. */
const ENGINE = `
import os, socket, sys, threading
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
def follow(fd):
    try:
        while True:
            said = os.read(fd, 100)
            if not said: break
            with open(sys.argv[2], "ab") as file: file.write(said)
    except OSError: pass
    os.close(fd)
while True:
    connection = server.accept()[0]
    name, fds, *_ = socket.recv_fds(connection, 100, 1)
    connection.close()
    for fd in fds: threading.Thread(target=follow, args=[fd], daemon=True).start()
`;

function engine(path: string, said: string): Deno.ChildProcess {
  const args = ["-c", ENGINE, path, said];
  const child = new Deno.Command("python3", { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
  child.unref();
  for (let tries = 0; tries < 500 && !isThere(path); tries++) sleepMs(10);
  return child;
}

/** How a command ended and what it said. */
export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command ended that a fault was made for. */
export interface Injected extends Said {
  /** The command with its arguments. */
  readonly args: readonly string[];
  readonly calls: readonly Call[];
  readonly hit?: Call | undefined;
  /** What was to be done. */
  readonly fault?: Fault | undefined;
}

/**
 * A bundle, a directory of containers, and one container after the other in it. All that the commands leave is found:
 * orphans become children of this process. It must have a mount namespace of its own, and run one thing at a time.
 */
export class World implements Disposable {
  readonly id: string = `faults-${Deno.pid}`;
  readonly bundle: TestBundle = new TestBundle();
  readonly root: string;
  readonly pidFile: string;
  /** The socket that takes terminals of containers of the kind `terminal`. */
  readonly console: string;
  readonly #consoleSaid: string;
  #engine: Deno.ChildProcess | undefined;
  readonly #program: readonly string[];
  readonly #injector: string;
  readonly #temporary: string;
  #runs = 0;
  #before: readonly string[] = [];

  constructor(program: readonly string[]) {
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n);
    this.#program = program;
    this.root = `${this.bundle.path}/containers`;
    this.pidFile = `${this.bundle.path}/pid`;
    this.#temporary = `${this.bundle.path}/tmp`;
    Deno.mkdirSync(this.#temporary);
    Deno.mkdirSync(this.root, { mode: 0o700 });
    this.#injector = buildInjector(this.bundle.path);
    this.console = `${this.bundle.path}/console`;
    this.#consoleSaid = `${this.bundle.path}/console.out`;
    this.become("plain");
  }

  /** Makes the bundle another one for the next containers. */
  become(kind: Kind): void {
    const spec = starterSpec();
    const args = ["/bin/sh", "-c", "echo ran; exec sleep 300"];
    // runc never removes groups above its own.
    const below = this.#program[0]?.endsWith("runc") ? "" : `/${this.id}-above`;
    if (kind === "terminal") this.#engine ??= engine(this.console, this.#consoleSaid);
    const config = JSON.stringify({
      ...spec,
      root: { path: "rootfs", readonly: true },
      process: { ...spec.process, terminal: kind === "terminal", args, env: ["PATH=/bin"], rlimits: [] },
      ...(kind === "hooks" &&
        { hooks: Object.fromEntries(HOOKS.map((each) => [each, [{ path: "/bin/true" }]])) }),
      linux: {
        ...spec.linux,
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names: ["add_key"], action: "SCMP_ACT_ERRNO" }],
        },
        ...(kind !== "usual" && { cgroupsPath: `${below}/${this.id}` }),
        resources: { memory: { limit: 64 << 20 }, pids: { limit: 20 }, cpu: { shares: 512 } },
      },
    });
    const file = `${this.bundle.path}/config.json`;
    if (read(file) !== config) Deno.writeTextFileSync(file, config); // what is kept goes by the file
  }

  /** What there is now is there before everything: only what comes later is left over. */
  settle(): void {
    this.#before = this.#census();
  }

  /** Runs a command of the runtime to its end. */
  async run(...args: readonly string[]): Promise<Said> {
    return await this.#run([], args);
  }

  /**
   * Runs a command with a fault; without a point it only counts its calls.
   *
   * @param attach A process that was there before: its calls count too, as those of the process after the command.
   */
  async inject(
    point: Point | undefined,
    args: readonly string[],
    attach: number | undefined = undefined,
  ): Promise<Injected> {
    const log = `${this.bundle.path}/log`;
    const before = injected(this.#injector, { from: this.bundle.path, log, limitS: LIMIT_S, point, attach });
    return { args, fault: point?.fault, ...await this.#run(before, args), ...readLog(log) };
  }

  async #run(before: readonly string[], args: readonly string[]): Promise<Said> {
    const base = `${this.bundle.path}/said-${this.#runs++}`;
    const [out, err] = [`${base}.out`, `${base}.err`];
    const child = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        'exec "$@" </dev/null >"$OUT" 2>"$ERR"',
        "sh",
        ...before,
        ...this.#program,
        "--root",
        this.root,
        ...args,
      ],
      cwd: this.bundle.path,
      env: { NO_COLOR: "1", OUT: out, ERR: err, TMPDIR: this.#temporary },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    // A pid namespace lives until all who joined it are waited for: by their parent, which may have left them to us.
    const orphans = setInterval(() => reapAllBut(child.pid), REAP_MS);
    const { code } = await child.status;
    clearInterval(orphans);
    clearTimeout(timer);
    return { code, stdout: Deno.readTextFileSync(out), stderr: Deno.readTextFileSync(err) };
  }

  /** The state of the container; nothing if there is none. */
  async state(): Promise<{ readonly status: string; readonly pid: number } | undefined> {
    const { code, stdout, stderr } = await this.run("state", this.id);
    if (code === 0) return JSON.parse(stdout);
    if (/does not exist/.test(stderr)) return undefined;
    throw new Error(`state ended with ${code}: ${stderr.trim()}`);
  }

  /** Whether the program of the latest containers has said that it runs. */
  get hasRun(): boolean {
    if (this.#engine && read(this.#consoleSaid).includes("ran")) return true;
    for (let run = this.#runs - 1; run >= 0; run--) {
      try {
        if (Deno.readTextFileSync(`${this.bundle.path}/said-${run}.out`).includes("ran")) return true;
      } catch {
        return false;
      }
    }
    return false;
  }

  /** Forgets what commands have said. */
  forget(): void {
    for (let run = 0; run < this.#runs; run++) {
      for (const end of ["out", "err"]) Deno.removeSync(`${this.bundle.path}/said-${run}.${end}`);
    }
    this.#runs = 0;
    if (this.#engine) Deno.writeTextFileSync(this.#consoleSaid, "");
    try {
      Deno.removeSync(this.pidFile);
    } catch {
      // Nobody has written it.
    }
  }

  /** Removes what the runtime keeps for later commands. */
  forgetKept(): void {
    for (const { name } of list(CACHE)) Deno.removeSync(`${CACHE}/${name}`, { recursive: true });
  }

  /** What the commands have left; what is on its way out is given some time. */
  async left(): Promise<string[]> {
    for (const end = performance.now() + WAIT_MS;;) {
      const left = this.#census().filter((one) => !this.#before.includes(one));
      if (left.length === 0 || performance.now() > end) return left.map(withMembers);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Removes by hand what is left, so that the next point begins with nothing. */
  clear(): void {
    for (const pid of descendants()) {
      if (pid === this.#engine?.pid) continue;
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has just ended.
      }
    }
    const most = this.#engine ? 1 : 0;
    for (let tries = 0; tries < 200 && descendants().length > most; tries++) sleepMs(10);
    for (const group of this.#groups().toReversed()) {
      thaw(group);
      for (let tries = 0; tries < 50; tries++) {
        try {
          Deno.removeSync(group);
          break;
        } catch {
          sleepMs(10);
        }
      }
    }
    for (const directory of [this.root, this.#temporary]) {
      for (const { name } of list(directory)) Deno.removeSync(`${directory}/${name}`, { recursive: true });
    }
  }

  #census(): string[] {
    return [
      ...descendants().filter((pid) => pid !== this.#engine?.pid).map((pid) =>
        `process ${pid} (${nameOf(pid)})`
      ),
      ...descriptors().filter((one) => !one.includes("anon_inode") && !one.includes("pipe:")),
      ...Deno.readTextFileSync("/proc/self/mountinfo").trim().split("\n").map((line) => `mount ${line}`),
      ...this.#groups().map((path) => `cgroup ${path}`),
      ...[this.root, this.#temporary, this.bundle.rootfs].flatMap(files),
      ...files(CACHE).filter((path) => /\.[^/]*$/.test(path)), // temporary ones; the others are kept on purpose
    ];
  }

  #groups(): string[] {
    const args = ["/sys/fs/cgroup", "-type", "d", "-path", `*${this.id}*`];
    const { stdout } = new Deno.Command("find", { args, stderr: "null" }).outputSync();
    return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "");
  }

  [Symbol.dispose](): void {
    this.clear();
    this.#engine?.kill("SIGKILL");
    if (this.#engine) reap(this.#engine.pid, true);
    this.bundle[Symbol.dispose]();
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0n, 0n, 0n, 0n);
  }
}

/** What is left, and for a cgroup who is in it. */
function withMembers(one: string): string {
  const group = /^cgroup (.*)$/.exec(one)?.[1];
  if (group === undefined) return one;
  const [pids, events, stat] = ["procs", "events", "stat"].map((file) => words(`${group}/cgroup.${file}`));
  const members = pids!.map((pid) => `${pid} ${nameOf(Number(pid))}`);
  return `${one} with ${members.join(", ") || "nobody"}; ${[...events!, ...stat!].join(" ")}`;
}

function words(path: string): string[] {
  return read(path).split(/\s+/).filter((word) => word !== "");
}

/** Children of this process, theirs and so on; those that have ended are taken on the way. */
function descendants(parent = Deno.pid): number[] {
  const pids = list(`/proc/${parent}/task`).flatMap(({ name }) => {
    return read(`/proc/${parent}/task/${name}/children`).split(" ").filter((word) => word !== "").map(Number);
  });
  return pids.flatMap((pid) => {
    const state = /^State:\s*(\w)/m.exec(read(`/proc/${pid}/status`))?.[1];
    if (state === undefined) return [];
    if (parent === Deno.pid && state === "Z") {
      reap(pid, false);
      return descendants(pid);
    }
    return [pid, ...descendants(pid)];
  });
}

function reapAllBut(own: number): void {
  for (const { name } of list("/proc/self/task")) {
    for (
      const pid of read(`/proc/self/task/${name}/children`).split(" ").filter((word) => word !== "").map(
        Number,
      )
    ) {
      if (pid !== own && /^State:\s*Z/m.test(read(`/proc/${pid}/status`))) reap(pid, false);
    }
  }
}

function nameOf(pid: number): string {
  return read(`/proc/${pid}/comm`).trim();
}

function thaw(group: string): void {
  for (const [file, text] of [["freezer.state", "THAWED"], ["cgroup.freeze", "0"]]) {
    try {
      Deno.writeTextFileSync(`${group}/${file}`, text!, { create: false });
    } catch {
      // Not every group has it.
    }
  }
}

function files(directory: string): string[] {
  return list(directory).flatMap(({ name, isDirectory }) => {
    const path = `${directory}/${name}`;
    return [`file ${path}`, ...(isDirectory ? files(path) : [])];
  });
}

function sleepMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
