import { kill, reap } from "../../ffi/process.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Spec } from "../../runtime/spec/config.ts";
import { RUNTIME } from "./cli.ts";
import { TestBundle } from "./launch_bundle.ts";

/** A name that nobody else on this kernel has: the cgroup of a container is called so. */
export const BOX = `box-${Deno.pid}`;
const TIMEOUT_MS = 60_000;
const SIGKILL = 9;

/** How a command ended and what it said. */
export interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A bundle and a directory of containers, for the commands of a life cycle. What a container inherits are files: a pipe
 * would stay open as long as it runs.
 */
export class Containers implements AsyncDisposable {
  readonly bundle: TestBundle = new TestBundle();
  readonly root: string;
  /** What the commands are begun by. */
  program: readonly string[];
  /** What the bundle runs unless it is written anew. */
  args: readonly string[] = ["/bin/sleep", "300"];
  #runs = 0;

  /** @param id Of the container that is deleted at the end, whatever has failed. */
  constructor(program: readonly string[] = RUNTIME, readonly id: string = BOX) {
    this.program = program;
    this.root = `${this.bundle.path}/containers`;
    this.write(this.args);
  }

  /** Writes config.json: the sandbox that `spec` begins with, with another program. */
  write(args: readonly string[], part: Partial<Spec> = {}): void {
    const spec = starterSpec();
    Deno.writeTextFileSync(
      `${this.bundle.path}/config.json`,
      JSON.stringify({
        ...spec,
        root: { path: "rootfs" },
        process: { ...spec.process, terminal: false, args, env: ["PATH=/bin"], rlimits: [] },
        annotations: { purpose: "test" },
        ...part,
      }),
    );
  }

  /** Starts a command of the runtime. */
  begin(...args: readonly string[]): { readonly child: Deno.ChildProcess; readonly answer: Promise<Answer> } {
    const base = `${this.bundle.path}/said-${this.#runs++}`;
    const files = [`${base}.out`, `${base}.err`] as const;
    const script = 'exec "$@" </dev/null >"$OUT" 2>"$ERR"';
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", script, "sh", ...this.program, "--root", this.root, ...args],
      cwd: this.bundle.path,
      env: { NO_COLOR: "1", OUT: files[0], ERR: files[1] },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    const answer = child.status.then(({ code }) => {
      clearTimeout(timer);
      const [stdout = "", stderr = ""] = files.map((file) => text(file));
      return { code, stdout, stderr };
    });
    return { child, answer };
  }

  /** How many commands were started. */
  get commands(): number {
    return this.#runs;
  }

  /** What a command has said so far, and the container that it has made; commands are counted from 0. */
  said(command: number): Omit<Answer, "code"> {
    const base = `${this.bundle.path}/said-${command}`;
    return { stdout: text(`${base}.out`), stderr: text(`${base}.err`) };
  }

  /** Runs a command of the runtime to its end. */
  run(...args: readonly string[]): Promise<Answer> {
    return this.begin(...args).answer;
  }

  /** Runs a command that must succeed; what it prints. */
  async output(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    if (code !== 0 || stderr !== "") throw new Error(`${args.join(" ")} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** The status of a container. */
  async status(id: string): Promise<string> {
    return JSON.parse(await this.output("state", id)).status;
  }

  /** Waits until a container has a status. */
  async until(id: string, status: string): Promise<void> {
    for (const end = Date.now() + 30_000; await this.status(id) !== status;) {
      if (Date.now() > end) throw new Error(`Container ${id} did not become ${status}`);
    }
  }

  /** What a failed test left must not disturb the next. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.run("delete", "--force", this.id);
    this.bundle[Symbol.dispose]();
  }
}

/** Ends a program that `exec --detach` has left to this process: its container waits for that, too. */
export function endLeft(pid: number): void {
  kill(pid, SIGKILL);
  reap(pid, true);
}

function text(file: string): string {
  try {
    return Deno.readTextFileSync(file);
  } catch {
    return ""; // it was killed before it opened it
  }
}
