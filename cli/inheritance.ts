import { isInherited, type SandboxOptions, UsageError } from "../mod.ts";
import type { Arguments, Flag } from "./args.ts";

/** What a program may inherit from who runs the command, and how its root is changed: runc's flags. */
export const INHERITANCE_FLAGS: readonly Flag[] = [
  { name: "preserve-fds", value: "N", help: "pass N descriptors to the program: 3 and those above" },
  { name: "no-pivot", help: "mount the root over the host's, as a root in a ramdisk needs it" },
  { name: "no-new-keyring", help: "leave the program the caller's keys" },
];

/** The first descriptor beside stdin, stdout and stderr. */
const FIRST = 3;
/** More cannot be open, as a rule. */
const MOST = 1 << 16;

/**
 * What the flags say, and systemd's variables: the sockets that it passes come first (sd_listen_fds(3)).
 *
 * @throws {UsageError} if a descriptor is not there.
 */
export function readInheritance(
  args: Arguments,
): Pick<SandboxOptions, "env" | "preserveFds" | "pivot" | "newKeyring"> {
  const sockets = socketsGiven();
  const text = args.value("preserve-fds") ?? "0";
  if (!/^\d+$/.test(text) || Number(text) > MOST) {
    throw new UsageError(`Cannot use "${text}" for --preserve-fds: write a number of descriptors`);
  }
  const asked = Number(text);
  const preserveFds = Array.from({ length: sockets + asked }, (_, index) => FIRST + index);
  // Those that this program has opened for itself are nobody's to be given away.
  const missing = preserveFds.slice(sockets).findIndex((fd) => !isInherited(fd));
  if (missing >= 0) {
    throw new UsageError(`unable to stat preserved-fd ${missing} (of ${asked}): no such file or directory`);
  }
  return {
    ...(preserveFds.length > 0 && { preserveFds }),
    ...(sockets > 0 && { env: [`LISTEN_FDS=${sockets}`, "LISTEN_PID=1"] }),
    ...(args.has("no-pivot") && { pivot: false }),
    ...(args.has("no-new-keyring") && { newKeyring: false }),
  };
}

/** How many sockets systemd, or who acts like it, has passed to this process. */
function socketsGiven(): number {
  const [pid, count] = ["LISTEN_PID", "LISTEN_FDS"].map((name) => Deno.env.get(name));
  if (pid !== String(Deno.pid) || !/^\d{1,5}$/.test(count ?? "")) return 0;
  const fds = Array.from({ length: Number(count) }, (_, index) => FIRST + index);
  const missing = fds.find((fd) => !isInherited(fd));
  if (missing === undefined) return fds.length;
  throw new UsageError(
    `Cannot pass on the sockets of LISTEN_FDS=${count}: descriptor ${missing} is not there`,
  );
}
