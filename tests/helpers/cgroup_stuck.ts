import { equal, match, ok, rejects } from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { CgroupGroup } from "../../runtime/cgroup/group.ts";
import { LifecycleError } from "../../runtime/errors.ts";
import { ended, HOST, MARK, start, until } from "../unit/runtime/cgroup/groups.ts";
import { skip } from "./skip.ts";

const MOST_MS = 20_000;

/** A file system of its own whose writers wait in the kernel from `freeze` to `thaw`, whatever signal they get. */
class Disk implements Disposable {
  readonly #directory = Deno.makeTempDirSync();
  readonly path = `${this.#directory}/mount`;
  #frozen = false;

  constructor() {
    Deno.mkdirSync(this.path);
    this.#run("dd", "if=/dev/zero", `of=${this.#directory}/image`, "bs=1M", "count=4");
    this.#run("/sbin/mke2fs", "-q", "-t", "ext4", `${this.#directory}/image`);
    this.#run("mount", "-o", "loop", `${this.#directory}/image`, this.path);
  }

  freeze(): void {
    this.#run("fsfreeze", "-f", this.path);
    this.#frozen = true;
  }

  thaw(): void {
    this.#run("fsfreeze", "-u", this.path);
    this.#frozen = false;
  }

  #run(program: string, ...args: string[]): void {
    const { success, stderr } = new Deno.Command(program, { args }).outputSync();
    if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
  }

  [Symbol.dispose](): void {
    if (this.#frozen) this.thaw();
    this.#run("umount", this.path);
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

function disk(): Disk | undefined {
  try {
    return new Disk();
  } catch (error) {
    skip(`needs loop devices: ${error}`);
  }
}

/** Tests of processes that not even SIGKILL ends, on the hierarchies of this machine. */
export function stuckTests(): void {
  Deno.test("who cannot be killed is named after 10 s, in a group that is disposed of and as a sandbox", async () => {
    // Both at once: all that they do is to wait.
    for (const each of await Promise.allSettled([stuckGroup(), stuckSandbox()])) {
      if (each.status === "rejected") throw each.reason;
    }
  });
}

/** Disposing of a group names the process that cannot be killed, and succeeds when it can be. */
async function stuckGroup(): Promise<void> {
  using slow = disk();
  if (!slow) return;
  const group = await CgroupGroup.create(`/${MARK}/stuck`, { pids: { limit: 20 } }, HOST);
  slow.freeze();
  const child = start(group, `echo x >${slow.path}/file`);
  await until("it waits in the kernel", () => group.stuck.length > 0);
  const from = performance.now();
  await rejects(group[Symbol.asyncDispose](), (error: Error) => {
    ok(error instanceof LifecycleError);
    match(
      error.message,
      /^Cannot remove the cgroups [^\n]*: process \d+ \(sh\) waits in the kernel, where/,
    );
    return true;
  });
  ok(performance.now() - from < MOST_MS);
  slow.thaw();
  await group[Symbol.asyncDispose]();
  equal((await ended(child)).code, 137);
}

/** A sandbox that cannot be killed is told of. */
async function stuckSandbox(): Promise<void> {
  using slow = disk();
  if (!slow) return;
  const mounts = [{ destination: "/slow", type: "bind", source: slow.path, options: ["bind", "rw"] }];
  Deno.chmodSync(slow.path, 0o777);
  const command = ["sh", "-c", "echo up; read _; : >/slow/file"];
  const sandbox = await Sandbox.run({ command, mounts, stdin: "piped", pids: 20, policy: "permissive" });
  const output = sandbox.stdout!.getReader();
  await output.read();
  slow.freeze();
  const writer = sandbox.stdin!.getWriter();
  await writer.write(new TextEncoder().encode("\n"));
  const stat = `/proc/${sandbox.pid}/stat`;
  await until("it waits in the kernel", () => /\) D /.test(Deno.readTextFileSync(stat)));
  const from = performance.now();
  sandbox.kill();
  const stuck =
    /^Cannot end sandbox "[^"]+": process \d+ \(sh\) waits in the kernel, where it cannot be killed/;
  await rejects(sandbox.wait(), { name: "LifecycleError", message: stuck });
  await rejects(sandbox[Symbol.asyncDispose](), { name: "LifecycleError", message: stuck });
  ok(performance.now() - from < MOST_MS);
  slow.thaw();
  output.releaseLock();
  const group = CgroupGroup.open(`ai-sandbox-${sandbox.id}`, HOST);
  await group[Symbol.asyncDispose](); // harmless where the guard has done it
  await until("init has gone", () => {
    try {
      return Deno.statSync(stat) === undefined;
    } catch {
      return true;
    }
  });
}
