import { type Bundle, Sandbox } from "../mod.ts";
import { giveNamespacesBack, networkNamespaces } from "./usage.ts";

const QUIET = { stdin: "null", stdout: "null", stderr: "null" } as const;
const SETTLE_STEP_MS = 200;
/** How long none may have gone before the rest counts as left, and how long all of them may take. */
const SETTLE_QUIET_MS = 20_000;
const SETTLE_MS = 240_000;
/** Of the namespaces that ended, how many may stay in reserve where the kernel cannot be told to give them back. */
const RESERVE = 0.6;
/** Those of other programs on this machine. */
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

/** What {@linkcode settle} asks, and how long it waits. */
export interface Settling {
  readonly count: () => number;
  /** Gives back what is only in reserve, if it can. */
  readonly giveBack: () => boolean;
  readonly stepMs: number;
  readonly quietMs: number;
}

/**
 * Waits until the kernel has taken apart the network namespaces of sandboxes that ended, which it does in its own
 * time, some hundred in a second: as long as they get fewer. Where the memory of some stays in reserve for the next ones it
 * still counts: hence the part. What really leaks adds up from one crowd to the next, while the reserve does not.
 *
 * @param before How many there were before the sandboxes.
 * @param ended How many sandboxes had one.
 * @returns How many are still too many.
 */
export async function settle(
  before: number,
  ended: number,
  { count, giveBack, stepMs, quietMs }: Settling = {
    count: networkNamespaces,
    giveBack: giveNamespacesBack,
    stepMs: SETTLE_STEP_MS,
    quietMs: SETTLE_QUIET_MS,
  },
): Promise<number> {
  const most = Math.ceil(before + RESERVE_ALWAYS + (giveBack() ? 0 : ended * RESERVE));
  const begin = performance.now();
  let [least, since] = [count(), begin];
  while (least > most && performance.now() < Math.min(since + quietMs, begin + SETTLE_MS)) {
    await new Promise((resolve) => setTimeout(resolve, stepMs));
    giveBack();
    const now = count();
    if (now < least) [least, since] = [now, performance.now()];
  }
  return Math.max(0, least - most);
}
