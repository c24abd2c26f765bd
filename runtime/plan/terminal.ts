import { O } from "./abi.ts";
import type { Context } from "./context.ts";
import { resolveOrCreate } from "./files.ts";
import { attach, cloneMount } from "./mount_ops.ts";
import { flags, named, type Op, op, slot, type Struct } from "./op.ts";
import { MESSAGE, MESSAGE_BYTES, STATUS_FD } from "./protocol.ts";

const TIOCSCTTY = named("TIOCSCTTY", 0x540e);
const TIOCSWINSZ = named("TIOCSWINSZ", 0x5414);
const TIOCSPTLCK = named("TIOCSPTLCK", 0x40045431);
const TIOCGPTPEER = named("TIOCGPTPEER", 0x5441);
const SOL_SOCKET = named("SOL_SOCKET", 1);
const SCM_RIGHTS = named("SCM_RIGHTS", 1);

/**
 * Opens a terminal of the sandbox's own devpts, makes it stdin, stdout, stderr, the controlling terminal and
 * /dev/console, and sends its other side to the supervisor (OCI runtime-linux.md, "Terminal").
 */
export function* terminal(context: Context): Iterable<Op> {
  const { spec, arch } = context;
  const { consoleSize, user } = spec.process ?? {};
  const devpts = (spec.mounts ?? []).findIndex(({ type }) => type === "devpts");
  const does = "open a terminal";
  const how = flags("O_", { RDWR: O.RDWR, NOCTTY: O.NOCTTY, CLOEXEC: O.CLOEXEC });
  // By descriptor where the file system is ours: a path in the rootfs decides nothing (CVE-2025-52565).
  const [from, path] = devpts < 0 ? [slot("root"), "dev/ptmx"] : [slot(`mount:${devpts}`), "ptmx"];
  yield op(does, "openat", [from, path, how, 0], { into: "master" });
  yield op(does, "ioctl", [slot("master"), TIOCSPTLCK, { struct: "int", members: [["lock", 8, 0]] }]);
  yield op(does, "ioctl", [slot("master"), TIOCGPTPEER, how], { into: "terminal" });
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
  if (context.namespace("mount") === "new") {
    yield* resolveOrCreate("find /dev/console", "/dev/console", "console:place", { arch, kind: "file" });
    yield cloneMount("mount the terminal on /dev/console", slot("terminal"), "", false, "console");
    yield attach("mount the terminal on /dev/console", "console", "console:place");
  }
  yield* sendDescriptor("send the terminal to the supervisor", MESSAGE.terminal, "master");
  yield op(does, "close", [slot("master")]);
}

/** Sends the descriptor of slot `fd` over the status socket (unix(7), SCM_RIGHTS). */
function* sendDescriptor(does: string, what: number, fd: string): Iterable<Op> {
  const body: Struct = { struct: "message", members: [["what", 8, what], ["value", 8, 0]] };
  const control: Struct = {
    struct: "cmsghdr",
    members: [["len", 8, 20], ["level", 4, SOL_SOCKET], ["type", 4, SCM_RIGHTS], ["fd", 8, slot(fd)]],
  };
  const iov: Struct = { struct: "iovec", members: [["base", 8, body], ["len", 8, MESSAGE_BYTES]] };
  const header: Struct = {
    struct: "msghdr",
    members: [
      ["name", 8, 0],
      ["namelen", 8, 0],
      ["iov", 8, iov],
      ["iovlen", 8, 1],
      ["control", 8, control],
      ["controllen", 8, 24],
      ["flags", 8, 0],
    ],
  };
  yield op(does, "sendmsg", [STATUS_FD, header, 0]);
}
