import type { CriuStage } from "../ffi/criu.ts";
import { SyscallError } from "../ffi/errno.ts";
import type { Fd } from "../ffi/fd.ts";
import { openPidFd, reap, signalPidFd } from "../ffi/process.ts";
import type { CgroupGroup } from "../runtime/cgroup/group.ts";
import type { Prepared } from "../runtime/prepare.ts";
import { expect } from "../runtime/attest/expect.ts";
import { attestRestored, type Rebuilt } from "./attest_restored.ts";
import { loopbackUp } from "./loopback.ts";
import type { Images } from "./open_images.ts";
import { keptFilters } from "./seccomp_image.ts";

const SIGKILL = 9;

/** Follows CRIU through a restore. */
export class Stages {
  terminal: Fd | undefined;
  #pid = 0;
  #pids: readonly number[] | undefined;
  #attested: Pick<Rebuilt, "expected" | "filters"> | undefined;

  constructor(
    readonly id: string,
    readonly request: Prepared,
    readonly images: Images,
    readonly group: CgroupGroup | undefined,
    readonly act: {
      /** When its namespaces are there, and nothing is in them. */
      readonly beforeMounts: (pid: number) => void;
      /** When all is there and attested, and nothing runs. */
      readonly beforeResume: (pid: number) => void;
    },
  ) {}

  /** The first process; 0 if it is not there yet. */
  get pid(): number {
    return this.#pid;
  }

  reach({ name, pid, terminal }: CriuStage): void {
    if (pid > 0) this.#pid = pid;
    if (terminal) {
      this.terminal?.[Symbol.dispose]();
      this.terminal = terminal;
    }
    if (name === "setup-namespaces" && this.#hasOwnNetwork) loopbackUp(pid, this.request.host.arch);
    if (name === "setup-namespaces") this.act.beforeMounts(pid);
    // All is there but nothing runs: CRIU holds every process.
    if (name === "pre-resume") this.#attest();
  }

  /** Finds out what to compare with. Called while CRIU works it takes no time from anybody; later CRIU waits for it. */
  prepare(): Pick<Rebuilt, "expected" | "filters"> {
    return this.#attested ??= { expected: expect(this.request), filters: keptFilters(this.images.path) };
  }

  /** Finds out which processes there are, when CRIU has made them all; those that only helped it to will end. */
  look(): readonly number[] {
    return this.#pids ??= this.group ? inNamespaceOf(this.#pid, this.group.members) : [this.#pid];
  }

  #attest(): void {
    const pids = this.look().filter((pid) => isThere(pid));
    try {
      attestRestored({ id: this.id, pid: this.#pid, pids, request: this.request, ...this.prepare() });
      this.act.beforeResume(this.#pid);
    } catch (error) {
      for (const each of pids) kill(each); // CRIU would let them go on all the same
      throw error;
    }
  }

  /** Ends what there is of the container, when CRIU has ended: before that it keeps the dead from their parent. */
  end(): void {
    this.terminal?.[Symbol.dispose]();
    this.terminal = undefined;
    if (this.#pid === 0) return;
    kill(this.#pid); // with the first process of a pid namespace all others end
    reap(this.#pid, true);
  }

  get #hasOwnNetwork(): boolean {
    const namespace = this.request.spec.linux?.namespaces?.find(({ type }) => type === "network");
    const isMade = this.images.manifest?.network === "made"; // and up
    return namespace !== undefined && namespace.path === undefined && !isMade;
  }
}

function kill(pid: number): void {
  try {
    using process = openPidFd(pid);
    signalPidFd(process, SIGKILL);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error; // it has ended
  }
}

function isThere(pid: number): boolean {
  try {
    return Deno.statSync(`/proc/${pid}`).isDirectory;
  } catch {
    return false;
  }
}

/** CRIU itself is in the cgroup as well, outside of the container's pid namespace. */
function inNamespaceOf(init: number, pids: readonly number[]): number[] {
  const namespace = (pid: number): string | undefined => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/ns/pid`);
    } catch {
      return undefined;
    }
  };
  const own = namespace(init);
  return pids.filter((pid) => namespace(pid) === own);
}
