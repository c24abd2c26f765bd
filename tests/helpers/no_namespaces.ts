import { type Arch, ERRNO, type Errno, type Syscall, syscallNumber } from "../../runtime/plan/abi.ts";
import {
  AS_STRANGER,
  bundled,
  cli,
  type CliOptions,
  finish,
  type Said,
  start,
  STRANGER,
  Temporary,
} from "./cli.ts";

/** Forbids user namespaces below one of its own, the host's setting stays, and drops every capability in it. */
const FORBID = "echo 0 > /proc/sys/user/max_user_namespaces && " +
  'exec setpriv --bounding-set -all --inh-caps -all -- "$@"';

/** Starts a program as a user without rights on a host that forbids user namespaces. */
export const FORBIDDEN: readonly string[] = [
  ...AS_STRANGER,
  "unshare",
  "--user",
  "--map-root-user",
  "--",
  "sh",
  "-c",
  FORBID,
  "sh",
];

const FILTER = `
import ctypes, os, struct, sys
code = [struct.pack("<HBBI", 0x20, 0, 0, 0)] # load the number of the call
for word in sys.argv[1].split(","):
    number, errno = map(int, word.split(":"))
    code += [struct.pack("<HBBI", 0x15, 0, 1, number), struct.pack("<HBBI", 0x06, 0, 0, 0x50000 | errno)]
code += [struct.pack("<HBBI", 0x06, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b"".join(code))
fprog = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, fprog, 0, 0) == 0
os.execvp(sys.argv[2], sys.argv[2:])`;

/** Starts a program under a filter that lets these calls fail with these errors, as those of containers do. */
export function withoutCalls(calls: Readonly<Partial<Record<Syscall, Errno | "OK">>>): readonly string[] {
  const words = Object.entries(calls).map(([call, name]) => {
    return `${syscallNumber(call as Syscall, Deno.build.arch as Arch)}:${name === "OK" ? 0 : ERRNO[name]}`;
  });
  return ["/usr/bin/python3", "-c", FILTER, words.join(",")];
}

/** Such a host, with files of that user: `work` is where he works, `outside` what no program may reach. */
export class ForbiddenHost implements Disposable {
  readonly #temporary = new Temporary();
  readonly work: string = this.#directory("work");
  readonly outside: string = this.#directory("outside");
  readonly tmp: string = this.#directory("tmp");
  readonly #program: Promise<readonly string[]> = bundled(this.#temporary);

  #directory(name: string): string {
    const path = `${this.#temporary.path}/${name}`;
    Deno.mkdirSync(path);
    Deno.chownSync(path, STRANGER, STRANGER);
    return path;
  }

  /** A file of that user. */
  file(path: string, text: string, mode = 0o600): string {
    Deno.writeTextFileSync(path, text);
    Deno.chmodSync(path, mode);
    Deno.chownSync(path, STRANGER, STRANGER);
    return path;
  }

  async options(more: CliOptions = {}): Promise<CliOptions> {
    const env = { TMPDIR: this.tmp, ...more.env };
    return { cwd: this.work, wrapper: FORBIDDEN, program: await this.#program, ...more, env };
  }

  /** The command line there. */
  async cli(args: readonly string[], more: CliOptions = {}): Promise<Said> {
    return await cli(args, await this.options(more));
  }

  /** The same, while it runs. */
  async start(args: readonly string[]): Promise<Deno.ChildProcess> {
    return start(args, await this.options());
  }

  /** A program there without any sandbox. */
  async plain(command: readonly string[]): Promise<Said> {
    const env = { TMPDIR: this.tmp };
    return await cli(command, { cwd: this.work, wrapper: FORBIDDEN, program: [], env });
  }

  /** What a program prints there without any sandbox, and with `run --fallback landlock`. */
  async bothWays(command: readonly string[], flags: readonly string[] = []): Promise<[string, string]> {
    const plain = await this.plain(command);
    const kept = await this.cli(["run", "--fallback", "landlock", ...flags, "--", ...command]);
    return [plain.stdout, kept.stdout];
  }

  [Symbol.dispose](): void {
    this.#temporary[Symbol.dispose]();
  }
}

export { finish };
