import { MACHINE } from "../runtime/launch/elf.ts";
import type { Arch } from "../runtime/plan/abi.ts";

/** Segments: everything, to run; and what begins at `DATA`, to read and write, as far away as the largest pages take. */
const [PT_LOAD, PT_DYNAMIC, PT_GNU_STACK] = [1, 2, 0x6474e551];
const [R, W, X] = [4, 2, 1];
const ALIGN = 0x10000;
const [HEADER_BYTES, SEGMENT_BYTES, SEGMENTS] = [64, 56, 4];
const [SYMBOL_BYTES, DEFINITION_BYTES, NAME_BYTES, ENTRY_BYTES] = [24, 20, 8, 16];
const DT = {
  HASH: 4,
  STRTAB: 5,
  SYMTAB: 6,
  STRSZ: 10,
  SYMENT: 11,
  INIT: 12,
  SONAME: 14,
  VERSYM: 0x6ffffff0,
  VERDEF: 0x6ffffffc,
  VERDEFNUM: 0x6ffffffd,
};
const [GLOBAL_FUNCTION, GLOBAL_OBJECT] = [0x12, 0x11];
/** The library itself, and the version that all its symbols have. */
const [BASE, VERSION] = [1, 2];
/** A function that returns -1. */
const FAIL: Readonly<Record<Arch, readonly number[]>> = {
  x86_64: [0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xc3], // mov $-1, %rax; ret
  aarch64: [0x00, 0x00, 0x80, 0x92, 0xc0, 0x03, 0x5f, 0xd6], // mov x0, #-1; ret
};

/** What a library offers. */
export interface StandIn {
  /** The name that programs ask for it by. */
  readonly name: string;
  /** The version of all its symbols. */
  readonly version: string;
  /** Functions, which all fail: they return -1. */
  readonly functions: readonly string[];
  /** Variables of the size of a pointer, which are all NULL. */
  readonly pointers: readonly string[];
  /** Machine code that runs when the library has been loaded, wherever that is. */
  readonly init?: Uint8Array | undefined;
}

/**
 * Makes a shared library that stands in for one that a program is linked with and does not use.
 *
 * Layout: elf(5), System V ABI, chapter 5; versions of symbols: Linux Standard Base, 10.7.
 */
export function standInLibrary(arch: Arch, library: StandIn): Uint8Array<ArrayBuffer> {
  const names = [library.name, library.version, ...library.functions, ...library.pointers];
  const strings = stringTable(names);
  const symbols = library.functions.length + library.pointers.length + 1; // the first is none
  const sizes = {
    hash: 4 * (3 + symbols),
    symbols: SYMBOL_BYTES * symbols,
    versions: 2 * symbols,
    definitions: 2 * (DEFINITION_BYTES + NAME_BYTES),
    strings: strings.bytes.length,
    code: FAIL[arch].length,
    init: library.init?.length ?? 0,
    dynamic: ENTRY_BYTES * (Object.keys(DT).length + 1),
    pointers: 8 * library.pointers.length,
  };
  const at = {} as Record<keyof typeof sizes, number>;
  let end = HEADER_BYTES + SEGMENT_BYTES * SEGMENTS;
  for (const part of Object.keys(sizes) as (keyof typeof sizes)[]) {
    at[part] = end = Math.ceil(end / 16) * 16;
    end += sizes[part];
  }
  const file = new Uint8Array(end);
  const view = new DataView(file.buffer);
  const words = (offset: number, ...values: number[]): void =>
    values.forEach((value, index) => view.setUint32(offset + 4 * index, value, true));
  const far = (offset: number, value: number): void => view.setBigUint64(offset, BigInt(value), true);

  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // 64-bit, little-endian
  view.setUint16(16, 3, true); // ET_DYN
  view.setUint16(18, MACHINE[arch], true);
  words(20, 1);
  far(32, HEADER_BYTES); // e_phoff
  view.setUint16(52, HEADER_BYTES, true);
  view.setUint16(54, SEGMENT_BYTES, true);
  view.setUint16(56, SEGMENTS, true);
  const codeEnd = at.init + sizes.init;
  const segments = [
    [PT_LOAD, R | X, 0, 0, codeEnd, ALIGN],
    [PT_LOAD, R | W, at.dynamic, ALIGN + at.dynamic, end - at.dynamic, ALIGN],
    [PT_DYNAMIC, R | W, at.dynamic, ALIGN + at.dynamic, sizes.dynamic, 8],
    [PT_GNU_STACK, R | W, 0, 0, 0, 16],
  ] as const;
  segments.forEach(([type, flags, offset, address, size, align], index) => {
    const header = HEADER_BYTES + SEGMENT_BYTES * index;
    words(header, type, flags);
    [offset, address, address, size, size, align].forEach((value, word) => far(header + 8 + 8 * word, value));
  });

  words(at.hash, 1, symbols, symbols > 1 ? 1 : 0); // one bucket: each symbol leads to the next
  for (let index = 1; index < symbols - 1; index++) words(at.hash + 4 * (3 + index), index + 1);
  [...library.functions, ...library.pointers].forEach((name, index) => {
    const symbol = at.symbols + SYMBOL_BYTES * (index + 1);
    const nth = index - library.functions.length;
    words(symbol, strings.at(name));
    file[symbol + 4] = nth < 0 ? GLOBAL_FUNCTION : GLOBAL_OBJECT;
    view.setUint16(symbol + 6, nth < 0 ? 1 : 2, true); // the number of a section, which there is none of
    far(symbol + 8, nth < 0 ? at.code : ALIGN + at.pointers + 8 * nth);
    far(symbol + 16, 8);
    view.setUint16(at.versions + 2 * (index + 1), VERSION, true);
  });
  [[BASE, library.name], [VERSION, library.version]].forEach(([number, name], index, all) => {
    const bytes = DEFINITION_BYTES + NAME_BYTES;
    const definition = at.definitions + bytes * index;
    const isLast = index === all.length - 1;
    [1, number === BASE ? 1 : 0, number as number, 1].forEach((value, half) =>
      view.setUint16(definition + 2 * half, value, true)
    );
    words(
      definition + 8,
      hashOf(name as string),
      DEFINITION_BYTES,
      isLast ? 0 : bytes,
      strings.at(name as string),
    );
  });
  file.set(strings.bytes, at.strings);
  file.set(FAIL[arch], at.code);
  if (library.init) file.set(library.init, at.init);
  const dynamic: Partial<Record<keyof typeof DT, number>> = {
    HASH: at.hash,
    STRTAB: at.strings,
    SYMTAB: at.symbols,
    STRSZ: sizes.strings,
    SYMENT: SYMBOL_BYTES,
    ...(library.init && { INIT: at.init }),
    SONAME: strings.at(library.name),
    VERSYM: at.versions,
    VERDEF: at.definitions,
    VERDEFNUM: 2,
  };
  Object.entries(dynamic).forEach(([key, value], index) => {
    far(at.dynamic + ENTRY_BYTES * index, DT[key as keyof typeof DT]);
    far(at.dynamic + ENTRY_BYTES * index + 8, value);
  });
  return file;
}

function stringTable(names: readonly string[]): { bytes: Uint8Array; at(name: string): number } {
  const places = new Map<string, number>();
  let text = "\0";
  for (const name of names) {
    places.set(name, text.length);
    text += `${name}\0`;
  }
  return { bytes: new TextEncoder().encode(text), at: (name) => places.get(name)! };
}

/** The hash of a name as elf(5) has it. */
function hashOf(name: string): number {
  let hash = 0;
  for (let index = 0; index < name.length; index++) {
    hash = (hash << 4) + name.charCodeAt(index);
    const high = hash & 0xf0000000;
    hash = (hash ^ (high >>> 24)) & ~high;
  }
  return hash >>> 0;
}
