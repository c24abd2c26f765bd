import { BOX } from "./containers.ts";
import { SnapshotBox } from "./snapshot_box.ts";

const WAIT_MS = 60_000;

/** A container that forks are made of, and the forks: what they print, and their end. */
export class ForkBox extends SnapshotBox {
  /** Where forks write. */
  readonly output: string = `${this.containers.bundle.path}/output`;

  /** The ids of all containers but the first. */
  get forks(): string[] {
    return Array.from(Deno.readDirSync(this.containers.root), ({ name }) => name).filter((id) => id !== BOX)
      .sort();
  }

  /** Makes forks; the ids that the command prints. It must succeed. */
  async fork(source: string, ...flags: readonly string[]): Promise<string[]> {
    const printed = await this.containers.output("fork", "--output", this.output, ...flags, source);
    return printed.split("\n").filter((id) => id !== "");
  }

  /** Waits until a fork has written so many lines of JSON. */
  async linesOf<Line>(id: string, count = 3): Promise<Line[]> {
    for (const end = Date.now() + WAIT_MS;;) {
      const text = Deno.readTextFileSync(`${this.output}/${id}.out`);
      const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "");
      if (lines.length >= count) return lines.map((line) => JSON.parse(line) as Line);
      if (Date.now() > end) {
        const errors = Deno.readTextFileSync(`${this.output}/${id}.err`);
        throw new Error(`Fork ${id} has written only ${lines.length} lines: ${text} ${errors}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    try {
      for (const id of this.forks) await this.containers.run("delete", "--force", id);
    } finally {
      await super[Symbol.asyncDispose]();
    }
  }
}
