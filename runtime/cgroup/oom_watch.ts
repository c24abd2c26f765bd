import { check } from "../../ffi/errno.ts";
import { Fd, open } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { read, write } from "./_tree.ts";
import type { UsedGroup } from "./update.ts";

const [EPOLLIN, EPOLLPRI] = [1, 2];
const [EFD_CLOEXEC, EFD_NONBLOCK] = [0o2000000, 0o4000];
/** More than `memory.events` holds. */
const TEXT_BYTES = 4096;

/** Tells when a group was out of memory. */
export interface OomWatch extends Disposable {
  /** What becomes ready. */
  readonly fd: Fd;
  /** For which events of epoll(7). */
  readonly events: number;
  /** Whether the group was out of memory since the last call; has to be called when `fd` is ready. */
  take(): boolean;
}

/** Watches the memory of a group; nothing if nobody counts it. */
export function watchOom(groups: readonly UsedGroup[]): OomWatch | undefined {
  const memory1 = groups.find(({ version, controllers }) => {
    return version === 1 && controllers.split(",").includes("memory");
  });
  if (memory1) return watch1(memory1.directory);
  const unified = groups.find(({ version }) => version === 2);
  const file = `${unified?.directory}/memory.events`;
  return read(file) === undefined ? undefined : watch2(file);
}

/** By an event descriptor (Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control"). */
function watch1(directory: string): OomWatch {
  const control = `${directory}/memory.oom_control`;
  using stack = new DisposableStack();
  const fd = stack.use(
    new Fd(check(libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make an event descriptor")),
  );
  const file = stack.use(open(control, 0));
  write(`${directory}/cgroup.event_control`, `${fd.raw} ${file.raw}`, "watch the memory of");
  const kept = stack.move();
  return {
    fd,
    events: EPOLLIN,
    take: () => {
      const value = new BigUint64Array(1);
      // The end of the group is told in the same way.
      return libc.read(fd.raw, value, 8n) === 8n && read(control) !== undefined;
    },
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** The file tells of changes by EPOLLPRI until it is read (cgroup-v2.rst, "memory.events"). */
function watch2(path: string): OomWatch {
  const fd = open(path, 0);
  let before = kills(fd);
  return {
    fd,
    events: EPOLLPRI,
    take: () => {
      const [last, now] = [before, kills(fd)];
      before = Math.max(now, last);
      return now > last;
    },
    [Symbol.dispose]: () => fd[Symbol.dispose](),
  };
}

function kills(fd: Fd): number {
  const text = new Uint8Array(TEXT_BYTES);
  const length = Number(libc.pread(fd.raw, text, BigInt(TEXT_BYTES), 0n));
  if (length <= 0) return 0; // the group is gone
  const [, count = "0"] = /^oom_kill (\d+)$/m.exec(new TextDecoder().decode(text.subarray(0, length))) ?? [];
  return Number(count);
}
