import { AttestationError, LifecycleError, UnsupportedError } from "../runtime/errors.ts";
import { LaunchError } from "../runtime/launch/launch_error.ts";
import type { Bundle } from "../runtime/bundle.ts";
import type { Images } from "./open_images.ts";
import type { RestoreOptions } from "./restore_options.ts";
import type { Stdio } from "./restore_externals.ts";
import { type RestoredContainer, type Rung, RUNGS } from "./restored_container.ts";

/** What is restored, and under what. */
export interface Wanted {
  readonly id: string;
  readonly bundle: Bundle;
  readonly options: RestoreOptions;
  readonly stdio: Stdio;
}

/** How the rungs are reached. */
export interface Ways {
  /** What the checkpoint is: a light one has no rung above. */
  readonly kind: () => "full" | "light";
  readonly full: () => Promise<RestoredContainer>;
  /** The images, of which only the files and how the program was begun are looked at. */
  readonly light: () => Promise<Images>;
}

/**
 * Restores as much of a checkpoint as can be: all of it, or what the caller has asked for in place of that.
 *
 * @throws what keeps it from being restored, of the last rung that was asked for.
 */
export async function descend(wanted: Wanted, ways: Ways): Promise<RestoredContainer> {
  const { fallback } = wanted.options;
  const first = ways.kind();
  const rungs = RUNGS.slice(RUNGS.indexOf(first), RUNGS.indexOf(fallback ?? first) + 1);
  const fallen: { readonly rung: Rung; readonly error: Error }[] = [];
  for (const rung of rungs.length > 0 ? rungs : [first]) {
    try {
      return { ...await climb(rung, wanted, ways), fallen };
    } catch (error) {
      if (!mayFall(error)) throw error;
      fallen.push({ rung, error });
    }
  }
  const [{ error }] = fallen as [(typeof fallen)[number]];
  if (fallen.every((each) => each.error.message === error.message)) throw error;
  const why = fallen.map(({ rung, error }) => `${rung}: ${error.message}`).join("; ");
  throw new LifecycleError(`Cannot restore container "${wanted.id}" by any rung that was asked for: ${why}`);
}

async function climb(rung: Rung, wanted: Wanted, { full, light }: Ways): Promise<RestoredContainer> {
  if (rung === "full") return await full();
  const { beginAnew } = await import("./light/begin.ts");
  const { id, bundle, options, stdio } = wanted;
  const images = rung === "light" ? await light() : undefined;
  const hasTerminal = bundle.spec.process?.terminal ?? false;
  return await beginAnew(id, { images, bundle: () => bundle, hasTerminal, options, stdio });
}

/** Whether an error is about what a rung takes, and not about what the caller or the bundle asks for. */
function mayFall(error: unknown): error is Error {
  const kinds = [LifecycleError, UnsupportedError, AttestationError, LaunchError];
  return kinds.some((kind) => error instanceof kind);
}
