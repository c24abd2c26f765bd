import type { Context } from "./context.ts";
import { CLONE } from "./kernel.ts";
import { bringLoopbackUp } from "./network.ts";
import { mark, named, type Op, op, slot, text, zeros } from "./op.ts";
import { pipe } from "./userns.ts";

/** New file systems that are the same in every network namespace; others, as sysfs, show the one that they are made in. */
const WITHOUT_NETWORK = new Set(["proc", "tmpfs", "devpts", "mqueue"]);
const NEWNET = named("CLONE_NEWNET", CLONE.NEWNET);

/**
 * Whether the launcher makes the network namespace while init builds what takes none: the kernel needs longer for it than
 * for all other namespaces, and there is more than one processor. In a user namespace it must belong to that, and kernel
 * parameters may be the network's: there init is born into it.
 */
export function isNetworkLate({ form, namespace, spec, host }: Context): boolean {
  return form === "standalone" && host.privileged && namespace("network") === "new" &&
    namespace("user") === "shared" && namespace("mount") === "new" &&
    Object.keys(spec.linux?.sysctl ?? {}).length === 0;
}

/** Whether a new file system of this type can only be made when init is in its network namespace. */
export function awaitsNetwork(context: Context, type: string): boolean {
  return !WITHOUT_NETWORK.has(type) && isNetworkLate(context);
}

/** By the launcher, before init is born. */
export function* announceNetwork(): Iterable<Op> {
  yield* pipe("make a pipe to init", "network");
  const does = "let init find the launcher";
  yield op(does, "getpid", [], { into: "launcher:pid" });
  yield op(does, "pidfd_open", [slot("launcher:pid"), 0], { into: "launcher:pidfd" });
}

/**
 * By the launcher, which stays in there. The guard is there already: without it init does not go on. The loopback device
 * is brought up while init joins and goes on.
 */
export function* makeNetwork(): Iterable<Op> {
  yield op("make the network namespace", "unshare", [NEWNET]);
  yield op("let init join it", "write", [slot("network:write"), text("n"), 1]);
  yield* bringLoopbackUp();
  yield op("let the program begin in it", "write", [slot("network:write"), text("l"), 1]);
}

/** By init, when there is nothing more to do without it. */
export function* joinNetwork(): Iterable<Op> {
  yield op("wait for the network namespace", "close", [slot("network:write")]);
  yield* awaitLauncher("wait for the network namespace", "connected");
  const does = "join the launcher's network namespace";
  yield op(does, "setns", [slot("launcher:pidfd"), NEWNET]);
  yield op(does, "close", [slot("launcher:pidfd")]);
}

/** By init, when all is built: its loopback device is up by then, or soon. */
export function awaitLoopback(): Iterable<Op> {
  return awaitLauncher("wait for the loopback device", "looped");
}

function* awaitLauncher(does: string, then: string): Iterable<Op> {
  yield op(does, "read", [slot("network:read"), zeros(8, "byte"), 1], {
    zero: `${then}:never`,
    positive: then,
  });
  yield op("end, the launcher is gone", "exit_group", [1], { label: `${then}:never` });
  yield mark(then);
}
