import { LifecycleError } from "../runtime/errors.ts";
import { readFields, readImage } from "./protobuf.ts";

/** What of a container is kept with its images, and what is found again on the host. */
export interface Kept {
  /** Where it has mounts. */
  readonly mounts: readonly string[];
  /** Whether what lies in the root file system is kept. */
  readonly root: boolean;
  /** Where files are that are the host's. */
  readonly external: readonly { readonly path: string }[];
}

/** Fields of `remap_file_path_entry`, of `file_entry` and of `reg_file_entry` in it. */
const [ORIGINAL, REMAP, KIND] = [1, 2, 3];
const [REG, ID, NAME] = [3, 1, 6];
/** A file that is gone, but has other names: CRIU has given it one more. */
const LINKED = 0n;

/**
 * Refuses images of a container that goes on which nobody could restore: CRIU has given removed files that are open
 * another name, and takes that away again. What is kept with the images was written down before, with that name.
 *
 * @param directory The images.
 * @throws {LifecycleError} that names such a file.
 */
export function refuseLostNames(id: string, directory: string, kept: Kept): void {
  const lost = linkRemaps(directory).find(({ name }) => !isKept(name, kept));
  if (!lost) return;
  throw new LifecycleError(
    `Cannot checkpoint container "${id}" and let it go on: "${lost.removed}" was removed and is open, and the ` +
      "name that CRIU gives it for a restore is gone when it goes on; leave --leave-running out",
  );
}

function isKept(name: string, { mounts, root, external }: Kept): boolean {
  const above = mounts.filter((path) => name.startsWith(path === "/" ? path : `${path}/`));
  const mount = above.sort((a, b) => b.length - a.length)[0] ?? "/";
  return mount === "/" ? root : !external.some(({ path }) => path === mount);
}

/** Removed files in images: by which name they were opened, and the one that CRIU has given them. */
function linkRemaps(directory: string): { readonly removed: string; readonly name: string }[] {
  const messages = messagesOf(`${directory}/remap-fpath.img`).map(numbersOf);
  const linked = messages.filter((each) => each.get(KIND) === LINKED);
  if (linked.length === 0) return [];
  const names = new Map(
    messagesOf(`${directory}/files.img`).flatMap((message) => {
      const file = readFields(message).find(({ number }) => number === REG)?.value;
      if (file === undefined || typeof file === "bigint") return [];
      const name = readFields(file).find(({ number }) => number === NAME)?.value;
      if (name === undefined || typeof name === "bigint") return [];
      return [[numbersOf(file).get(ID), `/${new TextDecoder().decode(name).replace(/^\.?\//, "")}`] as const];
    }),
  );
  return linked.map((each) => ({
    removed: names.get(each.get(ORIGINAL)) ?? "a file",
    name: names.get(each.get(REMAP)) ?? "/",
  }));
}

function messagesOf(path: string): readonly Uint8Array<ArrayBuffer>[] {
  try {
    return readImage(Deno.readFileSync(path)).messages;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** The fields of a message that are numbers. */
function numbersOf(message: Uint8Array<ArrayBuffer>): ReadonlyMap<number, bigint> {
  return new Map(
    readFields(message).flatMap(({ number, value }) => {
      return typeof value === "bigint" ? [[number, value] as const] : [];
    }),
  );
}
