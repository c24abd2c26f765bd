import { readFields, readImage } from "./protobuf.ts";

const MOST_BYTES = 64 << 20;

/** A seccomp filter of the images. */
export interface KeptFilter {
  /** `struct sock_filter[]` */
  readonly program: Uint8Array;
  /** Whether it was there before all others of its processes. */
  readonly isFirst: boolean;
}

/** The filters of a directory of images; none if nobody had one. @throws {Error} if the image is not as it should be. */
export function keptFilters(directory: string): KeptFilter[] {
  const path = `${directory}/seccomp.img`;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    if (Deno.statSync(path).size > MOST_BYTES) throw new RangeError(`Cannot read "${path}": it is too large`);
    bytes = Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  return readFilters(bytes);
}

/** The filters of an image: `seccomp_entry { repeated seccomp_filter { bytes filter = 1; uint32 prev = 2; … } = 1 }`. */
export function readFilters(image: Uint8Array<ArrayBuffer>): KeptFilter[] {
  return readImage(image).messages.flatMap(readFields).flatMap(({ number, value }) => {
    if (number !== 1 || typeof value === "bigint") return [];
    const members = readFields(value);
    const program = members.find((each) => each.number === 1)?.value;
    if (program === undefined || typeof program === "bigint") return [];
    return [{ program, isFirst: !members.some((each) => each.number === 2) }];
  });
}
