/** Reads an ELF executable, and adds to a copy of it a segment of our own that runs first. */

import { machineCode } from "../../runtime/launch/machine.ts";

const PT = { null: 0, load: 1, dynamic: 2, interp: 3, note: 4, phdr: 6 };
const DT = { strtab: 5n, symtab: 6n, rela: 7n, relasz: 8n };
const GLOB_DAT = { x86_64: 6n, aarch64: 1025n } as const;
const MACHINES: Readonly<Record<number, Machine>> = { 62: "x86_64", 183: "aarch64" };

/** A machine that there is a stub for. */
export type Machine = keyof typeof GLOB_DAT;

/** What `attach` needs to know of an executable, read from its headers. */
export interface Elf {
  readonly machine: Machine;
  readonly entry: bigint;
  /** Where the program header of a dispensable note stands in the file. */
  readonly noteAt: number;
  /** Where the program header that names ld.so stands in the file. */
  readonly interpAt: number;
  /** The first address after every segment, aligned to any page size. */
  readonly freeAddress: bigint;
  /** The address of the pointer through which the executable reaches libc's `environ`. */
  readonly environAddress: bigint;
}

/** What `attach` adds. */
export interface Parts {
  /** Position-independent machine code, with room for {@linkcode NUMBERS} numbers at its end. */
  readonly stub: Uint8Array;
  /** Arguments that stand before the user's. */
  readonly words: readonly string[];
  /** Variables, as `NAME=value`, that stand before the user's environment. */
  readonly settings: readonly string[];
  /** Bytes that only the file has, at `payloadOffset`. */
  readonly payload: Uint8Array;
  /** What the stub itself prints for the flags that it knows; without it these are left to Deno. */
  readonly answers?: readonly Uint8Array[];
}

/** How many numbers `attach` puts at the end of the stub. */
export const NUMBERS = 8;

// Pages of 64 KiB exist on aarch64; an address and its file offset must be equal modulo the page size.
const PAGE = 0x10000;

/**
 * Reads what `attach` needs from the headers of a dynamically linked executable.
 *
 * @throws {Error} When the file is anything else, has no note to give up or does not use `environ`.
 */
export function readElf(bytes: Uint8Array): Elf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u64 = (at: number): bigint => view.getBigUint64(at, true);
  if (bytes.length < 64 || view.getUint32(0) !== 0x7f454c46 || view.getUint16(4) !== 0x0201) {
    throw new Error("Cannot read the Deno executable: not a 64-bit little-endian ELF file");
  }
  const machine = MACHINES[view.getUint16(18, true)];
  if (machine === undefined) {
    throw new Error("Cannot build from this Deno executable: only x86-64 and aarch64 are known");
  }
  const loads: { address: bigint; size: bigint; at: bigint }[] = [];
  let [noteAt, dynamicAt, interpAt, phdrAt] = [-1, -1, -1, -1];
  for (let i = 0; i < view.getUint16(56, true); i++) {
    const at = Number(u64(32)) + i * view.getUint16(54, true);
    const type = view.getUint32(at, true);
    // Loads must stay in ascending order, and ours is the highest: only a note after the last load will do.
    if (type === PT.note) noteAt = at;
    if (type === PT.interp) interpAt = at;
    if (type === PT.phdr) phdrAt = at;
    if (type === PT.dynamic) dynamicAt = Number(u64(at + 8));
    if (type !== PT.load) continue;
    noteAt = -1;
    loads.push({ address: u64(at + 16), size: u64(at + 40), at: u64(at + 8) });
  }
  if (noteAt < 0) {
    throw new Error("Cannot extend the Deno executable: it has no note segment after its loads");
  }
  if (interpAt < 0 || phdrAt < 0) {
    throw new Error("Cannot extend the Deno executable: it does not say how it is linked");
  }
  if (dynamicAt < 0) throw new Error("Cannot extend the Deno executable: it is linked statically");

  const offset = (address: bigint): number => {
    const load = loads.find((l) => address >= l.address && address < l.address + l.size);
    if (load === undefined) throw new Error(`Cannot read address ${address} of the Deno executable`);
    return Number(load.at + address - load.address);
  };
  const dynamic = new Map<bigint, bigint>();
  for (let at = dynamicAt; u64(at) !== 0n; at += 16) dynamic.set(u64(at), u64(at + 8));
  const [strings, symbols, rela] = [DT.strtab, DT.symtab, DT.rela].map((tag) =>
    offset(dynamic.get(tag) ?? 0n)
  );
  const name = (symbol: number): string => {
    const start = strings! + view.getUint32(symbols! + symbol * 24, true);
    return new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start)));
  };
  let environAddress = 0n;
  for (let at = rela!; at < rela! + Number(dynamic.get(DT.relasz) ?? 0n); at += 24) {
    const info = u64(at + 8);
    if ((info & 0xffffffffn) === GLOB_DAT[machine] && name(Number(info >> 32n)) === "environ") {
      environAddress = u64(at);
    }
  }
  if (environAddress === 0n) throw new Error("Cannot extend the Deno executable: it does not use `environ`");
  const end = loads.reduce((most, { address, size }) => address + size > most ? address + size : most, 0n);
  const freeAddress = (end + BigInt(PAGE) - 1n) / BigInt(PAGE) * BigInt(PAGE);
  return { machine, entry: u64(24), noteAt, interpAt, freeAddress, environAddress };
}

/** Where in the file `attach` puts the payload. */
export function payloadOffset(host: Uint8Array): number {
  return segmentOffset(host) + PAGE;
}

/**
 * Returns a copy of `host` that runs a stub before anything else.
 *
 * The stub and its strings become a read-only executable segment in the place of the build-id note. The payload
 * follows in the file only: nothing maps it. The kernel is not shown the name of ld.so, so that it begins with the stub,
 * which shows ld.so the program headers as they were.
 *
 * @throws {RangeError} When the words and settings do not fit into the segment.
 */
export function attach(host: Uint8Array, parts: Parts): Uint8Array {
  const elf = readElf(host);
  const at = segmentOffset(host);
  const text = new TextEncoder().encode([...parts.words, ...parts.settings].map((s) => s + "\0").join(""));
  const code = machineCode(elf.machine);
  const hostView = new DataView(host.buffer, host.byteOffset, host.byteLength);
  const headersAt = Number(hostView.getBigUint64(32, true));
  const headersSize = 56 * hostView.getUint16(56, true);
  const copyAt = aligned(parts.stub.length + text.length);
  const codeAt = aligned(copyAt + headersSize);
  const answers = packed(parts.answers ?? []);
  const answersAt = aligned(codeAt + code.length);
  const size = answersAt + answers.length;
  if (size > PAGE) throw new RangeError(`Cannot attach ${size} bytes of stub and strings: at most ${PAGE}`);

  const bytes = new Uint8Array(payloadOffset(host) + parts.payload.length);
  bytes.set(host);
  bytes.set(parts.stub, at);
  bytes.set(text, at + parts.stub.length);
  bytes.set(code, at + codeAt);
  bytes.set(answers, at + answersAt);
  bytes.set(parts.payload, payloadOffset(host));
  const view = new DataView(bytes.buffer);
  const numbers = [
    BigInt(parts.words.length),
    BigInt(parts.settings.length),
    elf.entry - elf.freeAddress,
    elf.environAddress - elf.freeAddress,
    view.getBigUint64(elf.interpAt + 16, true) - elf.freeAddress,
    BigInt(copyAt),
    BigInt(codeAt),
    answers.length > 0 ? BigInt(answersAt) : 0n,
  ];
  const numbersAt = at + parts.stub.length - 8 * NUMBERS;
  numbers.forEach((value, i) => view.setBigInt64(numbersAt + 8 * i, value, true));
  view.setBigUint64(24, elf.freeAddress, true);
  view.setUint32(elf.noteAt, PT.load, true);
  view.setUint32(elf.noteAt + 4, 5, true); // PF_R | PF_X
  const header = [BigInt(at), elf.freeAddress, elf.freeAddress, BigInt(size), BigInt(size), BigInt(PAGE)];
  header.forEach((value, i) => view.setBigUint64(elf.noteAt + 8 + 8 * i, value, true));
  bytes.copyWithin(at + copyAt, headersAt, headersAt + headersSize);
  for (let each = at + copyAt; each < at + copyAt + headersSize; each += 56) {
    // From here ld.so learns where the executable lies.
    if (view.getUint32(each, true) === PT.phdr) {
      view.setBigUint64(each + 16, elf.freeAddress + BigInt(copyAt), true);
    }
  }
  view.setUint32(elf.interpAt, PT.null, true);
  return bytes;
}

/** The length of each as a number of 64 bits, then all of them. */
function packed(texts: readonly Uint8Array[]): Uint8Array {
  const lengths = BigUint64Array.from(texts, ({ length }) => BigInt(length));
  const bytes = new Uint8Array(lengths.byteLength + texts.reduce((sum, { length }) => sum + length, 0));
  bytes.set(new Uint8Array(lengths.buffer));
  let at = lengths.byteLength;
  for (const text of texts) {
    bytes.set(text, at);
    at += text.length;
  }
  return bytes;
}

function aligned(offset: number): number {
  return Math.ceil(offset / 16) * 16;
}

function segmentOffset(host: Uint8Array): number {
  return Math.ceil(host.length / PAGE) * PAGE;
}
