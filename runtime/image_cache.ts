import { BUILD_ID } from "./build_id.ts";
import type { KeyedImage } from "./images.ts";
import { keep, readKept } from "./kept_files.ts";
import type { StepWords } from "./launch/image.ts";

const KIND = "images";
const HEADER_BYTES = 16;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The image that was kept under this name by the same build, if any. */
export function readCached(name: string, kind: string = KIND): KeyedImage | undefined {
  const bytes = readKept(kind, name);
  if (bytes === undefined) return undefined;
  try {
    const view = new DataView(bytes.buffer);
    const [headLength, stepsLength, total] = [
      view.getUint32(0, true),
      view.getUint32(4, true),
      view.getUint32(8, true),
    ];
    if (total !== bytes.length) return undefined;
    const stepsAt = HEADER_BYTES + headLength;
    const head = JSON.parse(decoder.decode(bytes.subarray(HEADER_BYTES, stepsAt)));
    if (head.build !== BUILD_ID) return undefined;
    const steps = bytes.subarray(stepsAt, stepsAt + stepsLength);
    const elf = bytes.subarray(stepsAt + stepsLength);
    // The words of the steps are needed only when one fails.
    const image = {
      elf,
      idsAt: head.idsAt as number[],
      idWordsAt: head.idWordsAt as number[],
      get steps() {
        return JSON.parse(decoder.decode(steps)) as StepWords[];
      },
    };
    const { key, kinds, expected, isSimple, warnings, container, template } = head;
    return { key, kinds, expected, isSimple, warnings, container, template, image };
  } catch {
    return undefined; // nothing of ours
  }
}

/** Keeps an image for the next command; that it cannot is no failure. */
export function writeCached(name: string, keyed: KeyedImage, kind: string = KIND): void {
  keep(kind, name, () => pack(keyed));
}

/** The same in two parts: all but the writing is done now. */
export function toWrite(name: string, keyed: KeyedImage, kind: string = KIND): () => void {
  const bytes = pack(keyed);
  return () => keep(kind, name, () => bytes);
}

function pack(
  { key, kinds, expected, isSimple, warnings, container, template, image }: KeyedImage,
): Uint8Array<ArrayBuffer> {
  const head = encoder.encode(
    JSON.stringify({
      build: BUILD_ID,
      key,
      kinds,
      expected,
      isSimple,
      warnings,
      container,
      template,
      idsAt: image.idsAt,
      idWordsAt: image.idWordsAt,
    }),
  );
  const steps = encoder.encode(JSON.stringify(image.steps.map(({ does, call }) => ({ does, call }))));
  const bytes = new Uint8Array(HEADER_BYTES + head.length + steps.length + image.elf.length);
  new Uint32Array(bytes.buffer, 0, 3).set([head.length, steps.length, bytes.length]);
  bytes.set(head, HEADER_BYTES);
  bytes.set(steps, HEADER_BYTES + head.length);
  bytes.set(image.elf, HEADER_BYTES + head.length + steps.length);
  return bytes;
}
