import { keepEnds } from "./ends.ts";
import { SyscallError } from "./errno.ts";
import { libc } from "./libc.ts";
import { addressOf, cstring } from "./memory.ts";

// struct sizes of glibc, the same on x86-64 and aarch64.
const [ACTIONS_BYTES, ATTRIBUTES_BYTES, SIGNAL_SET_BYTES] = [80, 336, 128];
const POSIX_SPAWN = { SETPGROUP: 0x02, SETSIGDEF: 0x04, SETSIGMASK: 0x08 } as const;

/** How a program begins. */
export interface ProgramStart {
  /** Its arguments, the name first. */
  readonly args: readonly string[];
  /** Its whole environment. */
  readonly env: readonly string[];
  /** Its working directory. */
  readonly cwd: string;
  /** Its stdin, stdout and stderr, all numbered 3 or higher; it has no other descriptor. */
  readonly stdio: readonly [stdin: number, stdout: number, stderr: number];
}

/**
 * Starts a program of the host in a process group of its own, with default signals (posix_spawn(3)).
 *
 * @returns Its pid, which the caller has to wait for.
 * @throws {SyscallError} if it cannot be started.
 */
export function startProgram(path: string, { args, env, cwd, stdio }: ProgramStart): number {
  const actions = new Uint8Array(ACTIONS_BYTES);
  const attributes = new Uint8Array(ATTRIBUTES_BYTES);
  libc.posix_spawn_file_actions_init(actions);
  libc.posix_spawnattr_init(attributes);
  try {
    stdio.forEach((fd, target) => libc.posix_spawn_file_actions_adddup2(actions, fd, target));
    libc.posix_spawn_file_actions_addclosefrom_np(actions, 3);
    libc.posix_spawn_file_actions_addchdir_np(actions, cstring(cwd));
    libc.posix_spawnattr_setsigdefault(attributes, new Uint8Array(SIGNAL_SET_BYTES).fill(0xff));
    const how = POSIX_SPAWN.SETPGROUP | POSIX_SPAWN.SETSIGDEF | POSIX_SPAWN.SETSIGMASK;
    libc.posix_spawnattr_setflags(attributes, how);
    keepEnds();
    const pid = new Int32Array(1);
    const failed = libc.posix_spawn(pid, cstring(path), actions, attributes, strings(args), strings(env));
    if (failed !== 0) throw new SyscallError("start", failed, path);
    return pid[0]!;
  } finally {
    libc.posix_spawnattr_destroy(attributes);
    libc.posix_spawn_file_actions_destroy(actions);
  }
}

/** A NULL-terminated array of C strings and the strings, in one buffer, which the call keeps. */
function strings(values: readonly string[]): Uint8Array<ArrayBuffer> {
  const texts = values.map(cstring);
  const block = new Uint8Array(texts.reduce((sum, { length }) => sum + length, (texts.length + 1) * 8));
  const pointers = new BigUint64Array(block.buffer, 0, texts.length + 1);
  let at = (texts.length + 1) * 8;
  texts.forEach((text, index) => {
    block.set(text, at);
    pointers[index] = addressOf(block) + BigInt(at);
    at += text.length;
  });
  return block;
}
