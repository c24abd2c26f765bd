import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { type Connection, provideNetwork } from "../../runtime/network.ts";
import { STATUS_FD } from "../../runtime/plan/protocol.ts";
import { launchTest } from "../helpers/launch_leaks.ts";

/** A place on no network, which writes down what is asked of it. */
function place(asked: string[]): Connection {
  return {
    mounts: [],
    env: [],
    record: { directory: "/nowhere", token: "none" },
    expect: () => void asked.push("expect"),
    attach: () => Promise.resolve(void asked.push("attach")),
    attachNow: () => {
      asked.push("attachNow");
      queueMicrotask(() => asked.push("something else"));
    },
    ready: () => Promise.resolve(void asked.push("ready")),
    [Symbol.asyncDispose]: () => Promise.resolve(void asked.push("leave")),
  };
}

launchTest("Sandbox.run() goes on when its network is ready, without being asked by init", async () => {
  const asked: string[] = [];
  provideNetwork(() =>
    Promise.resolve({ connect: () => Promise.resolve(place(asked)), disconnect: async () => {} })
  );
  const sandbox = await Sandbox.run({ command: ["true"], network: { mode: "bridge" } });
  equal((await sandbox.wait()).exitCode, 0);
  // Once, and before init can have asked.
  deepEqual(asked, ["expect", "attachNow", "ready", "something else", "leave"]);
  await sandbox[Symbol.asyncDispose]();
});

const READ = { x86_64: 0, aarch64: 63 }[Deno.build.arch as "x86_64" | "aarch64"];

/** Waits until init asks whether it may go on; false if it never does. */
async function waitsForWord(pid: number): Promise<boolean> {
  for (;;) {
    const [state, call] = ["stat", "syscall"].map((name) => {
      try {
        return Deno.readTextFileSync(`/proc/${pid}/${name}`);
      } catch {
        return "gone";
      }
    });
    if (state === "gone" || / [ZX] /.test(state!)) return false;
    if (call!.startsWith(`${READ} 0x${STATUS_FD.value.toString(16)} `)) return true;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A place that lets on when init waits for it, and then does as it is told. */
function slowPlace(then: () => void, waited: PromiseWithResolvers<boolean>): Connection {
  const pid = Promise.withResolvers<number>();
  const ready = pid.promise.then(waitsForWord).then((waits) => {
    waited.resolve(waits);
    then();
  });
  ready.catch(() => {}); // who waits hears of it
  return { ...place([]), attachNow: pid.resolve, ready: () => ready };
}

function useSlowPlace(then: () => void): Promise<boolean> {
  const waited = Promise.withResolvers<boolean>();
  provideNetwork(() =>
    Promise.resolve({
      connect: () => Promise.resolve(slowPlace(then, waited)),
      disconnect: async () => {},
    })
  );
  return waited.promise;
}

for (const policy of ["default", "permissive"] as const) {
  const options = { command: ["echo", "hello"], network: { mode: "bridge" }, policy } as const;

  launchTest(
    `a program under policy ${policy} begins when its network is ready, and not before`,
    async () => {
      const waits = useSlowPlace(() => {});
      await using sandbox = await Sandbox.run(options);
      equal(await new Response(sandbox.stdout).text(), "hello\n");
      equal((await sandbox.wait()).exitCode, 0);
      equal(await waits, true);
    },
  );

  launchTest(`a program under policy ${policy} never begins whose network does not get ready`, async () => {
    const waits = useSlowPlace(() => {
      throw new Error("the proxy is not there");
    });
    await rejects(Sandbox.run(options), ({ message }) => {
      match(message, /^the proxy is not there$/);
      return true;
    });
    equal(await waits, true);
  });
}
