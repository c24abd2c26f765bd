import { errnoName } from "../../ffi/errno_names.ts";
import { explain } from "./explain.ts";
import type { StepWords } from "./image.ts";

export { SyscallError } from "../../ffi/errno.ts";

/** What is said of an init that did not live to become the program. */
export const KILLED_EARLY = "Cannot start the sandbox: its init was killed before the program began";

/** A step of the launch failed: which of how many, on what, and why. */
export class LaunchError extends Error {
  /** Always `LaunchError`. */
  override readonly name = "LaunchError";
  /**
   * One message with the name of the errno and, where one is known, a remedy.
   *
   * @param op The step in words.
   * @param step Its number, from 1.
   * @param steps How many the plan has.
   * @param errno The number of the error.
   */
  constructor(readonly op: StepWords, readonly step: number, readonly steps: number, readonly errno: number) {
    const remedy = explain(op, errno);
    super(
      `Cannot ${op.does} (step ${step} of ${steps}, ${op.call}): ${errnoName(errno)}${
        remedy && `; ${remedy}`
      }`,
    );
  }
}
