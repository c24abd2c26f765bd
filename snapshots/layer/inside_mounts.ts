import { duplicate, type Fd, open, socketPair } from "../../ffi/fd.ts";
import { executable } from "../../ffi/memfd.ts";
import { reap, spawn } from "../../ffi/process.ts";
import { receive } from "../../ffi/socket.ts";
import { fileSystemOf } from "../../ffi/tree.ts";
import { LifecycleError } from "../../runtime/errors.ts";
import { assemble } from "../../runtime/launch/image.ts";
import { type Arch, O } from "../../runtime/plan/abi.ts";
import { AT_FDCWD, NAMESPACE_FLAG } from "../../runtime/plan/kernel.ts";
import { sendDescriptor } from "../../runtime/plan/message.ts";
import { cloneMount } from "../../runtime/plan/mount_ops.ts";
import { flags, named, type Op, op, slot } from "../../runtime/plan/op.ts";
import { MESSAGE_BYTES } from "../../runtime/plan/protocol.ts";

const O_RDWR = 2;
/** Above all numbers that the process is to find its descriptors at. */
const FREE_FD = 64;
const OVERLAYFS_MAGIC = 0x794c7630n;

/**
 * Mounts of a container as its processes see them, but for what is mounted on them: copies which lie nowhere, taken by a
 * process that enters the container's mount namespace.
 *
 * @param paths Where they are in the container. Its processes may have put something else there meanwhile: look at it.
 */
export function insideMounts(pid: number, arch: Arch, paths: readonly string[]): Fd[] {
  const does = `look at the mounts of process ${pid}`;
  const how = flags("O_", { RDONLY: O.RDONLY, CLOEXEC: O.CLOEXEC });
  const ops: Op[] = [
    op(does, "openat", [AT_FDCWD, `/proc/${pid}/ns/mnt`, how, 0], { into: "namespace" }),
    op(does, "setns", [slot("namespace"), named("CLONE_NEWNS", NAMESPACE_FLAG.mount)]),
    ...paths.flatMap((path) => [
      cloneMount(does, AT_FDCWD, path, false, "root"),
      sendDescriptor(does, 0, 0, "root"),
      op(does, "close", [slot("root")]),
    ]),
    op("end", "exit_group", [0]),
    op("end", "exit_group", [1], { label: "fail", failed: "fail" }),
  ];
  const { elf } = assemble({ arch, sections: [{ by: "launcher", ops }] });
  using fds = new DisposableStack();
  const [ours, theirs] = socketPair();
  fds.use(ours);
  {
    using given = new DisposableStack();
    given.use(theirs);
    const high = (raw: number): number => given.use(duplicate(raw, FREE_FD)).raw;
    const nothing = high(given.use(open("/dev/null", O_RDWR)).raw);
    const file = given.use(given.use(executable("root", elf)).duplicate(FREE_FD));
    const child = spawn(`/proc/self/fd/${file.raw}`, "root", [nothing, nothing, nothing, high(theirs.raw)]);
    if (reap(child, true)?.code !== 0) {
      throw new LifecycleError(`Cannot ${does}: its mounts cannot be entered`);
    }
  }
  using found = new DisposableStack();
  const mounts = paths.map((path) => {
    const answer = receive(ours, MESSAGE_BYTES);
    const mount = typeof answer === "string" ? undefined : answer.fd;
    if (!mount) throw new LifecycleError(`Cannot ${does}: "${path}" was not sent`);
    return found.use(mount);
  });
  found.move();
  return mounts;
}

/** The root of a container, which is an overlay. */
export function mergedRoot(pid: number, arch: Arch): Fd {
  const [root] = insideMounts(pid, arch, ["/"]);
  if (fileSystemOf(root!) === OVERLAYFS_MAGIC) return root!;
  root![Symbol.dispose]();
  throw new LifecycleError(`Cannot look at the root of process ${pid}: something else is mounted on it`);
}
