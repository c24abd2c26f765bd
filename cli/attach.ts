import { isTerminal, rawMode, type Sandbox, type Terminal, terminalSize } from "../mod.ts";

/** What a person or a supervisor sends us and means for the program. */
const FORWARDED: readonly Deno.Signal[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
];

/** Passes the signals that we get on to the program, until it is disposed of. */
export function forwardSignals(sandbox: Sandbox): Disposable {
  const handlers = FORWARDED.map((signal) => [signal, () => void sandbox.deliver(signal)] as const);
  for (const [signal, handler] of handlers) Deno.addSignalListener(signal, handler);
  return {
    [Symbol.dispose]: () => {
      for (const [signal, handler] of handlers) Deno.removeSignalListener(signal, handler);
    },
  };
}

/** Connects our stdin and stdout with the program's terminal: raw mode, and the size of ours as it changes. */
export function attachTerminal(terminal: Terminal): AsyncDisposable {
  using stack = new DisposableStack();
  if (isTerminal(0)) stack.use(rawMode(0));
  if (isTerminal(1)) {
    const resize = (): void => terminal.resize(terminalSize(1));
    resize();
    Deno.addSignalListener("SIGWINCH", resize);
    stack.defer(() => Deno.removeSignalListener("SIGWINCH", resize));
  }
  // Either side may end first: a closed stdin, or a program that is gone.
  Deno.stdin.readable.pipeTo(terminal.writable).catch(() => {});
  const output = terminal.readable.pipeTo(Deno.stdout.writable, { preventClose: true }).catch(() => {});
  const kept = stack.move();
  return {
    [Symbol.asyncDispose]: async () => {
      await output; // what the program printed last
      kept.dispose();
    },
  };
}
