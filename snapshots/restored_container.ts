import type { Fd } from "../ffi/fd.ts";
import { reap } from "../ffi/process.ts";
import { EPOLLIN, reactor } from "../runtime/launch/reactor.ts";
import type { Terminal } from "../runtime/supervise/terminal_streams.ts";

/** From all of it over its files and its environment to nothing. */
export const RUNGS: readonly Rung[] = ["full", "light", "cold"];
/** How much of a checkpoint is there again. */
export type Rung = "full" | "light" | "cold";

/** A container that runs again. */
export interface RestoredContainer {
  /** Its first process. */
  readonly pid: number;
  /** Its terminal, if it has one that went to no socket. */
  readonly terminal?: Terminal;
  /** How much of it is as it was. */
  readonly rung: Rung;
  /** Why it is not more, one for each rung above: only where the caller has asked for less. */
  readonly fallen: readonly { readonly rung: Rung; readonly error: Error }[];
  /** Resolves with the exit code of its first process, a child of this one: 128 + n if signal n has ended it. */
  wait(): Promise<number>;
}

/** A container by its first process; `streams` are its terminal's. */
export function restored(
  { pid, process, rung }: { readonly pid: number; readonly process: Fd; readonly rung: Rung },
  { terminal, streams }: { readonly terminal: Terminal | undefined; readonly streams: DisposableStack },
): RestoredContainer {
  const wait = (): Promise<number> => end(pid, process, streams);
  return { pid, ...(terminal && { terminal }), rung, fallen: [], wait };
}

async function end(pid: number, process: Fd, streams: DisposableStack): Promise<number> {
  await reactor.ready(process, EPOLLIN);
  process[Symbol.dispose]();
  const { code, signal = 0 } = reap(pid, true) ?? { code: 0 };
  streams.dispose();
  return code ?? 128 + signal;
}
