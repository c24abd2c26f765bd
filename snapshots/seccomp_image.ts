/** CRIU's seccomp.img: the filters that processes had. */

const HEADER_BYTES = 8; // two magic numbers
const MOST_BYTES = 64 << 20;

/** A filter of the image. */
export interface KeptFilter {
  /** `struct sock_filter[]` */
  readonly program: Uint8Array;
  /** Whether it was there before all others of its processes. */
  readonly isFirst: boolean;
}

/** The filters of a directory of images; none if nobody had one. @throws {Error} if the image is not as it should be. */
export function keptFilters(directory: string): KeptFilter[] {
  const path = `${directory}/seccomp.img`;
  let bytes: Uint8Array;
  try {
    if (Deno.lstatSync(path).size > MOST_BYTES) throw new RangeError(`Cannot read "${path}": it is too large`);
    bytes = Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  return readFilters(bytes);
}

/** The filters of an image: `SeccompEntry { repeated SeccompFilter = 1 { bytes filter = 1; int32 prev = 2; … } }`. */
export function readFilters(image: Uint8Array): KeptFilter[] {
  if (image.length <= HEADER_BYTES) return [];
  const size = new DataView(image.buffer, image.byteOffset).getUint32(HEADER_BYTES, true);
  const entry = image.subarray(HEADER_BYTES + 4, HEADER_BYTES + 4 + size);
  return [...fields(entry)].filter(({ number }) => number === 1).map(({ bytes }) => {
    const members = [...fields(bytes!)];
    const program = members.find(({ number }) => number === 1)?.bytes ?? new Uint8Array();
    return { program, isFirst: !members.some(({ number }) => number === 2) };
  });
}

interface Field {
  readonly number: number;
  /** The content of a field with a length. */
  readonly bytes?: Uint8Array;
}

const [VARINT, LENGTH, FIXED64, FIXED32] = [0, 2, 1, 5];

/** The fields of a message of protocol buffers, in their order. */
function* fields(message: Uint8Array): Iterable<Field> {
  let at = 0;
  const varint = (): number => {
    let [value, shift] = [0, 1];
    for (let count = 0; count < 10; count++) {
      const byte = message[at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
      shift *= 128;
    }
    throw new Error("Cannot read an image of CRIU: it was cut off");
  };
  while (at < message.length) {
    const key = varint();
    const [number, type] = [Math.floor(key / 8), key % 8];
    if (type === VARINT) {
      varint();
      yield { number };
    } else if (type === LENGTH) {
      const size = varint();
      if (at + size > message.length) throw new Error("Cannot read an image of CRIU: it was cut off");
      yield { number, bytes: message.subarray(at, at + size) };
      at += size;
    } else if (type === FIXED64 || type === FIXED32) {
      at += type === FIXED64 ? 8 : 4;
      yield { number };
    } else throw new Error(`Cannot read an image of CRIU: it has a field of type ${type}`);
  }
}
