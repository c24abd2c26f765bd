import { environment } from "../environment.ts";
import { UsageError } from "../errors.ts";
import { CAPABILITIES, type ConsoleSize, type Process } from "../spec/config.ts";

/** In what a program differs from the one that the sandbox was made for. */
export interface ProcessOptions {
  /** The program with its arguments. */
  readonly args: readonly string[];
  /** More environment, as `NAME=value`. */
  readonly env?: readonly string[];
  /** Working directory inside; it must be there. */
  readonly cwd?: string;
  /** User id inside, and group id. */
  readonly user?: { readonly uid: number; readonly gid?: number };
  /** More groups. */
  readonly additionalGids?: readonly number[];
  /** More capabilities, such as `CAP_NET_ADMIN`. */
  readonly capabilities?: readonly string[];
  /** Whether it can gain no rights by execve(2); what the sandbox's program could not, it cannot either. */
  readonly noNewPrivileges?: boolean;
  /** Whether it gets a terminal. */
  readonly terminal?: boolean;
  /** Size of the terminal. */
  readonly consoleSize?: ConsoleSize;
  /** Its AppArmor profile. */
  readonly apparmorProfile?: string;
  /** Its SELinux label. */
  readonly selinuxLabel?: string;
}

/** The largest id; one more means "no change" to the kernel. */
const MOST_ID = 0xffff_fffe;

/**
 * The process that `options` ask for in a sandbox whose program is `base`.
 *
 * @throws {UsageError} if there can be no such process; the words are runc's where it has some.
 */
export function processFor(base: Process, options: ProcessOptions): Process {
  const { args, env = [], cwd = base.cwd, user, additionalGids = [], capabilities = [], terminal = false } =
    options;
  if (args.length === 0 || args[0] === "") throw new UsageError("process args cannot be empty");
  if (!cwd.startsWith("/")) throw new UsageError("Cwd must be an absolute path");
  for (const entry of env) {
    if (entry.indexOf("=") > 0) continue;
    throw new UsageError(
      `unable to start container process: invalid environment variable: ${JSON.stringify(entry)}`,
    );
  }
  for (const text of [...args, ...env, cwd]) {
    if (text.includes("\0")) throw new UsageError(`Cannot use ${JSON.stringify(text)}: it contains a NUL`);
  }
  const { uid = 0, gid = 0, additionalGids: groups = [], ...rest } = base.user ?? {};
  const ids = { uid: user?.uid ?? uid, gid: user?.gid ?? gid };
  for (const id of [...Object.values(ids), ...additionalGids]) {
    if (!Number.isInteger(id) || id < 0 || id > MOST_ID) {
      throw new UsageError(`Cannot become ${id}: it is no id`);
    }
  }
  const { consoleSize: _, ...kept } = base;
  return {
    ...kept,
    args,
    env: environment(base.env ?? [], env),
    cwd,
    user: { ...rest, ...ids, additionalGids: [...new Set([...groups, ...additionalGids])] },
    terminal,
    ...(options.consoleSize && { consoleSize: options.consoleSize }),
    ...(capabilities.length > 0 && { capabilities: withCapabilities(base.capabilities ?? {}, capabilities) }),
    ...(options.noNewPrivileges && { noNewPrivileges: true }),
    ...(options.apparmorProfile !== undefined && { apparmorProfile: options.apparmorProfile }),
    ...(options.selinuxLabel !== undefined && { selinuxLabel: options.selinuxLabel }),
  };
}

function withCapabilities(
  base: NonNullable<Process["capabilities"]>,
  more: readonly string[],
): NonNullable<Process["capabilities"]> {
  const unknown = more.find((name) => !(CAPABILITIES as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`Cannot grant ${JSON.stringify(unknown)}: Linux has no such capability`);
  }
  const joined = (
    names: readonly string[] = [],
    added = more,
  ): string[] => [...new Set([...names, ...added])];
  // Only what is inheritable can be ambient: as runc, which makes nothing inheritable that was not.
  const inherited = more.filter((name) =>
    (base.inheritable as readonly string[] | undefined)?.includes(name)
  );
  return {
    ...base,
    bounding: joined(base.bounding),
    permitted: joined(base.permitted),
    effective: joined(base.effective),
    ...(inherited.length > 0 && { ambient: joined(base.ambient, inherited) }),
  };
}

/** A whole process document; what it does not say is as for the sandbox's own program, as runc has it. */
export function completed(base: Process, document: Process): Process {
  const {
    args: _,
    env: __,
    cwd: ___,
    terminal: ____,
    consoleSize: _____,
    user,
    noNewPrivileges: ______,
    ...rest
  } = base;
  return {
    ...rest,
    ...document,
    ...(document.rlimits === undefined || document.rlimits.length === 0
      ? { rlimits: base.rlimits ?? [] }
      : {}),
    user: { uid: 0, gid: 0, ...(user?.umask !== undefined && { umask: user.umask }), ...document.user },
  };
}
