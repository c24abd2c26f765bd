import { O } from "./abi.ts";
import type { Context } from "./context.ts";
import { resolveOrCreate } from "./files.ts";
import { RESOLVE } from "./kernel.ts";
import { attach, cloneMount } from "./mount_ops.ts";
import { flags, named, type Op, op, slot, type Struct } from "./op.ts";
import { sendDescriptor } from "./message.ts";
import { MESSAGE } from "./protocol.ts";

const TCSETS = named("TCSETS", 0x5402);
const TIOCSCTTY = named("TIOCSCTTY", 0x540e);
const TIOCSWINSZ = named("TIOCSWINSZ", 0x5414);
const TIOCSPTLCK = named("TIOCSPTLCK", 0x40045431);
const TIOCGPTPEER = named("TIOCGPTPEER", 0x5441);

/**
 * Opens a terminal of the sandbox's own devpts, makes it stdin, stdout, stderr, the controlling terminal and
 * /dev/console, and sends its other side to the supervisor (OCI runtime-linux.md, "Terminal").
 */
export function* terminal(context: Context): Iterable<Op> {
  const { spec, arch } = context;
  const devpts = (spec.mounts ?? []).findIndex(({ type }) => type === "devpts");
  // By descriptor where the file system is ours: a path in the rootfs decides nothing (CVE-2025-52565).
  const [from, path] = devpts < 0 ? [slot("root"), "dev/ptmx"] : [slot(`mount:${devpts}`), "ptmx"];
  yield op(OPEN, "openat", [from, path, RDWR, 0], { into: "master" });
  yield* useTerminal(context);
  if (context.namespace("mount") === "new") {
    yield* resolveOrCreate("find /dev/console", "/dev/console", "console:place", { arch, kind: "file" });
    yield cloneMount("mount the terminal on /dev/console", slot("terminal"), "", false, "console");
    yield attach("mount the terminal on /dev/console", "console", "console:place");
  }
  yield* sendTerminal();
}

/** The same for a program that joins the sandbox; /dev/console stays init's. Slot `root` is the sandbox's root. */
export function* joinTerminal(context: Context): Iterable<Op> {
  const how: Struct = {
    struct: "open_how",
    members: [
      ["flags", 8, RDWR],
      ["mode", 8, 0],
      ["resolve", 8, flags("RESOLVE_", { IN_ROOT: RESOLVE.IN_ROOT, NO_MAGICLINKS: RESOLVE.NO_MAGICLINKS })],
    ],
  };
  // Whatever lies there now: nothing but the kernel's own takes what is asked of it next.
  yield op(OPEN, "openat2", [slot("root"), "dev/ptmx", how, 24], { into: "master" });
  yield* useTerminal(context);
  yield* sendTerminal();
}

const OPEN = "open a terminal";
const RDWR = flags("O_", { RDWR: O.RDWR, NOCTTY: O.NOCTTY, CLOEXEC: O.CLOEXEC });

/** What a new terminal has, but for ONLCR: nobody has changed it yet. */
const PLAIN: Struct = {
  struct: "termios",
  members: [
    ["c_iflag", 4, named("ICRNL|IXON", 0x500)],
    ["c_oflag", 4, named("OPOST", 1)],
    ["c_cflag", 4, named("B38400|CS8|CREAD", 0xbf)],
    ["c_lflag", 4, named("ISIG|ICANON|ECHO|ECHOE|ECHOK|ECHOCTL|ECHOKE|IEXTEN", 0x8a3b)],
    ["c_line", 1, 0],
    ...[3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0xf, 0x17, 0x16, 0, 0, 0].map((
      key,
      index,
    ) => [`c_cc[${index}]`, 1, key] as const),
  ],
};

/** Makes the other side of the terminal in slot `master` stdin, stdout, stderr and the controlling terminal. */
export function* useTerminal({ spec, plainNewlines }: Context): Iterable<Op> {
  const { consoleSize, user } = spec.process ?? {};
  const does = OPEN;
  yield op(does, "ioctl", [slot("master"), TIOCSPTLCK, { struct: "int", members: [["lock", 8, 0]] }]);
  yield op(does, "ioctl", [slot("master"), TIOCGPTPEER, RDWR], { into: "terminal" });
  if (plainNewlines) yield op(does, "ioctl", [slot("terminal"), TCSETS, PLAIN]);
  if (consoleSize) {
    const { height, width } = consoleSize;
    const size: Struct = {
      struct: "winsize",
      members: [["row", 2, Number(height)], ["col", 2, Number(width)], ["xpixel", 2, 0], ["ypixel", 2, 0]],
    };
    yield op("set the size of the terminal", "ioctl", [slot("master"), TIOCSWINSZ, size]);
  }
  if (user && user.uid !== 0) {
    const keep = named("-1", 0xffffffff);
    yield op("give the terminal to the user", "fchownat", [
      slot("terminal"),
      "",
      user.uid,
      keep,
      named("AT_EMPTY_PATH", 0x1000),
    ]);
  }
  for (const fd of [0, 1, 2]) yield op("use the terminal", "dup3", [slot("terminal"), fd, 0]);
  yield op("control the terminal", "ioctl", [0, TIOCSCTTY, 0]);
}

/** Sends the terminal to the supervisor, who alone has it from here on. */
export function* sendTerminal(): Iterable<Op> {
  yield sendDescriptor("send the terminal to the supervisor", MESSAGE.terminal, 0, "master");
  yield op(OPEN, "close", [slot("master")]);
}
