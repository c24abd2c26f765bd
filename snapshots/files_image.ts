import { type Field, readFields, readImage, writeFields, writeImage } from "./protobuf.ts";

/** What takes the place of a file that lies outside of the container. */
export interface Substitute {
  /** Where it stands now; nothing where there is no such thing, as in a pipe. */
  readonly position: bigint | undefined;
  readonly append: boolean;
}

/** Fields of `file_entry` and of `reg_file_entry` in it. */
const REG = 3;
const [FLAGS, POSITION, NAME, SIZE, EXTERNAL, MODE] = [2, 3, 6, 8, 9, 10];
const O_APPEND = 0o2000n;
const NOWHERE = 2n ** 64n - 1n;

/**
 * files.img, in which each external file is what now takes its place: CRIU would insist on one of the same kind and size,
 * and go on at the old one's position.
 *
 * @param substitutes By the names of the files.
 */
export function substituteFiles(
  image: Uint8Array<ArrayBuffer>,
  substitutes: ReadonlyMap<string, Substitute>,
): Uint8Array<ArrayBuffer> {
  const { magic, messages } = readImage(image);
  return writeImage({
    magic,
    messages: messages.map((message) => {
      const fields = readFields(message);
      const file = fields.find(({ number }) => number === REG)?.value;
      if (file === undefined || typeof file === "bigint") return message;
      const members = readFields(file);
      const name = members.find(({ number }) => number === NAME)?.value;
      const isExternal = members.some(({ number, value }) => number === EXTERNAL && value === 1n);
      if (!isExternal || name === undefined || typeof name === "bigint") return message;
      const substitute = substitutes.get(new TextDecoder().decode(name));
      if (!substitute) return message;
      const value = writeFields(members.flatMap((each) => change(each, substitute)));
      return writeFields(fields.map((each) => each.number === REG ? { number: REG, value } : each));
    }),
  });
}

function change(field: Field, { position, append }: Substitute): Field[] {
  const { number, value } = field;
  if (number === SIZE || number === MODE) return [];
  if (number === POSITION) return [{ number, value: position ?? NOWHERE }];
  if (number === FLAGS && typeof value === "bigint") {
    return [{ number, value: append ? value | O_APPEND : value & ~O_APPEND }];
  }
  return [field];
}

/** What one of this process's descriptors is, to take the place of a file. */
export function substituteOf(fd: number): Substitute {
  const info = Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`);
  const number = (name: string, radix: string): bigint => {
    return BigInt(`${radix}${new RegExp(`^${name}:\\s*(\\d+)$`, "m").exec(info)?.[1] ?? 0}`);
  };
  const hasPosition = Deno.readLinkSync(`/proc/self/fd/${fd}`).startsWith("/");
  return {
    position: hasPosition ? number("pos", "") : undefined,
    append: (number("flags", "0o") & O_APPEND) !== 0n,
  };
}
