import { type Fd, pipe, socketPair } from "../ffi/fd.ts";
import { emptyMemoryFile } from "../ffi/memfd.ts";
import { reap } from "../ffi/process.ts";
import { writeAll } from "../ffi/socket.ts";
import { DATA_OFFSET } from "../runtime/launch/elf.ts";
import { assemble, type Image } from "../runtime/launch/image.ts";
import { machineCode } from "../runtime/launch/machine.ts";
import {
  becomesCriu,
  type CriuProcess,
  readToEnd,
  spawnImage,
  throwIfFailed,
  waitFor,
} from "./criu_process.ts";
import type { InstalledCriu } from "./installed.ts";
import { withoutTls } from "./without_tls.ts";
import { enterPlan, LIBRARY_FD, loadPlan, type LoadRequest, type WorkerRequest } from "./worker_plan.ts";

/** The assembled form of waiting_x86_64.s; a test assembles that and compares. */
export const WAITING_CODE =
  "535031c0bf050000004889e6ba080000000f054883f8fc74e94883f8087550b809000000bf001041" +
  "00488b3424ba0300000041ba0200100041b8060000004531c90f05483d001041007524488d0d0a00000048890c2518104100eb1f" +
  "b80b000000bf00104100488b34240f05595bc3b8e7000000bf010000000f05";
let code: Uint8Array | undefined;

/**
 * CRIU, which has been loaded and waits for what it is to work in and on: loading takes longer than all that must be
 * found out and made before, and can go on meanwhile. Disposing ends it, if it still waits.
 */
export class WaitingCriu implements AsyncDisposable {
  /** What its work will be told on. */
  readonly socket: Fd;
  readonly #parts: DisposableStack;
  readonly #loaded: LoadRequest;
  readonly #image: Image;
  readonly #pid: number;
  readonly #failure: Fd;
  readonly #gate: Fd;
  readonly #table: Fd;
  #waits = true;

  /**
   * Has CRIU be loaded.
   *
   * @returns Nothing for a CRIU, or on a machine, that cannot wait.
   * @throws {SyscallError} if it cannot be started.
   */
  static start(
    { program, loader, version }: InstalledCriu,
    request: Omit<LoadRequest, "program" | "loader" | "preload">,
  ): WaitingCriu | undefined {
    if (!loader || request.arch !== "x86_64") return undefined;
    code ??= new Uint8Array([...Uint8Array.fromHex(WAITING_CODE), ...machineCode("x86_64")]);
    using library = withoutTls(request.arch, version, code);
    return library && new WaitingCriu({ ...request, program, loader, preload: LIBRARY_FD }, library);
  }

  private constructor(request: LoadRequest, library: Fd) {
    using parts = new DisposableStack();
    const both = (): [Fd, Fd] => {
      const [ours, theirs] = socketPair();
      return [parts.use(ours), theirs];
    };
    const [socket, service] = both();
    const [gate, theirs] = both();
    const failure = pipe();
    using given = new DisposableStack();
    for (const each of [service, theirs, failure.write]) given.use(each);
    this.#failure = parts.use(failure.read);
    this.#table = parts.use(emptyMemoryFile("criu"));
    this.#loaded = request;
    this.#image = assemble(loadPlan(request));
    const fds = [service, failure.write, theirs, this.#table, library];
    this.#pid = spawnImage(this.#image, fds.map(({ raw }) => raw));
    this.socket = socket;
    this.#gate = gate;
    this.#parts = parts.move();
  }

  /** Whether it has not been used, and has not ended. */
  get isWaiting(): boolean {
    if (this.#waits && reap(this.#pid, false)) this.#waits = false;
    return this.#waits;
  }

  /** Whether it can still come to be what a request wants. */
  suits({ network, flags }: WorkerRequest): boolean {
    const isSame = flags.join(" ") === this.#loaded.flags.join(" ");
    return isSame && (this.#loaded.network === undefined || network !== undefined);
  }

  /**
   * Lets it begin: it hears of its work next.
   *
   * @param given Descriptors for it, from the first that is inherited on; they have to be open until it has begun.
   * @throws {LaunchError} if a step failed.
   * @throws {SyscallError} if it has ended meanwhile.
   */
  async enter(request: WorkerRequest, given: readonly number[]): Promise<CriuProcess> {
    const image = assemble(enterPlan(request, this.#loaded, { parent: Deno.pid, given }));
    const table = image.elf.subarray(DATA_OFFSET);
    writeAll(this.#table, table, "criu");
    let refused: unknown;
    try {
      writeAll(this.#gate, new Uint8Array(new BigUint64Array([BigInt(table.length)]).buffer), "CRIU");
      this.#waits = false;
    } catch (error) {
      refused = error; // it has ended
    }
    throwIfFailed(await readToEnd(this.#failure), this.#image);
    if (refused !== undefined) throw refused;
    return await becomesCriu(this.#pid, this.#gate, image);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#parts.dispose();
    if (!this.#waits) return;
    this.#waits = false;
    await waitFor(this.#pid);
  }
}
