import { libc } from "../ffi/libc.ts";
import { BUILD_ID } from "./build_id.ts";
import type { KeyedImage } from "./images.ts";
import type { StepWords } from "./launch/image.ts";

/** How many images are kept on disk; the oldest goes first. */
const MOST_FILES = 64;
const HEADER_BYTES = 16;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Where images are kept between commands: in memory (a tmpfs), until the machine is started again, and nobody else
 * may write or read there. `undefined` where there is no such place, and in a checkout, whose code changes.
 */
function directory(): string | undefined {
  if (BUILD_ID === "") return undefined;
  const uid = libc.geteuid();
  const base = uid === 0 ? "/run" : Deno.env.get("XDG_RUNTIME_DIR");
  return base?.startsWith("/") ? `${base}/ai-sandbox/images` : undefined;
}

function fileOf(base: string, name: string): string {
  // 32-bit FNV-1a of the name: two names with the same file only push each other out.
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  return `${base}/${(hash >>> 0).toString(16)}`;
}

/** The image that was kept under this name by the same build, if any. */
export function readCached(name: string): KeyedImage | undefined {
  const base = directory();
  if (base === undefined) return undefined;
  try {
    const { uid, mode, isDirectory } = Deno.lstatSync(base);
    if (!isDirectory || uid !== libc.geteuid() || (mode! & 0o077) !== 0) return undefined;
    const bytes = Deno.readFileSync(fileOf(base, name));
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
      get steps() {
        return JSON.parse(decoder.decode(steps)) as StepWords[];
      },
    };
    return { key: head.key, kinds: head.kinds, image };
  } catch {
    return undefined; // nothing there, or nothing of ours
  }
}

/** Keeps an image for the next command; that it cannot is no failure. */
export function writeCached(name: string, { key, kinds, image }: KeyedImage): void {
  const base = directory();
  if (base === undefined) return;
  const head = encoder.encode(JSON.stringify({ build: BUILD_ID, key, kinds, idsAt: image.idsAt }));
  const steps = encoder.encode(JSON.stringify(image.steps.map(({ does, call }) => ({ does, call }))));
  const bytes = new Uint8Array(HEADER_BYTES + head.length + steps.length + image.elf.length);
  new Uint32Array(bytes.buffer, 0, 3).set([head.length, steps.length, bytes.length]);
  bytes.set(head, HEADER_BYTES);
  bytes.set(steps, HEADER_BYTES + head.length);
  bytes.set(image.elf, HEADER_BYTES + head.length + steps.length);
  const file = fileOf(base, name);
  const temporary = `${file}.${Deno.pid}`;
  try {
    Deno.mkdirSync(base, { recursive: true, mode: 0o700 });
    Deno.writeFileSync(temporary, bytes, { mode: 0o600, createNew: true });
    Deno.renameSync(temporary, file);
    prune(base);
  } catch {
    try {
      Deno.removeSync(temporary);
    } catch {
      // It never came to be.
    }
  }
}

function prune(base: string): void {
  const files = [...Deno.readDirSync(base)].map(({ name }) => `${base}/${name}`);
  if (files.length <= MOST_FILES) return;
  const aged = files.map((file) => ({ file, time: Deno.statSync(file).mtime?.getTime() ?? 0 }));
  aged.sort((a, b) => a.time - b.time);
  for (const { file } of aged.slice(0, files.length - MOST_FILES)) Deno.removeSync(file);
}
