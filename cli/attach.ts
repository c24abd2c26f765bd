import {
  type AdoptedContainer,
  type AdoptedSandbox,
  type Execution,
  FORWARDED,
  isTerminal,
  rawMode,
  type Sandbox,
  type Terminal,
  terminalSize,
} from "../mod.ts";

/** What is sent signals. */
type Program = Pick<Sandbox | AdoptedSandbox | AdoptedContainer, "deliver"> | Pick<Execution, "kill">;

/** Passes the signals that we get on to the program, as soon as there is one, until it is disposed of. */
export function forwardSignals(starting: Promise<Program>): Disposable {
  const pass = (program: Program, signal: Deno.Signal): boolean => {
    // Only the first program of a sandbox is spared by the kernel.
    return "deliver" in program ? program.deliver(signal) : program.kill(signal);
  };
  return onSignals((signal) => void starting.then((program) => pass(program, signal)).catch(() => {}));
}

/** Hears of such signals until it is disposed of. */
export function onSignals(pass: (signal: Deno.Signal) => void): Disposable {
  const handlers = FORWARDED.map((signal) => [signal, () => pass(signal)] as const);
  for (const [signal, handler] of handlers) Deno.addSignalListener(signal, handler);
  return {
    [Symbol.dispose]: () => {
      for (const [signal, handler] of handlers) Deno.removeSignalListener(signal, handler);
    },
  };
}

/** What a terminal is connected with; our stdin and stdout if nothing else is named. */
export interface Ends {
  readonly input?: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly output?: WritableStream<Uint8Array<ArrayBuffer>>;
}

/**
 * Connects our stdin and stdout with the program's terminal: raw mode, and the size of ours as it changes. `hangUp` is
 * called when nobody reads the output any more.
 */
export function attachTerminal(
  terminal: Terminal,
  hangUp: () => void,
  { input = Deno.stdin.readable, output = Deno.stdout.writable }: Ends = {},
): AsyncDisposable {
  using stack = new DisposableStack();
  if (isTerminal(0)) stack.use(rawMode(0));
  if (isTerminal(1)) {
    const resize = (): void => terminal.resize(terminalSize(1));
    Deno.addSignalListener("SIGWINCH", resize);
    resize();
    stack.defer(() => Deno.removeSignalListener("SIGWINCH", resize));
  }
  void passInput(input, terminal.writable).catch(() => {}); // either side may end first
  const shown = terminal.readable.pipeTo(output, { preventClose: true }).catch(hangUp);
  const kept = stack.move();
  return {
    [Symbol.asyncDispose]: async () => {
      await shown; // what the program printed last
      kept.dispose();
    },
  };
}

/** The end of our input becomes the key that ends input on a terminal, which itself stays open. */
async function passInput(from: NonNullable<Ends["input"]>, to: Terminal["writable"]): Promise<void> {
  const END_OF_INPUT = 4; // Ctrl-D
  await from.pipeTo(to, { preventClose: true });
  const writer = to.getWriter();
  await writer.write(new Uint8Array([END_OF_INPUT]));
  writer.releaseLock();
}
