import { check } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";

const [TIOCGWINSZ, TIOCSWINSZ] = [0x5413n, 0x5414n];
const TERMIOS_BYTES = 64; // struct termios has 60
const TCSADRAIN = 1;
const [OFLAG_AT, OPOST] = [4, 1]; // c_oflag

/** The size of a terminal in characters. */
export interface TerminalSize {
  /** Lines from top to bottom. */
  readonly rows: number;
  /** Characters in a line. */
  readonly columns: number;
}

/** Whether a descriptor is a terminal. */
export function isTerminal(fd: number): boolean {
  return libc.isatty(fd) === 1;
}

/** The size of the terminal at a descriptor. */
export function terminalSize(fd: number): TerminalSize {
  const size = new Uint16Array(4); // struct winsize: row, col, xpixel, ypixel
  check(libc.ioctl(fd, TIOCGWINSZ, size), "read the size of the terminal");
  return { rows: size[0]!, columns: size[1]! };
}

/** Gives the terminal behind `fd` another size; its programs get SIGWINCH. */
export function resizeTerminal(fd: Fd, { rows, columns }: TerminalSize): void {
  check(
    libc.ioctl(fd.raw, TIOCSWINSZ, new Uint16Array([rows, columns, 0, 0])),
    "set the size of the terminal",
  );
}

/** Hands every key through to the program, Ctrl-C too, until it is disposed of. */
export function rawMode(fd: number): Disposable {
  const before = new Uint8Array(TERMIOS_BYTES);
  check(libc.tcgetattr(fd, before), "read the terminal's settings");
  const raw = before.slice();
  libc.cfmakeraw(raw);
  // What is printed keeps its way: the program's terminal leaves its newlines to this one.
  raw[OFLAG_AT]! |= OPOST;
  check(libc.tcsetattr(fd, TCSADRAIN, raw), "set the terminal's settings");
  return { [Symbol.dispose]: () => void libc.tcsetattr(fd, TCSADRAIN, before) };
}
