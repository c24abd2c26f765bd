import { isThere } from "../../ffi/look.ts";
import { Temporary } from "../helpers/cli.ts";
import type { Answer, Containers } from "../helpers/containers.ts";
import { waitUntil } from "../helpers/eventually.ts";
import { buildInjector, type Call, injected, type Point, readLog, type Turn } from "./injector.ts";

const LIMIT_S = 90;

/** What a command has done. */
export interface Done extends Answer {
  /** Its own calls, from the first that names the directory of containers. */
  readonly own: readonly Call[];
  /** Those of all its processes. */
  readonly calls: readonly Call[];
  readonly hit?: Call;
}

/** Commands on containers whose system calls are followed. */
export class Followed implements Disposable {
  readonly #directory = new Temporary();
  readonly #injector: string;
  readonly #log: string;

  constructor(readonly containers: Containers) {
    this.#injector = buildInjector(this.#directory.path);
    this.#log = `${this.#directory.path}/log`;
    Deno.writeTextFileSync(`${this.#directory.path}/libc.so.6`, "no library");
  }

  /** A directory for files of the test. */
  get path(): string {
    return this.#directory.path;
  }

  /** The command line of an executable that ends with 127 where it would load Deno: the library it needs is none. */
  alone(): readonly string[] {
    return ["/usr/bin/env", `LD_LIBRARY_PATH=${this.#directory.path}`, ...this.containers.program];
  }

  /** Begins a command, at one of whose calls something is done. */
  begin(
    args: readonly string[],
    { program = this.containers.program, ...what }: {
      readonly program?: readonly string[];
      readonly point?: Point;
      readonly turn?: Turn;
    } = {},
  ): { readonly child: Deno.ChildProcess; readonly done: Promise<Done> } {
    const { containers } = this;
    const usual = containers.program;
    const wrapper = injected(this.#injector, {
      from: containers.root,
      log: this.#log,
      limitS: LIMIT_S,
      ...what,
    });
    containers.program = [...wrapper, ...program];
    const { child, answer } = containers.begin(...args);
    containers.program = usual;
    const done = answer.then((said) => {
      const found = readLog(this.#log);
      return { ...said, ...found, own: found.calls.filter(({ process }) => process === 0) };
    });
    return { child, done };
  }

  /** Runs a command to its end. */
  run(...args: Parameters<Followed["begin"]>): Promise<Done> {
    return this.begin(...args).done;
  }

  /** Runs a command that waits before one of its calls until `act` has ended. */
  async during(
    call: Call,
    act: () => void | Promise<void>,
    [args, options]: Parameters<Followed["begin"]>,
  ): Promise<Done> {
    const [reached, over] = ["reached", "over"].map((name) => `${this.path}/${name}`) as [string, string];
    const meanwhile = `touch ${reached}; while [ ! -e ${over} ]; do sleep 0.01; done; rm ${reached} ${over}`;
    const { done } = this.begin(args, { ...options, turn: { call, does: { meanwhile } } });
    let hasEnded = false;
    void done.then(() => hasEnded = true);
    await waitUntil(() => hasEnded || isThere(reached), `call ${call.name}`);
    try {
      if (!hasEnded) await act();
    } finally {
      Deno.writeTextFileSync(over, "");
    }
    const said = await done;
    if (!said.hit) throw new Error(`It has not come to ${call.name} ${call.detail}`);
    return said;
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}
