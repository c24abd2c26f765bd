/** The text of an address of 4 or 16 bytes, in the one form of RFC 5952. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const words = Array.from({ length: 8 }, (_, index) => bytes[index * 2]! << 8 | bytes[index * 2 + 1]!);
  let [start, length] = [-1, 1];
  for (let at = 0; at < 8; at++) {
    let zeros = 0;
    while (words[at + zeros] === 0) zeros++;
    if (zeros > length) [start, length] = [at, zeros];
    at += zeros;
  }
  const hex = (from: number, to: number): string =>
    words.slice(from, to).map((word) => word.toString(16)).join(":");
  return start < 0 ? hex(0, 8) : `${hex(0, start)}::${hex(start + length, 8)}`;
}

/** The 4 or 16 bytes of an address as text without a zone; `undefined` if it is none. */
export function addressBytes(text: string): Uint8Array<ArrayBuffer> | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1);
  if (parts) {
    return parts.every((part) => Number(part) < 256 && String(Number(part)) === part)
      ? Uint8Array.from(parts, Number)
      : undefined;
  }
  if (!/^[0-9a-fA-F:.]{2,45}$/.test(text)) return undefined;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted) {
    const tail = addressBytes(dotted[2]!);
    return tail &&
      addressBytes(
        `${dotted[1]}${(tail[0]! << 8 | tail[1]!).toString(16)}:${(tail[2]! << 8 | tail[3]!).toString(16)}`,
      );
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => half === "" ? [] : half.split(":"));
  const missing = 8 - head!.length - (tail?.length ?? 0);
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const words = [...head!, ...Array(tail === undefined ? 0 : missing).fill("0"), ...tail ?? []];
  if (!words.every((word) => /^[0-9a-fA-F]{1,4}$/.test(word))) return undefined;
  return Uint8Array.from(
    words.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 0xff]),
  );
}
