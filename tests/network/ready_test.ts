import { deepEqual, equal } from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { type Connection, provideNetwork } from "../../runtime/network.ts";
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
