import { resolve } from "@std/path";
import { UnsupportedError, UsageError } from "../../runtime/errors.ts";
import type { Images } from "../open_images.ts";
import type { LentPages } from "./kept.ts";
import { MOST_KEPT_BYTES, seenAgain } from "./seen.ts";

const ALONE = "a single fork has nobody to share memory with";
/** What spoke last against bringing memory in later, by the directory of images; of so many it is known. */
const found = new Map<string, string | undefined>();
const MOST_FOUND = 64;

/** How the memory of a fork was brought back, and why not lazily, if nobody has asked for either. */
export interface ForkPages {
  /** As in {@linkcode LazyOption}. */
  readonly how: "eager" | "lazy";
  /** What spoke against lazy. */
  readonly why?: string;
}

/** How memory is brought back. */
export interface LazyOption {
  /**
   * `eager`: all of it before it goes on. `lazy`: each page when it is touched, by a process that lives as long as the
   * container; forks of one state take the memory of what they touch then.
   *
   * @default eager for a restore, lazy for forks where nothing speaks against it: the first one alone of a process is eager
   */
  readonly pages?: "eager" | "lazy" | undefined;
}

/**
 * The memory that is to be brought in when it is touched, if that was asked for.
 *
 * @throws {UnsupportedError} if it cannot be done with those images.
 */
export async function pagesOf(
  { path, manifest }: Images,
  { pages, lazyPages }: LazyOption & { readonly lazyPages?: boolean },
): Promise<LentPages | undefined> {
  if (pages === undefined || pages === "eager") return undefined;
  if (pages !== "lazy") throw new UsageError(`Cannot use "${pages}" for pages: it is eager or lazy`);
  if (lazyPages) throw new UsageError("Cannot use both --lazy and --lazy-pages: choose who brings memory in");
  if (manifest?.kind === "light") return undefined; // there is no memory
  if (!manifest || manifest.pages !== undefined) {
    throw new UnsupportedError(
      "--lazy",
      "only memory that a checkpoint of ours holds can be",
      "leave it out",
    );
  }
  return (await import("./kept.ts")).keptPages.take(path);
}

/**
 * The same for forks, which take it by themselves where it is safe and saves something.
 *
 * @param isAlone Whether there is but one fork, which could share nothing.
 * @throws {UnsupportedError} if it was asked for and cannot be done.
 */
export async function pagesOfForks(
  images: Images,
  { pages }: LazyOption,
  isAlone: boolean,
): Promise<{ readonly pages: LentPages | undefined; readonly told: ForkPages }> {
  if (pages !== undefined) {
    const asked = await pagesOf(images, { pages });
    return { pages: asked, told: { how: asked ? "lazy" : "eager" } };
  }
  const why = await against(images, isAlone);
  found.delete(images.path);
  found.set(images.path, why);
  if (found.size > MOST_FOUND) found.delete(found.keys().next().value!);
  if (why !== undefined) return { pages: undefined, told: { how: "eager", why } };
  try {
    return { pages: await pagesOf(images, { pages: "lazy" }), told: { how: "lazy" } };
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    return { pages: undefined, told: { how: "eager", why: error.message } };
  }
}

/** Whether {@linkcode pagesOfForks} will find that a single fork takes it, by what it found last: a guess. */
export function isLikelyLazy(path: string, { pages }: LazyOption): boolean {
  if (pages !== undefined) return pages === "lazy";
  const images = resolve(path);
  const why = found.get(images);
  return found.has(images) && (why === undefined || why === ALONE);
}

/** What speaks against it where nobody has asked for it. */
async function against({ path, manifest }: Images, isAlone: boolean): Promise<string | undefined> {
  if (manifest?.kind === "light") return "there is no memory: programs begin anew";
  if (isAlone) {
    const before = seenAgain(path);
    if (!before) return ALONE;
    if (before.bytes > MOST_KEPT_BYTES) return "its memory is too much to be kept for the next one";
  }
  const { mostThreads, refusalOfKernel } = await import("./allowed.ts");
  // Threads that move memory at the same time may leave open what is where, and be ended for it.
  if (mostThreads(Deno.readFileSync(`${path}/pstree.img`)) > 1) return "a process of it has several threads";
  return refusalOfKernel();
}
