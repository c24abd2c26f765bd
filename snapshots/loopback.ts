import { duplicate } from "../ffi/fd.ts";
import { executable } from "../ffi/memfd.ts";
import { reap, spawn } from "../ffi/process.ts";
import { type Arch, O } from "../runtime/plan/abi.ts";
import { assemble } from "../runtime/launch/image.ts";
import { AT_FDCWD, NAMESPACE_FLAG } from "../runtime/plan/kernel.ts";
import { bringLoopbackUp } from "../runtime/plan/network.ts";
import { flags, named, op } from "../runtime/plan/op.ts";
import { LifecycleError } from "../runtime/errors.ts";

/** Brings up the loopback device in the network namespace of a process, before anything listens there. */
export function loopbackUp(pid: number, arch: Arch): void {
  const does = `enter the network of process ${pid}`;
  const how = flags("O_", { RDONLY: O.RDONLY, CLOEXEC: O.CLOEXEC });
  const ops = [
    op(does, "openat", [AT_FDCWD, `/proc/${pid}/ns/net`, how, 0], { into: "network" }),
    op(does, "setns", [{ slot: "network" }, named("CLONE_NEWNET", NAMESPACE_FLAG.network)]),
    ...bringLoopbackUp(),
    op("end", "exit_group", [0]),
    op("end", "exit_group", [1], { label: "fail", failed: "fail" }),
  ];
  const { elf } = assemble({ arch, sections: [{ by: "launcher", ops }] });
  using file = executable("loopback", elf);
  using high = file.duplicate(64);
  using fds = new DisposableStack();
  const nothing = fds.use(duplicate(high.raw, 64)).raw;
  const child = spawn(`/proc/self/fd/${high.raw}`, "loopback", [nothing]);
  if (reap(child, true)?.code !== 0) throw new LifecycleError("Cannot bring the loopback device up");
}
