import { duplicate, type Fd, pipe, socketPair } from "../../ffi/fd.ts";
import { executable } from "../../ffi/memfd.ts";
import { spawn } from "../../ffi/process.ts";
import { FIRST_FREE_FD } from "../plan/protocol.ts";
import { Child, type IdRange } from "./child.ts";
import { type Image, withIds } from "./image.ts";

/** The descriptors a sandbox begins with; they stay the caller's. */
export interface Stdio {
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
}

/** Options of {@linkcode launch}. */
export interface LaunchOptions {
  /** The ids of a sandbox that has a range of the host's; the child gives it back. */
  readonly ids?: IdRange | undefined;
  /** Whether the sandbox has cgroups that the caller makes now, and removes at the end; see {@linkcode Child.admit}. */
  readonly grouped?: boolean;
  /** The start gate, if others are to open it too: a fifo, opened for reading and writing; it stays the caller's. */
  readonly gate?: Fd | undefined;
  /** Descriptors that the program gets, as 3 and so on; they stay the caller's. */
  readonly preserved?: readonly number[] | undefined;
  /** The socket at which init hears of who starts it, if it has hooks to run then; it stays the caller's. */
  readonly starts?: Fd | undefined;
  /** What the launcher gets behind all that; they stay the caller's. */
  readonly beside?: readonly Fd[] | undefined;
  /** Whether somebody else, who inherits init, is to learn of its end. */
  readonly forOthers?: boolean;
}

/**
 * Starts an image. The launcher it becomes clones init as a child of this process and stays as its guard.
 *
 * @throws {SyscallError} if the image cannot be started.
 */
export function launch(
  image: Image,
  { stdin, stdout, stderr }: Stdio,
  { ids, grouped = false, gate, starts, preserved = [], beside = [], forOthers = false }: LaunchOptions = {},
): Child {
  using kept = new DisposableStack();
  using ours = new DisposableStack();
  const elf = ids ? withIds(image, ids.first) : image.elf;
  const file = ours.use(
    above(executable("ai-sandbox", elf), FIRST_FREE_FD + 1 + preserved.length + beside.length),
  );
  // Each in somebody's hands at once: the next call may find no room for a descriptor.
  const [status, other] = socketPair();
  kept.use(status);
  const theirStatus = ours.use(above(other));
  const { read, write } = gate ? { read: gate.duplicate(), write: gate.duplicate() } : pipe();
  kept.use(write);
  const theirGate = ours.use(above(read));
  // Numbers below FIRST_FREE_FD would be overwritten while they are still to be copied.
  const stdio = [stdin, stdout, stderr].map((fd, target) => {
    return fd === target || fd >= FIRST_FREE_FD ? fd : ours.use(duplicate(fd, FIRST_FREE_FD)).raw;
  });
  const fds = [...stdio, theirStatus.raw, theirGate.raw];
  const sixth = ids?.lock ?? starts;
  if (sixth) fds.push(sixth.raw >= fds.length ? sixth.raw : ours.use(sixth.duplicate(FIRST_FREE_FD)).raw);
  for (const fd of [...preserved, ...beside.map(({ raw }) => raw)]) {
    fds.push(fd >= fds.length ? fd : ours.use(duplicate(fd, fds.length)).raw); // not one that is overwritten before
  }
  // Before there is a launcher: who can be heard can be ended.
  const child = new Child(image, { status, gate: write, ids, grouped, forOthers, hears: gate !== undefined });
  kept.defer(() => child.abandon());
  child.launched(spawn(`/proc/self/fd/${file.raw}`, "ai-sandbox", fds));
  kept.move(); // the child owns them now
  return child;
}

/** The descriptor with a number that no descriptor of the launcher has. */
function above(fd: Fd, first: number = FIRST_FREE_FD): Fd {
  if (fd.raw >= first) return fd;
  using low = fd;
  return low.duplicate(first);
}
