import { type Facts } from "./doctor/facts.ts";
import { forbidden, settings } from "./doctor/user_namespaces.ts";
import { UnsupportedError } from "./errors.ts";
import { probeCaller } from "./host/probe.ts";
import { LaunchError } from "./launch/launch_error.ts";
import type { InnerOptions, SandboxOptions } from "./options.ts";
import { NOT_APART } from "./options.ts";
import { ERRNO } from "./plan/abi.ts";
import { privateDirectory } from "./private_directory.ts";

/** How clone3(2) says that it makes no namespaces for this user; filters of containers say ENOSYS. */
const REFUSALS: readonly number[] = [ERRNO.EPERM, ERRNO.EACCES, ERRNO.ENOSPC, ERRNO.EUSERS, ERRNO.ENOSYS];

/**
 * Makes without namespaces what could not be made with them, if the options allow that.
 *
 * @param error Why it could not be made.
 * @throws {UnsupportedError} that says what forbids user namespaces and what mends it, if the options do not.
 * @throws `error` if that is about something else.
 */
export async function fallBack<Made>(
  error: LaunchError,
  options: SandboxOptions,
  make: (options: InnerOptions) => Promise<Made>,
): Promise<Made> {
  const facts = { settings: settings(), uid: probeCaller().uid, program: Deno.execPath() };
  if (probeCaller().privileged || !isForbidden(error, facts)) throw error;
  if (options.fallback !== "landlock" || !options.command) throw refusal(error, options, facts);
  const bare = privateDirectory();
  try {
    return await make({ ...options, bare });
  } catch (second) {
    bare[Symbol.dispose]();
    throw second instanceof UnsupportedError ? neither(second, refusal(error, {}, facts)) : second;
  }
}

/** Whether a user without rights may make no user namespace, or gets none that is of use. */
export function isForbidden(
  { op: { call, does }, errno }: Pick<LaunchError, "op" | "errno">,
  facts: Pick<Facts, "settings">,
): boolean {
  if (call === "clone3" && does.startsWith("start init")) return REFUSALS.includes(errno);
  // AppArmor lets a user namespace be made and then takes every right in it.
  const restricted = !["0", undefined].includes(facts.settings.usernsApparmor);
  const program = ["faccessat2", "execve", "chdir"].includes(call);
  return restricted && !program && (errno === ERRNO.EPERM || errno === ERRNO.EACCES);
}

function refusal(
  error: LaunchError,
  { command }: SandboxOptions,
  facts: Parameters<typeof forbidden>[0],
): UnsupportedError {
  const { found, remedy } = forbidden(facts) ?? {
    found: `the kernel, or a filter around this process, refuses to make one (${error.message})`,
    remedy: "run it as root; in a container, allow clone3 and mounts in its seccomp profile",
  };
  const other = command ? `; or use --fallback landlock, which keeps less apart: ${NOT_APART}` : "";
  const refused = new UnsupportedError("the user namespace that a sandbox takes", found, remedy + other);
  return Object.assign(refused, { cause: error });
}

/** Why neither way can be gone. */
function neither(second: UnsupportedError, first: UnsupportedError): UnsupportedError {
  const { feature, reason, remedy } = second;
  const other = `or mend this: ${first.reason}; ${first.remedy}`;
  return new UnsupportedError(feature, reason, [remedy, other].filter((each) => each !== "").join("; "));
}
