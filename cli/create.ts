import { createContainer, type CreateOptions, type StoreOptions, UnsupportedError } from "../mod.ts";
import type { Arguments, Flag } from "./args.ts";
import { writePid } from "./result_file.ts";

/** What `create` and `run --detach` take. */
export const CREATE_FLAGS: readonly Flag[] = [
  { name: "bundle", short: "b", value: "DIR", help: "the bundle (default: the working directory)" },
  { name: "pid-file", value: "FILE", help: "write the pid of its first process to FILE" },
  { name: "console-socket", value: "PATH", help: "the Unix socket that gets the program's terminal" },
  { name: "preserve-fds", value: "N", help: "refused unless 0: this version passes no descriptors on" },
  { name: "no-pivot", help: "refused: this version always changes the root" },
  { name: "no-new-keyring", help: "refused: this version always makes a keyring" },
];

/** Makes a container as the flags say. @throws {UnsupportedError} for those that this version refuses. */
export async function createFrom(
  id: string,
  args: Arguments,
  store: StoreOptions & Pick<CreateOptions, "onWarning">,
): Promise<void> {
  for (const flag of ["no-pivot", "no-new-keyring"]) if (args.has(flag)) throw refused(flag);
  if (Number(args.value("preserve-fds") ?? "0") !== 0) throw refused("preserve-fds");
  const pidFile = args.value("pid-file");
  await createContainer(id, {
    ...store,
    bundle: args.value("bundle"),
    consoleSocket: args.value("console-socket"),
    ...(pidFile !== undefined && { onPid: (pid: number) => writePid(pidFile, pid) }),
  });
}

function refused(flag: string): UnsupportedError {
  return new UnsupportedError(`--${flag}`, "this version has no support for it", "leave it out");
}
