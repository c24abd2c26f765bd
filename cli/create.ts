import { createContainer, type CreateOptions, type StoreOptions } from "../mod.ts";
import type { Arguments, Flag } from "./args.ts";
import { INHERITANCE_FLAGS, readInheritance } from "./inheritance.ts";
import type { Global } from "./main.ts";
import { NETWORK_FLAGS, readNetwork } from "./network.ts";
import { writePid } from "./result_file.ts";

/** What `create` and `run --detach` take. */
export const CREATE_FLAGS: readonly Flag[] = [
  { name: "bundle", short: "b", value: "DIR", help: "the bundle (default: the working directory)" },
  { name: "pid-file", value: "FILE", help: "write the pid of its first process to FILE" },
  { name: "console-socket", value: "PATH", help: "the Unix socket that gets the program's terminal" },
  { name: "pidfd-socket", value: "PATH", help: "the Unix socket that gets a pidfd of its first process" },
  ...INHERITANCE_FLAGS,
  ...NETWORK_FLAGS,
];

/** Where somebody waits for the program to say that it is ready: systemd, or an engine (sd_notify(3)). */
export function notifySocket(): string | undefined {
  return Deno.env.get("NOTIFY_SOCKET") || undefined;
}

/** Who makes the cgroups of containers. */
export function managerOf({ systemdCgroup }: Global): Pick<CreateOptions, "cgroupManager"> {
  return systemdCgroup ? { cgroupManager: "systemd" } : {};
}

/** What the flags say. */
export function createOptions(args: Arguments, global: Pick<Global, "root">): CreateOptions {
  const pidFile = args.value("pid-file");
  return {
    bundle: args.value("bundle"),
    consoleSocket: args.value("console-socket"),
    notify: notifySocket() !== undefined,
    pidfdSocket: args.value("pidfd-socket"),
    ...readInheritance(args),
    ...readNetwork(args, global),
    ...(pidFile !== undefined && { onPid: (pid: number) => writePid(pidFile, pid) }),
  };
}

/** Makes a container as the flags say, and returns the pid of its first process. @throws {UnsupportedError} for those that this version refuses. */
export async function createFrom(
  id: string,
  args: Arguments,
  store: StoreOptions & Pick<CreateOptions, "onWarning" | "cgroupManager" | "onStep">,
): Promise<number> {
  return await createContainer(id, {
    ...store,
    ...createOptions(args, store.root === undefined ? {} : { root: store.root }),
  });
}
