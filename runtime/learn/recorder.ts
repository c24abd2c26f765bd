import { readMemory, socketKind } from "../../ffi/peek.ts";
import { syscallName } from "../../ffi/seccomp.ts";
import type { Host } from "../host/facts.ts";
import { compiledFilters } from "../policy/compiled.ts";
import type { Policy } from "../policy/policy.ts";
import { evaluate } from "../seccomp/evaluate.ts";
import { ACTIONS, NEWER_SYSCALLS, strictness } from "../seccomp/numbers.ts";
import type { Answer, ObservedCall, Observer } from "../supervise/observed_calls.ts";
import { FileRecorder } from "./files.ts";
import { type Needs, noNeeds, type PortUse } from "./needs.ts";

const [AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] = [0, 1, 2, 10, 16];
const [SOCK_STREAM, IPPROTO_TCP] = [1, 6];
/** The answer that makes programs fall back to another call. */
const ENOSYS = 38;
const SUN_PATH_AT = 2;
/** More than `AF_MAX` and `MAX_LINKS`. */
const MOST_FAMILIES = 64;
const ACTION_BITS = 0xffff0000;

/**
 * Answers the calls of a sandbox as a policy's filters would, and notes what the program needs. The filters are the
 * very programs that the kernel would run; they decide by the registers alone.
 */
export class Recorder {
  /** What was used, and is allowed. */
  readonly needs: Needs = noNeeds();
  /** How often which call was refused, but for those that the kernel is said not to have. */
  readonly refused: Map<string, number> = new Map();
  readonly #files = new FileRecorder(this.needs.files);
  readonly #filters: readonly Uint8Array[];
  readonly #names = new Map<string, string>();
  #begun = false;

  /** Whether there were too many files to know all of them. */
  get isFull(): boolean {
    return this.#files.isFull;
  }

  /** @throws {UnsupportedError} without libseccomp. */
  constructor(policy: Policy, host: Pick<Host, "arch">) {
    this.#filters = compiledFilters(policy, host).map(({ program }) => program);
  }

  /** To be asked about every call. */
  readonly observe: Observer = (call) => {
    const name = this.#name(call);
    const answer = this.#answer(call);
    this.#begun ||= name === "execve";
    if (answer === "go on") this.#note(name, call);
    else if (answer !== ENOSYS) this.refused.set(name, (this.refused.get(name) ?? 0) + 1);
    return answer;
  };

  #name({ number, arch }: ObservedCall): string {
    const key = `${arch} ${number}`;
    let name = this.#names.get(key);
    if (name === undefined) {
      name = nameOf(number, arch);
      // A program can make up any number.
      if (name !== NAMELESS) this.#names.set(key, name);
    }
    return name;
  }

  #answer({ number: nr, arch, arguments: args }: ObservedCall): Answer {
    const values = this.#filters.map((filter) => evaluate(filter, { nr, arch, args }));
    const value = values.reduce((a, b) => strictness(b) > strictness(a) ? b : a);
    switch ((value & ACTION_BITS) >>> 0) {
      case ACTIONS.SCMP_ACT_ALLOW:
        return "go on";
      case ACTIONS.SCMP_ACT_ERRNO:
        return value & ~ACTION_BITS;
      default:
        return "kill";
    }
  }

  #note(name: string, call: ObservedCall): void {
    this.needs.calls.add(name);
    if (!this.#begun) return; // the sandbox's own preparations
    switch (name) {
      case "socket":
        return this.#family(call);
      case "bind":
      case "connect":
        return this.#address(name, call);
      default:
        this.#files.note(name, call);
    }
  }

  #family({ arguments: args }: ObservedCall): void {
    const [family, , protocol] = args.map((each) => Number(BigInt.asIntN(32, each)));
    const isKnown = (each: number): boolean => each >= 0 && each < MOST_FAMILIES; // the kernel has no others
    if (isKnown(family!)) this.needs.families.add(family!);
    if (family === AF_NETLINK && isKnown(protocol!)) this.needs.netlink.add(protocol!);
  }

  #address(use: PortUse, call: ObservedCall): void {
    const [fd, at, length] = call.arguments;
    const bytes = readMemory(call.pid, at!, Math.min(Number(length! & 0xffffffffn), 110));
    if (!bytes || bytes.length < 4 || !call.isWaiting()) return;
    const view = new DataView(bytes.buffer);
    const family = view.getUint16(0, true);
    if (family === AF_UNIX && use === "bind" && bytes[SUN_PATH_AT] !== 0) {
      const path = new TextDecoder().decode(bytes.subarray(SUN_PATH_AT)).replace(/\0.*$/s, "");
      return this.#files.noteSocket(call, path);
    }
    if (![AF_INET, AF_INET6, ...(use === "bind" ? [AF_UNSPEC] : [])].includes(family)) return;
    const kind = socketKind(leaderOf(call.pid), Number(BigInt.asIntN(32, fd!)));
    // What is not known may be TCP.
    if (kind && (kind.type !== SOCK_STREAM || kind.protocol !== IPPROTO_TCP)) return;
    this.needs.ports[use].add(view.getUint16(2));
  }
}

/** The process that a thread belongs to: only processes have a pidfd on every kernel. */
function leaderOf(thread: number): number {
  try {
    return Number(/^Tgid:\s+(\d+)/m.exec(Deno.readTextFileSync(`/proc/${thread}/status`))?.[1] ?? thread);
  } catch {
    return thread;
  }
}

const NAMELESS = "a call without a name";

/** libseccomp does not know the youngest. */
function nameOf(number: number, arch: number): string {
  const name = syscallName(number, arch);
  return /^[a-z_]\w*$/.test(name)
    ? name
    : [...NEWER_SYSCALLS].find(([, each]) => each === number)?.[0] ?? NAMELESS;
}
