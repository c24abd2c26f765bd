import type { Child } from "../launch/child.ts";
import { parseCpuList } from "../plan/cpu_list.ts";

/** Hears how far the start of a program is. */
export type OnStep = (step: string) => void;

/**
 * Tells how far a launch is, in the words of runc for what it does then: the launcher is what its `nsexec` is. Nothing is
 * told before it has happened.
 */
export class Told {
  constructor(readonly onStep: OnStep) {}

  /** The launcher is there. */
  launched({ launcher }: Pick<Child, "launcher">): void {
    this.onStep(`nsexec[${launcher}]: => nsexec container setup`);
  }

  /** All is built, and the process waits at its start gate; `cpus` are those that the launcher took for itself. */
  ready({ launcher, pid }: Pick<Child, "launcher" | "pid">, cpus?: string): void {
    if (cpus) this.onStep(`nsexec[${launcher}]: affinity: ${maskOf(cpus)}`);
    this.onStep(`nsexec[${launcher}]: <= nsexec container setup`);
    this.onStep(`child process in init(), ${pid}`);
  }

  /** A further program of a container is begun. */
  joins(): void {
    this.onStep("setns_init: about to exec");
  }

  /** The process has become the program: the kernel has closed its end of the status socket. */
  executed(filterFlags: number | undefined): void {
    if (filterFlags !== undefined) this.onStep(`seccomp filter flags: ${filterFlags}`);
    this.onStep("init: closing the pipe to signal completion");
  }
}

function maskOf(cpus: string): string {
  return `0x${parseCpuList(cpus).reduce((mask, cpu) => mask | 1n << BigInt(cpu), 0n).toString(16)}`;
}
