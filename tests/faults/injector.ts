import { fromFileUrl } from "@std/path";

/** What is done at a call: a process is killed just before it, or it fails. */
export const FAULTS = ["kill-self", "kill-command", "ENOSPC", "ENOMEM", "EPERM", "EMFILE"] as const;
/** One of {@linkcode FAULTS}. */
export type Fault = typeof FAULTS[number];

const ERRNO: Readonly<Record<string, number>> = { EPERM: 1, ENOMEM: 12, EMFILE: 24, ENOSPC: 28 };

/** One call of a command, or of a process that it has started. */
export interface Call {
  /** 0 is the command, 1 its first child, and so on in the order of their birth. */
  readonly process: number;
  /** Counted from 1 in each process. */
  readonly number: number;
  readonly name: string;
  /** What it was about: a path, a descriptor. */
  readonly detail: string;
}

/** A call and what is done at it. */
export interface Point {
  readonly process: number;
  readonly number: number;
  readonly fault: Fault;
}

/** A call of which one byte less is written than was to be, or that waits until a shell script has ended. */
export interface Turn {
  readonly call: Pick<Call, "process" | "number">;
  readonly does: "less" | { readonly meanwhile: string };
}

/** Compiles the injector into a directory; the path of the program. */
export function buildInjector(directory: string): string {
  const program = `${directory}/inject`;
  const source = fromFileUrl(import.meta.resolve("./inject.c"));
  const args = ["-O1", "-Wall", "-Wextra", "-o", program, source];
  const { success, stderr } = new Deno.Command("gcc", { args, stdout: "null", stderr: "piped" }).outputSync();
  if (!success) throw new Error(`Cannot compile the injector: ${new TextDecoder().decode(stderr)}`);
  return program;
}

/** The command line that runs another one with a fault; without a point it only counts. */
export function injected(
  program: string,
  { from, log, limitS, point, turn, attach }: {
    /** Counting begins with the first path that contains this. */
    readonly from: string;
    readonly log: string;
    readonly limitS: number;
    readonly point?: Point | undefined;
    /** Instead of a point. */
    readonly turn?: Turn | undefined;
    /** A process that is followed beside the command. */
    readonly attach?: number | undefined;
  },
): string[] {
  const beside = attach === undefined ? [] : ["--attach", String(attach)];
  const fixed = [program, "--from", from, "--log", log, "--limit", String(limitS), ...beside];
  if (turn) {
    const { call: { process, number }, does } = turn;
    const what = does === "less" ? ["--less", "1"] : ["--meanwhile", does.meanwhile];
    return [...fixed, "--at", `${process}:${number}`, ...what, "--"];
  }
  if (!point) return [...fixed, "--"];
  const { process, number, fault } = point;
  const what = fault.startsWith("kill-")
    ? ["--kill", fault.slice("kill-".length)]
    : ["--errno", String(ERRNO[fault])];
  return [...fixed, "--at", `${process}:${number}`, ...what, "--"];
}

/** The calls of a log, and the one that was hit. */
export function readLog(file: string): { readonly calls: readonly Call[]; readonly hit?: Call } {
  const calls: Call[] = [];
  let hit: Call | undefined;
  for (const line of Deno.readTextFileSync(file).split("\n")) {
    const [, mark, process, number, name = "", detail = ""] = /^(hit )?(\d+) (\d+) (\w+) (.*)$/.exec(line) ??
      [];
    if (process === undefined) continue;
    const call = { process: Number(process), number: Number(number), name, detail };
    calls.push(call);
    if (mark) hit = call;
  }
  return hit ? { calls, hit } : { calls };
}

/** What can be done at these calls; killing the command and killing who calls are the same in the command itself. */
export function pointsAt(calls: readonly Call[]): Point[] {
  return calls.flatMap(({ process, number }) => {
    return FAULTS.filter((fault) => process > 0 || fault !== "kill-command").map((fault) => {
      return { process, number, fault };
    });
  });
}

/** A point as text, such as `2:14/ENOMEM`. */
export function nameOf({ process, number, fault }: Point): string {
  return `${process}:${number}/${fault}`;
}
