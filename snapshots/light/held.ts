import { duplicate, type Fd, open, pipe } from "../../ffi/fd.ts";
import { executable } from "../../ffi/memfd.ts";
import { reap, spawn } from "../../ffi/process.ts";
import { UnsupportedError } from "../../runtime/errors.ts";
import { assemble } from "../../runtime/launch/image.ts";
import { groupOf, type Known } from "../../runtime/lifecycle/container.ts";
import { type Arch, O } from "../../runtime/plan/abi.ts";
import { AT_FDCWD, CLOSE_RANGE_CLOEXEC } from "../../runtime/plan/kernel.ts";
import { flags, named, type Op, op, slot, text, zeros } from "../../runtime/plan/op.ts";

const O_RDWR = 2;
/** Above all numbers that the process is to find its descriptors at. */
const FREE_FD = 64;
const PIPE_FD = 3;

/** What lets a group go on: a file and what is written to it. */
type Thawing = readonly [file: string, text: string];

/**
 * Holds all processes of a container where they are until it is disposed of. If this process is killed they go on all
 * the same: another one sees to that.
 *
 * @throws {UnsupportedError} if it has no cgroup that can be frozen.
 */
export async function held(container: Known, arch: Arch): Promise<Disposable> {
  const { groups } = container.record;
  if (groups.length === 0) {
    throw new UnsupportedError("a light checkpoint", "the container has no cgroup", "create it as root");
  }
  const files = groups.flatMap(({ directory, version, controllers }): Thawing[] => {
    if (version === 2) return [[`${directory}/cgroup.freeze`, "0"]];
    return controllers.split(",").includes("freezer") ? [[`${directory}/freezer.state`, "THAWED"]] : [];
  });
  using parts = new DisposableStack();
  const { read, write } = pipe();
  using _theirs = read;
  parts.use(write);
  const pid = startGuard(assemble({ arch, sections: [{ by: "launcher", ops: guard(files) }] }).elf, read);
  parts.defer(() => reap(pid, true));
  parts.defer(() => write[Symbol.dispose]()); // ends it
  const group = groupOf(container);
  parts.defer(() => group.thaw());
  await group.freeze();
  const kept = parts.move();
  return { [Symbol.dispose]: () => kept.dispose() };
}

/** Waits for the end of the pipe, which comes with the end of its other side, and lets the container go on. */
function guard(files: readonly Thawing[]): Op[] {
  const wait = "wait for the end of the checkpoint";
  const how = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  return [
    op("leave the caller's session", "setsid", []),
    op(wait, "close_range", [PIPE_FD + 1, named("~0", 0xffffffff), CLOSE_RANGE_CLOEXEC]),
    op(wait, "read", [PIPE_FD, zeros(8, "nothing"), 8]),
    ...files.flatMap(([file, content], index) => [
      op("let the container go on", "openat", [AT_FDCWD, file, how, 0], {
        into: "file",
        failed: `next:${index}`, // it is gone
      }),
      op("let the container go on", "write", [slot("file"), text(content), content.length], {
        failed: `next:${index}`,
      }),
      op("go on", "let", [1], { label: `next:${index}` }),
    ]),
    op("end", "exit_group", [0]),
    op("end", "exit_group", [1], { label: "fail", failed: "fail" }),
  ];
}

function startGuard(elf: Uint8Array<ArrayBuffer>, read: Fd): number {
  using given = new DisposableStack();
  const high = (raw: number): number => given.use(duplicate(raw, FREE_FD)).raw;
  const nothing = high(given.use(open("/dev/null", O_RDWR)).raw);
  const file = given.use(given.use(executable("guard", elf)).duplicate(FREE_FD));
  return spawn(`/proc/self/fd/${file.raw}`, "guard", [nothing, nothing, nothing, high(read.raw)]);
}
