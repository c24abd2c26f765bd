import { read } from "./_tree.ts";

/** How long tasks of a group waited for something, since its beginning. */
export interface Stall {
  /** At least one of them waited. */
  readonly someMs: number;
  /** All of them waited, so that nothing was done. */
  readonly fullMs: number;
}

/** What tasks of a group waited for (Documentation/accounting/psi.rst). */
export interface Pressure {
  readonly cpu: Stall;
  readonly memory: Stall;
  readonly io: Stall;
}

/** Reads the pressure on a group of version 2; nothing where the kernel does not measure it. */
export function readPressure(directory: string): Pressure | undefined {
  const [cpu, memory, io] = ["cpu", "memory", "io"].map((kind) => stall(`${directory}/${kind}.pressure`));
  return cpu && memory && io && { cpu, memory, io };
}

function stall(path: string): Stall | undefined {
  const text = read(path);
  if (text === undefined) return undefined;
  const ms = (kind: string): number => {
    const [, us = 0] = new RegExp(`^${kind} .*total=(\\d+)$`, "m").exec(text) ?? [];
    return Number(us) / 1000;
  };
  return { someMs: ms("some"), fullMs: ms("full") };
}
