import { type Fd, open, pipe } from "../../ffi/fd.ts";

/** What one of stdin, stdout and stderr is connected to: ours, a stream of the sandbox object, or nothing. */
export type StdioChoice = "inherit" | "piped" | "null";

/** Our ends of the pipes to a sandbox. */
export interface Ends {
  readonly stdin: Fd | undefined;
  readonly stdout: Fd | undefined;
  readonly stderr: Fd | undefined;
}

/**
 * Connects stream `number` of a sandbox: `fd` is the descriptor that it gets, `end` our end of a pipe. Each is put
 * into the stack of those who close it.
 */
export function connect(
  choice: StdioChoice,
  number: 0 | 1 | 2,
  ours: DisposableStack,
  theirs: DisposableStack,
): { fd: number; end?: Fd } {
  if (choice === "inherit") return { fd: number };
  if (choice === "null") return { fd: theirs.use(open("/dev/null", 2)).raw };
  const { read, write } = pipe();
  const [end, other] = number === 0 ? [write, read] : [read, write];
  ours.use(end);
  return { fd: theirs.use(other).raw, end };
}
