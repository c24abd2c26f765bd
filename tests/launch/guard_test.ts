import { equal } from "node:assert/strict";
import { duplicate, open, pipe, socketPair } from "../../ffi/fd.ts";
import { executable } from "../../ffi/memfd.ts";
import { reap, spawn } from "../../ffi/process.ts";
import { writeAll } from "../../ffi/socket.ts";
import { loadBundle, request } from "../../runtime/bundle.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { assemble } from "../../runtime/launch/image.ts";
import { FIRST_FREE_FD } from "../../runtime/plan/protocol.ts";
import { plan } from "../../runtime/plan/plan.ts";
import { cannotTrack } from "../helpers/cgroups.ts";
import { NEW, TestBundle } from "../helpers/launch_bundle.ts";
import { skip } from "../helpers/skip.ts";

/** Our children that live, waiting for the dead ones to be taken. */
function livingChildren(): string {
  let children = "";
  for (const end = performance.now() + 30_000; performance.now() < end;) {
    reap(-1, false);
    children = Deno.readTextFileSync(`/proc/self/task/${Deno.pid}/children`).trim();
    if (children === "") break;
  }
  return children;
}

for (
  const [what, namespaces] of [
    ["in a pid namespace", NEW],
    ["without a pid namespace", NEW.filter((type) => type !== "pid")],
  ] as const
) {
  Deno.test(`a sandbox ${what} does not begin when its supervisor died after opening the gate`, (t) => {
    const reason = (namespaces as readonly string[]).includes("pid") ? undefined : cannotTrack();
    if (reason) return skip(reason, t);
    const args = ["sleep", `${70 + namespaces.length}.${Deno.pid}`];
    using bundle = new TestBundle();
    bundle.write(args, { linux: { namespaces: namespaces.map((type) => ({ type })) } });
    const host = probeHost();
    const { elf } = assemble(
      plan(request(loadBundle(bundle.path), { host, overlay: { kind: "none" }, form: "supervised" })),
    );
    using file = executable("guard", elf);
    using nothing = open("/dev/null", 2);
    const [status, theirs] = socketPair();
    const { read, write } = pipe();
    using sources = new DisposableStack();
    const fds = [nothing, nothing, nothing, theirs, read].map(({ raw }) =>
      sources.use(duplicate(raw, FIRST_FREE_FD)).raw
    );
    writeAll(write, new Uint8Array(1), "the gate");
    // What the kernel does for a killed supervisor: every end of its side is closed.
    for (const fd of [status, write, theirs, read]) fd[Symbol.dispose]();
    const launcher = spawn(`/proc/self/fd/${file.raw}`, "guard", fds);
    sources.dispose();
    equal(reap(launcher, true)?.code, 0, "the guard ended by itself");
    // init is our child by CLONE_PARENT.
    equal(livingChildren(), "");
  });
}
