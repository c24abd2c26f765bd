import { findCriu } from "../../snapshots/installed.ts";
import type { Process, Spec } from "../../runtime/spec/config.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { type Answer, BOX, Containers } from "./containers.ts";
import { containerTest } from "./container_test.ts";
import { skip } from "./skip.ts";

const WAIT_MS = 60_000;

/** A test that checkpoints containers; it needs a CRIU that works on this kernel. */
export function snapshotTest(name: string, body: () => Promise<void>): void {
  containerTest(name, () => {
    try {
      findCriu();
    } catch (error) {
      skip(`needs CRIU: ${error instanceof Error ? error.message : error}`);
      return Promise.resolve();
    }
    return body();
  });
}

/** A container whose program is the host's, from a mounted `/usr`, and says a line of JSON about itself at a time. */
export class SnapshotBox implements AsyncDisposable {
  readonly containers: Containers = new Containers();
  readonly images: string = `${this.containers.bundle.path}/images`;

  constructor() {
    const { rootfs } = this.containers.bundle;
    Deno.removeSync(`${rootfs}/bin`, { recursive: true });
    for (const name of ["bin", "sbin", "lib", "lib64"]) Deno.symlinkSync(`usr/${name}`, `${rootfs}/${name}`);
    this.containers.bundle.directory("usr");
  }

  /** Writes config.json, which lets a program of the host run. */
  write(args: readonly string[], part: Partial<Spec> = {}, process: Partial<Process> = {}): void {
    const spec = starterSpec();
    const usr = { destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro", "nosuid"] };
    const tmp = {
      destination: "/tmp",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "nodev", "size=8m"],
    };
    this.containers.write(args, {
      root: { path: "rootfs", readonly: false },
      mounts: [...spec.mounts ?? [], usr, tmp],
      process: {
        ...spec.process!,
        terminal: false,
        args,
        env: ["PATH=/usr/bin:/bin", "HOME=/tmp", "KEPT=yes"],
        rlimits: [],
        ...process,
      },
      ...part,
    });
  }

  /** Starts the container; the number of the command whose stdout it writes to. */
  async start(): Promise<number> {
    await this.containers.output("run", "--detach", BOX);
    return this.containers.commands - 1;
  }

  /** Checkpoints it; it must succeed. */
  async checkpoint(...flags: readonly string[]): Promise<void> {
    const { code, stderr } = await this.tryCheckpoint(...flags);
    if (code !== 0 || stderr !== "") throw new Error(`checkpoint ended with ${code}: ${stderr}`);
  }

  /** Tries to checkpoint it. */
  tryCheckpoint(...flags: readonly string[]): Promise<Answer> {
    return this.containers.run("checkpoint", "--image-path", this.images, ...flags, BOX);
  }

  /** Restores it; the number of the command whose stdout it writes to. */
  async restore(...flags: readonly string[]): Promise<number> {
    const { code, stderr } = await this.tryRestore(...flags);
    if (code !== 0 || stderr !== "") throw new Error(`restore ended with ${code}: ${stderr}`);
    return this.containers.commands - 1;
  }

  /** Tries to restore it. */
  tryRestore(...flags: readonly string[]): Promise<Answer> {
    return this.containers.run("restore", "--detach", "--image-path", this.images, ...flags, BOX);
  }

  /** The lines that it has written to the stdout of a command. */
  lines<Line = Record<string, unknown>>(command: number): Line[] {
    const { stdout } = this.containers.said(command);
    return stdout.slice(0, stdout.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Line);
  }

  /** Waits until there are at least so many of them. */
  async atLeast<Line = Record<string, unknown>>(count: number, command: number): Promise<Line[]> {
    for (const end = Date.now() + WAIT_MS;;) {
      const lines = this.lines<Line>(command);
      if (lines.length >= count) return lines;
      if (Date.now() > end) {
        const { stdout, stderr } = this.containers.said(command);
        throw new Error(`There are only ${lines.length} lines: ${stdout.slice(-500)} ${stderr.slice(-1500)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** What a test left must not disturb the next. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.containers[Symbol.asyncDispose]();
  }
}
