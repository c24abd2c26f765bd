import type { Arch } from "../plan/abi.ts";
import { DATA_ADDRESS } from "./machine.ts";
import { CODE_ADDRESS, machineCode } from "./machine.ts";

/** `e_machine`. */
export const MACHINE: Record<Arch, number> = { x86_64: 62, aarch64: 183 };
const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474e551;
const [R, W, X] = [4, 2, 1];
const TEXT_ADDRESS = 0x400000;
/** Where in the file the data begins. */
export const DATA_OFFSET = 0x1000;
/** Where the second header has the size of the data in the file; in memory, behind it. */
const DATA_SIZE_AT = 64 + 56 + 32;
/** aarch64 kernels may have pages of 64 KiB; the addresses suit both. */
const ALIGN = 0x10000;

/**
 * Makes a static ELF64 executable of two segments: the machine code (read, execute), and the data (read, write) that
 * `file` has from {@linkcode DATA_OFFSET} on.
 *
 * Layout: elf(5), System V ABI, chapter 5.
 */
export function fillElf(arch: Arch, file: Uint8Array): void {
  const code = machineCode(arch);
  const dataBytes = file.length - DATA_OFFSET;
  const view = new DataView(file.buffer, file.byteOffset);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // 64-bit, little-endian
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, MACHINE[arch], true);
  view.setUint32(20, 1, true);
  view.setUint32(24, CODE_ADDRESS, true); // e_entry
  view.setUint32(32, 64, true); // e_phoff
  view.setUint16(52, 64, true); // e_ehsize
  view.setUint16(54, 56, true); // e_phentsize
  view.setUint16(56, 3, true); // e_phnum
  const codeEnd = CODE_ADDRESS - TEXT_ADDRESS + code.length;
  const headers = [
    [PT_LOAD, R | X, 0, TEXT_ADDRESS, codeEnd],
    [PT_LOAD, R | W, DATA_OFFSET, DATA_ADDRESS, dataBytes],
    [PT_GNU_STACK, R | W, 0, 0, 0],
  ] as const;
  headers.forEach(([type, flags, offset, address, size], index) => {
    const at = 64 + index * 56;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, flags, true);
    view.setUint32(at + 8, offset, true);
    view.setUint32(at + 16, address, true);
    view.setUint32(at + 24, address, true);
    view.setUint32(at + 32, size, true);
    view.setUint32(at + 40, size, true);
    view.setUint32(at + 48, ALIGN, true);
  });
  file.set(code, CODE_ADDRESS - TEXT_ADDRESS);
}

/** Where in the file the byte at an address of the data lies. */
export function offsetOf(address: number): number {
  return DATA_OFFSET + address - DATA_ADDRESS;
}

/**
 * An executable whose data reaches to `end`. What is behind it in the file is left to who writes that.
 *
 * @throws {Error} if the data reaches over `begin`.
 */
export function withRoom(elf: Uint8Array, begin: number, end: number): Uint8Array<ArrayBuffer> {
  if (elf.length > offsetOf(begin)) throw new Error("Cannot leave room: the data is too long");
  const file = new Uint8Array(elf);
  const view = new DataView(file.buffer);
  for (const at of [DATA_SIZE_AT, DATA_SIZE_AT + 8]) view.setUint32(at, end - DATA_ADDRESS, true);
  return file;
}
