/** One problem in a document: where (a JSON pointer, RFC 6901) and what. */
export interface Issue {
  /** JSON pointer to the value at fault; empty for the whole document. */
  readonly pointer: string;
  /** What is wrong, as in "Cannot …". */
  readonly message: string;
}

/** The bundle is at fault: every problem found in it, each with its JSON pointer. */
export class SpecError extends Error {
  /** Always `SpecError`. */
  override readonly name = "SpecError";
  /**
   * One message out of all the problems.
   *
   * @param path The document, as messages name it.
   * @param issues At least one problem.
   */
  constructor(readonly path: string, readonly issues: readonly Issue[]) {
    const lines = issues.map(({ pointer, message }) => `${pointer || "/"}: ${message}`);
    super(`Cannot use "${path}": ${lines.join("; ")}`);
  }
}

/** This host cannot do what was asked; `remedy` says what would mend that. */
export class UnsupportedError extends Error {
  /** Always `UnsupportedError`. */
  override readonly name = "UnsupportedError";
  /**
   * One message out of the three.
   *
   * @param feature What was asked for: a property of config.json, as a rule.
   * @param reason What this host or version lacks.
   * @param remedy What would mend that, if anything.
   */
  constructor(readonly feature: string, readonly reason: string, readonly remedy: string = "") {
    super(`Cannot apply ${feature}: ${reason}${remedy && `; ${remedy}`}`);
  }
}

/** The calls came in an order that makes no sense, such as starting a sandbox twice. */
export class LifecycleError extends Error {
  /** Always `LifecycleError`. */
  override readonly name = "LifecycleError";
}

/** The command line or the options of a call are wrong. */
export class UsageError extends Error {
  /** Always `UsageError`. */
  override readonly name = "UsageError";
}

/** One way in which a sandbox is not what was asked for. */
export interface Difference {
  /** What differs: a property of its first process, or a mount. */
  readonly what: string;
  /** What was asked for. */
  readonly asked: string;
  /** What it is. */
  readonly is: string;
}

/** A sandbox that was built is not what was asked for. Nothing has run in it; it is gone. */
export class AttestationError extends Error {
  /** Always `AttestationError`. */
  override readonly name = "AttestationError";
  /**
   * One line that names every difference.
   *
   * @param id The sandbox's name.
   * @param differences At least one.
   * @param remedy What would mend that, if anything is known.
   */
  constructor(
    readonly id: string,
    readonly differences: readonly Difference[],
    readonly remedy: string = "",
  ) {
    const lines = differences.map(({ what, asked, is }) => `${what}: asked for ${asked}, is ${is}`);
    const all = [...lines, ...(remedy ? [remedy] : [])].join("; ");
    super(`Cannot start sandbox "${id}": it is not what was asked for: ${all}`);
  }
}

/** No policy could be learned from a run, or the program does not work under what was learned. */
export class LearnError extends Error {
  /** Always `LearnError`. */
  override readonly name = "LearnError";
}
