import type { FactName } from "./facts.ts";

/** One thing that must be so before anything of the sandbox runs. Plain data: it is kept with the image. */
export interface Expectation {
  readonly fact: FactName;
  /** Which one, where there are several: a capability set, a limit, a namespace, a path. */
  readonly of?: string;
  /**
   * What it must be: exactly `value`; that, or not to be told by this kernel; no limit above `value`; what it is of this process; anything but that; what lies at the path `value`;
   * those capabilities of `value` that this process could hand on.
   */
  readonly must: "be" | "be if told" | "be at most" | "be ours" | "not be ours" | "be at" | "be ours of";
  readonly value?: string;
}

/** A mount that must be there. */
export interface ExpectedMount {
  readonly path: string;
  /** File system type, or what covers a masked path; a copied mount may have any. */
  readonly type?: string;
  /** Mount options that it must have, and that it must not have. */
  readonly set: readonly string[];
  readonly clear: readonly string[];
  /** Options that every mount must have that came along with it from below its source; none may if it has no such. */
  readonly below?: { readonly set: readonly string[]; readonly clear: readonly string[] };
  /** Options of the file system. */
  readonly data?: readonly string[];
  /** The path on the host whose directory or file must lie there. */
  readonly source?: string;
  /** How it may pass mounts on: as the option words say; `any` where it is not known. */
  readonly propagation: "private" | "slave" | "shared" | "unbindable" | "any";
  /** Only where the path exists: a path that must be hidden, or must not be written to. */
  readonly optional?: true;
  /** Changes what is there already. */
  readonly change?: true;
}

/** What init must be like. */
export interface Expected {
  readonly facts: readonly Expectation[];
  /** In the order in which they were attached; `undefined` without a mount namespace of its own. */
  readonly mounts?: readonly ExpectedMount[];
}
