import { deepEqual, equal } from "node:assert/strict";
import { mostThreads } from "../../../snapshots/pager/allowed.ts";
import { notInherited, pidOfPageMap, readPageMap, watched } from "../../../snapshots/pager/pagemap.ts";
import { readFields, readImage, writeFields, writeImage } from "../../../snapshots/protobuf.ts";

const [LAZY, PRESENT, PARENT] = [2, 4, 1];
const MAGIC = new Uint8Array(8);

function message(fields: Readonly<Record<number, number>>): Uint8Array<ArrayBuffer> {
  return writeFields(
    Object.entries(fields).map(([number, value]) => ({ number: Number(number), value: BigInt(value) })),
  );
}

/** An image of entries: where, how many pages, flags. */
function pageMap(...entries: readonly (readonly [number, number, number])[]): Uint8Array<ArrayBuffer> {
  const messages = entries.map(([begin, pages, flags]) => message({ 1: begin, 2: pages, 4: flags }));
  return writeImage({ magic: MAGIC, messages: [message({ 1: 7 }), ...messages] });
}

Deno.test("readPageMap() says what can be brought in later, by where it lies in the file of pages", () => {
  const image = pageMap(
    [0xa00000, 2, PRESENT],
    [0xb00000, 3, LAZY | PRESENT],
    [0xb03000, 1, LAZY | PRESENT],
    [0xb04000, 1, LAZY],
    [0xd00000, 1, LAZY | PRESENT],
  );
  deepEqual(readPageMap(1, image, []), {
    pid: 1,
    pages: "pages-7.img",
    ranges: [
      { begin: 0xb00000, end: 0xb04000, offset: 0x2000 },
      { begin: 0xd00000, end: 0xd01000, offset: 0x6000 },
    ],
  });
});

Deno.test("readPageMap() has CRIU restore what lies where a pager is, and what children do not inherit", () => {
  const image = pageMap([0x500000, 1, LAZY | PRESENT], [0xb00000, 2, LAZY | PRESENT]);
  const memory = writeImage({
    magic: MAGIC,
    messages: [
      writeFields([{ number: 14, value: message({ 1: 0xb01000, 2: 0xb02000, 9: 2 ** 18 }) }, {
        number: 14,
        value: message({ 1: 0xc00000, 2: 0xc01000, 9: 2 ** 14 }),
      }]),
    ],
  });
  const eager = notInherited(memory);
  deepEqual(eager, [{ begin: 0xb01000, end: 0xb02000 }]);
  const map = readPageMap(1, image, eager);
  deepEqual(map?.ranges, []);
  const flags = readImage(map!.changed!).messages.slice(1)
    .map((each) => readFields(each).find(({ number }) => number === 4)?.value);
  deepEqual(flags, [BigInt(PRESENT), BigInt(PRESENT)]);
});

Deno.test("watched() says where there is private memory that no file backs, nor the kernel", () => {
  const vma = (begin: number, end: number, flags: number, status = 1): Uint8Array<ArrayBuffer> =>
    message({ 1: begin, 2: end, 6: flags, 7: status });
  const [PRIVATE, SHARED, LOCKED, HUGE] = [0x22, 0x21, 0x2022, 0x40022];
  const vmas = [
    vma(0x400000, 0x500000, PRIVATE),
    vma(0x700000, 0x900000, PRIVATE),
    vma(0x900000, 0xa00000, PRIVATE),
    vma(0xb00000, 0xc00000, 2),
    vma(0xd00000, 0xe00000, SHARED),
    vma(0xe00000, 0xf00000, LOCKED),
    vma(0xf00000, 0x1000000, HUGE),
    vma(0x1000000, 0x1001000, PRIVATE, 1 | 8),
    vma(0x2000000, 0x2001000, PRIVATE | 0x100),
  ];
  const image = writeImage({
    magic: MAGIC,
    messages: [writeFields(vmas.map((value) => ({ number: 14, value })))],
  });
  deepEqual(watched(image), [{ begin: 0x800000, end: 0xa00000 }, { begin: 0x2000000, end: 0x2001000 }]);
});

Deno.test("mostThreads() counts those of the process that has the most", () => {
  const process = (...threads: readonly number[]): Uint8Array<ArrayBuffer> =>
    writeFields([
      { number: 1, value: BigInt(threads[0]!) },
      ...threads.map((each) => ({ number: 5, value: BigInt(each) })),
    ]);
  const tree = (...messages: Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> =>
    writeImage({ magic: MAGIC, messages });
  equal(mostThreads(tree(process(1), process(7))), 1);
  equal(mostThreads(tree(process(1), process(7, 8, 9))), 3);
});

Deno.test("readPageMap() takes no images that build upon others", () => {
  equal(readPageMap(1, pageMap([0xb00000, 1, PARENT | LAZY]), []), undefined);
});

Deno.test("pidOfPageMap() knows the images that map the pages of a process", () => {
  deepEqual(["pagemap-12.img", "pagemap-shmem-3.img", "pages-1.img"].map(pidOfPageMap), [
    12,
    undefined,
    undefined,
  ]);
});
