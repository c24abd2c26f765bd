import type { Fd } from "../../ffi/fd.ts";
import { readable, writable } from "./streams.ts";
import { resizeTerminal, type TerminalSize } from "./terminal.ts";

/** The terminal of a sandbox, from outside. */
export interface Terminal {
  /** What the program writes to it. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** What the program reads from it, as if it were typed. */
  readonly writable: WritableStream<Uint8Array<ArrayBuffer>>;
  /** Gives it another size; the programs in it get SIGWINCH. */
  resize(size: TerminalSize): void;
}

/** The terminal whose other side is `fd`. `streams` closes it with what is made here; after an error it is the caller's still. */
export function terminalOf(fd: Fd, streams: DisposableStack): Terminal {
  const input = streams.use(fd.duplicate());
  return {
    readable: streams.use(readable(fd)).stream,
    writable: streams.use(writable(input)).stream,
    resize: (size) => {
      const open = [fd, input].find(({ closed }) => !closed);
      if (open) resizeTerminal(open, size);
    },
  };
}
