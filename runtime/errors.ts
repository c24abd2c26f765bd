/** One problem in a document: where (a JSON pointer, RFC 6901) and what. */
export interface Issue {
  readonly pointer: string;
  readonly message: string;
}

/** The bundle is at fault: every problem found in it, each with its JSON pointer. */
export class SpecError extends Error {
  override readonly name = "SpecError";
  constructor(readonly path: string, readonly issues: readonly Issue[]) {
    const lines = issues.map(({ pointer, message }) => `${pointer || "/"}: ${message}`);
    super(`Cannot use "${path}": ${lines.join("; ")}`);
  }
}

/** This host cannot do what was asked; `remedy` says what would mend that. */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
  constructor(readonly feature: string, readonly reason: string, readonly remedy: string = "") {
    super(`Cannot apply ${feature}: ${reason}${remedy && `; ${remedy}`}`);
  }
}

/** The calls came in an order that makes no sense, such as starting a sandbox twice. */
export class LifecycleError extends Error {
  override readonly name = "LifecycleError";
}

/** The command line or the options of a call are wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
