import { type Field, readFields, readImage, writeFields, writeImage } from "./protobuf.ts";

/** Fields of `task_kobj_ids_entry`. */
const [UTS_NS, MOUNT_NS] = [8, 9];
/** Fields of `mnt_entry`. */
const [ID, PARENT, FLAGS, ROOT, MOUNTPOINT, SHARED, MASTER, KEY] = [2, 4, 5, 6, 7, 10, 11, 18];
/** MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_RELATIME. */
const LOCKED = BigInt(1 | 2 | 4 | 8 | (1 << 21));

/** The names of the images of the namespaces that a container's first process is in. */
export function namespaceImages(
  ids: Uint8Array<ArrayBuffer>,
): { readonly uts: string; readonly mounts: string } {
  const fields = readFields(readImage(ids).messages[0] ?? new Uint8Array());
  const number = (field: number): bigint => {
    const value = fields.find((each) => each.number === field)?.value;
    return typeof value === "bigint" ? value : 0n;
  };
  return { uts: `utsns-${number(UTS_NS)}.img`, mounts: `mountpoints-${number(MOUNT_NS)}.img` };
}

/** The image of a UTS namespace, with another host name: `utsns_entry { string nodename = 1; … }`. */
export function renameHost(image: Uint8Array<ArrayBuffer>, name: string): Uint8Array<ArrayBuffer> {
  const { magic, messages } = readImage(image);
  return writeImage({
    magic,
    messages: messages.map((message) =>
      writeFields(readFields(message).map((each) => each.number === 1 ? text(1, name) : each))
    ),
  });
}

/**
 * The image of mounts, with one more: a file of the host on a file of the root, read-only. Where it is on the host CRIU
 * is told as of all mounts that are external.
 */
export function addFileMount(image: Uint8Array<ArrayBuffer>, path: string): Uint8Array<ArrayBuffer> {
  const { magic, messages } = readImage(image);
  const mounts = messages.map(readFields);
  const root = mounts.find((fields) => textOf(fields, MOUNTPOINT) === "/");
  if (!root) throw new Error("Cannot read an image of CRIU: it has no root mount");
  // That of a mount that is not among them, the parent of the root, must not be taken for it.
  const ids = mounts.flatMap((fields) => [numberOf(fields, ID), numberOf(fields, PARENT)]);
  const id = ids.reduce((most, each) => each > most ? each : most) + 1n;
  const changes = new Map<number, Field>([
    [ID, { number: ID, value: id }],
    [PARENT, { number: PARENT, value: numberOf(root, ID) }],
    [FLAGS, { number: FLAGS, value: LOCKED }],
    [ROOT, text(ROOT, path)],
    [MOUNTPOINT, text(MOUNTPOINT, path)],
    [SHARED, { number: SHARED, value: 0n }],
    [MASTER, { number: MASTER, value: 0n }],
  ]);
  const added = root.filter(({ number }) => number !== KEY).map((each) => changes.get(each.number) ?? each);
  return writeImage({ magic, messages: [writeFields([...added, text(KEY, path)]), ...messages] });
}

function text(number: number, value: string): Field {
  return { number, value: new TextEncoder().encode(value) };
}

function textOf(fields: readonly Field[], number: number): string | undefined {
  const value = fields.find((each) => each.number === number)?.value;
  return value === undefined || typeof value === "bigint" ? undefined : new TextDecoder().decode(value);
}

function numberOf(fields: readonly Field[], number: number): bigint {
  const value = fields.find((each) => each.number === number)?.value;
  return typeof value === "bigint" ? value : 0n;
}
