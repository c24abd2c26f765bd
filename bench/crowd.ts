import { type Bundle, Sandbox } from "../mod.ts";
import { networkNamespaces } from "./usage.ts";

const QUIET = { stdin: "null", stdout: "null", stderr: "null" } as const;
const SETTLE_STEP_MS = 200;
const SETTLE_MS = 20_000;
const RESERVE = 0.6;
const RESERVE_ALWAYS = 150;

/** Sandboxes of this process that live at the same time. */
export class Crowd implements AsyncDisposable {
  readonly sandboxes: Sandbox[] = [];

  /**
   * Starts more until there are `count`, or `stop` names a reason to stop, or one cannot be started.
   *
   * @param concurrency How many are on their way at a time.
   * @returns Why there are fewer; nothing if all run.
   */
  async fill(
    bundle: Bundle,
    { count, concurrency, stop = () => undefined }: {
      readonly count: number;
      readonly concurrency: number;
      readonly stop?: (running: number) => string | undefined;
    },
  ): Promise<string | undefined> {
    let started = this.sandboxes.length;
    let reason: string | undefined;
    const one = async (): Promise<void> => {
      while (reason === undefined && started < count) {
        reason = stop(this.sandboxes.length);
        if (reason !== undefined) return;
        started++;
        try {
          this.sandboxes.push(await Sandbox.run({ bundle, ...QUIET }));
        } catch (error) {
          reason ??= (error as Error).message;
        }
      }
    };
    await Promise.all(Array.from({ length: concurrency }, one));
    return reason;
  }

  /** Ends all of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.sandboxes.splice(0).map((sandbox) => sandbox[Symbol.asyncDispose]()));
  }
}

/**
 * Waits until the kernel has taken apart the network namespaces of sandboxes that ended, which it does in its own
 * time. Some memory of theirs stays in reserve for the next ones, and still counts: hence the part. What really leaks
 * adds up from one crowd to the next, while the reserve does not.
 *
 * @param before How many there were before the sandboxes.
 * @param ended How many sandboxes had one.
 * @returns How many are still too many.
 */
export async function settle(before: number, ended: number): Promise<number> {
  const most = before + RESERVE_ALWAYS + ended * RESERVE;
  const deadline = performance.now() + SETTLE_MS;
  while (networkNamespaces() > most && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_STEP_MS));
  }
  return Math.max(0, networkNamespaces() - Math.ceil(most));
}
