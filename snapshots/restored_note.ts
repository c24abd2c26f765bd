import { compileMoves } from "../runtime/lifecycle/moves.ts";
import { nameProcess } from "../runtime/state/liveness.ts";
import type { Record } from "../runtime/state/record.ts";
import type { Entry } from "../runtime/state/store.ts";

type Known = Omit<Record, "version">;

/** The record of a container that is restored, and what can be done to it without Deno. */
export class RestoredNote {
  readonly #entry: Entry;
  readonly #intended: Known;
  #made:
    | { readonly pid: number; readonly record: Known; readonly moves: ReturnType<typeof compileMoves> }
    | undefined;

  constructor(entry: Entry, intended: Known) {
    this.#entry = entry;
    this.#intended = intended;
  }

  /** Finds out what is to be written, as soon as there is a first process. */
  prepare(pid: number): void {
    if (this.#made?.pid === pid) return;
    const record = { ...this.#intended, phase: "created", init: nameProcess(pid) } as const;
    this.#made = { pid, record, moves: compileMoves(record) };
  }

  /** From now on the container is there. */
  write(pid: number): void {
    this.prepare(pid);
    const { record, moves } = this.#made!;
    this.#entry.write(record);
    if (moves) this.#entry.writeMoves(moves);
  }
}
