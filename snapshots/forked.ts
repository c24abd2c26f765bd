import type { Fd } from "../ffi/fd.ts";
import type { ChoiceOptions } from "../runtime/lifecycle/container.ts";
import { Container } from "../runtime/lifecycle/handle.ts";
import { readable, writable } from "../runtime/supervise/streams.ts";
import type { ForkPages } from "./pager/option.ts";
import type { RestoredContainer } from "./restored_container.ts";

/** What a {@linkcode Fork} is made from. */
interface ForkBegin {
  readonly id: string;
  readonly number: number;
  readonly restored: RestoredContainer;
  readonly streams: DisposableStack;
  readonly ends: {
    readonly stdin: Fd | undefined;
    readonly stdout: Fd | undefined;
    readonly stderr: Fd | undefined;
  };
  readonly store: ChoiceOptions;
  readonly pages: ForkPages;
}

/** A container that was made from the state of another one. Disposing ends and removes it; {@linkcode letGo} leaves it. */
export class Fork implements AsyncDisposable {
  /** Its id. */
  readonly id: string;
  /** Which one of its siblings it is. */
  readonly number: number;
  /** Its first process. */
  readonly pid: number;
  /** What it reads, if stdin is piped. */
  readonly stdin: WritableStream<Uint8Array<ArrayBuffer>> | undefined;
  /** What it prints, if stdout is piped. */
  readonly stdout: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  /** What it complains of, if stderr is piped. */
  readonly stderr: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  /** How its memory was brought back. */
  readonly pages: ForkPages;
  readonly #restored: RestoredContainer;
  readonly #streams: DisposableStack;
  readonly #store: ChoiceOptions;
  #ended: Promise<number> | undefined;
  #isLeft = false;

  /** For {@linkcode forkContainers}. */
  constructor({ id, number, restored, streams, ends, store, pages }: ForkBegin) {
    this.id = id;
    this.number = number;
    this.pid = restored.pid;
    this.pages = pages;
    this.#restored = restored;
    this.#streams = streams;
    this.#store = store;
    this.stdin = ends.stdin && streams.use(writable(ends.stdin)).stream;
    this.stdout = ends.stdout && streams.use(readable(ends.stdout)).stream;
    this.stderr = ends.stderr && streams.use(readable(ends.stderr)).stream;
  }

  /** It as a container, with `exec`, `pause`, `update` and the rest. @throws {LifecycleError} if it is gone. */
  get container(): Container {
    return Container.open(this.id, this.#store);
  }

  /** Resolves with the exit code of its first process: 128 + n if signal n has ended it. */
  wait(): Promise<number> {
    return this.#ended ??= this.#restored.wait();
  }

  /** Leaves it to itself: it goes on when this is disposed of. */
  letGo(): void {
    this.#isLeft = true;
  }

  /** Ends and removes it, unless it was left to itself; another container that has its name by now stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isLeft) return this.#streams.dispose();
    const { deleteContainer } = await import("../runtime/lifecycle/delete.ts");
    await deleteContainer(this.id, { ...this.#store, force: true });
    await this.wait();
    this.#streams.dispose();
  }
}
