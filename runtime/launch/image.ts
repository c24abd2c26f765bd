import { type Arch, ERRNO, type Syscall, syscallNumber, SYSCALLS } from "../plan/abi.ts";
import {
  type Arg,
  type Bytes,
  type Call,
  counted,
  ID_DIGITS,
  type Inside,
  type Named,
  type Op,
  type Plan,
  type SlotAddress,
  type SlotValue,
  type Strings,
  type Struct,
} from "../plan/op.ts";
import { DATA_OFFSET, fillElf } from "./elf.ts";
import { DATA_ADDRESS } from "./machine.ts";

/** The data begins with {failed record, errno, scratch, where to leave}; the records follow, then what they point to. */
const HEADER_BYTES = 0x20;
const SCRATCH = DATA_ADDRESS + 0x10;
/** Of a table: how long it is, where the scratch will be, and its form, where the place to leave to will be. */
const [LENGTH_OFFSET, FORM_OFFSET] = [0x10, 0x18];

/*
 * A record, as machine/<arch>.s reads it:
 *   0 six arguments (u64)   48 where the result goes (u64)   56 the counted error text (u64)
 *   64 call number (i32)   72, 76, 80, 84 the next record on zero, positive, error, ignored error (u32)
 *   88 which arguments are addresses of slots (u8)   89 retries left on EINTR and EAGAIN (u8)   90 six ignored errnos (u8)
 */
const RECORD_BYTES = 96;
/** openat2 asks to be tried again when something is renamed meanwhile; a program that renames all day must not hold us. */
const RETRIES = 128;
/** What all that the records point to usually takes. */
const TAIL_BYTES = 12288;
const PSEUDO = { let: -1, load: -2, decimal: -3, leave: -4 } as const;

/** What a step says of itself when it fails. */
export interface StepWords {
  /** What the step does, as in "Cannot …". */
  readonly does: string;
  /** What it calls. */
  readonly call: Call;
}

/** A plan in executable form. */
export interface Image {
  /** A complete ELF64 executable. */
  readonly elf: Uint8Array<ArrayBuffer>;
  /** What the steps do, in the order of their records. */
  readonly steps: readonly StepWords[];
  /** Where in `elf` the first id of a range goes, in decimal: see {@linkcode withIds}. */
  readonly idsAt: readonly number[];
  /** Where it goes as eight bytes. */
  readonly idWordsAt: readonly number[];
}

/** Options of {@linkcode assemble}. */
export interface AssembleOptions {
  /** Puts the words of every step into the image, for images that report errors to a person. @default {false} */
  readonly texts?: boolean;
}

/**
 * Compiles a plan to an executable that needs no libc, no relocation and no heap.
 *
 * @throws {Error} if a step names a label or slot that nothing defines, or two have one label: a defect of the planner.
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { assemble } from "./image.ts";
 * import { op } from "../plan/op.ts";
 * const end = op("end", "exit_group", [7], { label: "fail" }); // where steps that fail go on
 * const { elf } = assemble({ arch: "x86_64", sections: [{ by: "end", ops: [end] }] });
 * equal(new TextDecoder().decode(elf.subarray(1, 4)), "ELF");
 * ```
 */
export function assemble(plan: Plan, { texts = false }: AssembleOptions = {}): Image {
  return new Assembler(plan, texts).image();
}

/** What a table begins with, so that no executable takes one that is meant for other machine code: the stubs have it too. */
export const MOVES_FORM = "moves 2\0";

/**
 * A plan as the table alone, for an executable that has the machine code already. Before it goes through the table it
 * looks at its length and form at the begin, and writes over them: the slots `failed`, `errno` and `scratch`, and where
 * `leave` goes.
 */
export function assembleTable(plan: Plan): Uint8Array<ArrayBuffer> {
  const table = new Assembler(plan, false, true).data().slice();
  table.set(new TextEncoder().encode(MOVES_FORM), FORM_OFFSET);
  new DataView(table.buffer).setBigUint64(LENGTH_OFFSET, BigInt(table.length), true);
  return table;
}

/** The executable of an image for the sandbox whose ids begin at `first` on the host. */
export function withIds({ elf, idsAt, idWordsAt }: Image, first: number): Uint8Array<ArrayBuffer> {
  const filled = elf.slice();
  const digits = new TextEncoder().encode(String(first).padStart(ID_DIGITS));
  for (const at of idsAt) filled.set(digits, at);
  const view = new DataView(filled.buffer);
  for (const at of idWordsAt) view.setBigUint64(at, BigInt(first), true);
  return filled;
}

/** The step of the record at `address`, as a failing launcher reports it. */
export function stepAt(address: number): number {
  return (address - DATA_ADDRESS - HEADER_BYTES) / RECORD_BYTES;
}

/** An argument of which it is not known yet what it is. */
type AnyArg = Partial<Named & SlotValue & SlotAddress & Bytes & Inside & Strings & Struct>;

/** The struct member that takes the result of a step. */
interface InStruct {
  readonly struct: Struct;
  readonly offset: number;
}

const callNumbers: Partial<Record<Arch, Record<Call, number>>> = {};

function numbersOf(arch: Arch): Record<Call, number> {
  const numbers: Record<string, number> = { ...PSEUDO };
  for (const call in SYSCALLS) numbers[call] = syscallNumber(call as Syscall, arch);
  return numbers as Record<Call, number>;
}

/** Whether a step is but a place to jump to. */
function isMark({ call, args, into, zero, positive }: Op): boolean {
  const isIdle = call === "let" && args.length === 1 && args[0] === 0;
  return isIdle && into === undefined && zero === undefined && positive === undefined;
}

class Assembler {
  readonly #steps: Op[] = [];
  /** Of the few steps that have one. */
  readonly #members = new Map<Op, InStruct>();
  readonly #idsAt: number[] = [];
  readonly #idWordsAt: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #addresses = new Map([
    ["failed", DATA_ADDRESS],
    ["errno", DATA_ADDRESS + 8],
    ["scratch", SCRATCH],
  ]);
  readonly #strings = new Map<string, number>();
  readonly #placed = new Map<Bytes, number>();
  readonly #structs = new Map<Struct, number>();
  readonly #arch: Arch;
  readonly #numbers: Readonly<Record<Call, number>>;
  readonly #encoder = new TextEncoder();
  /** The whole file, and of it the data. */
  #file: Uint8Array<ArrayBuffer>;
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  /** The data once more, for what lies at a multiple of 4. Both architectures are little-endian, as is whoever assembles. */
  #words: Uint32Array;
  #end: number;
  /** Where steps go on that fail; known when the first one asks. */
  #fail = 0;

  /** @param terse Leaves out steps that do nothing: nobody counts the steps of a table. */
  constructor(plan: Plan, readonly texts: boolean, terse = false) {
    this.#arch = plan.arch;
    this.#numbers = callNumbers[plan.arch] ??= numbersOf(plan.arch);
    for (const { ops } of plan.sections) {
      for (let index = 0; index < ops.length; index++) {
        const op = ops[index]!;
        if (op.label !== undefined) {
          if (this.#labels.has(op.label)) throw new Error(`Cannot label two steps "${op.label}"`);
          this.#labels.set(op.label, this.#steps.length);
        }
        if (terse && isMark(op)) continue;
        const { args } = op;
        for (let position = 0; position < args.length; position++) {
          const arg = args[position]!;
          if (typeof arg === "object" && (arg as AnyArg).members !== undefined) this.#copy(arg as Struct);
        }
        this.#steps.push(op);
      }
    }
    this.#end = HEADER_BYTES + this.#steps.length * RECORD_BYTES;
    this.#file = new Uint8Array(DATA_OFFSET + this.#end + TAIL_BYTES);
    this.#bytes = this.#file.subarray(DATA_OFFSET);
    this.#view = new DataView(this.#file.buffer, DATA_OFFSET);
    this.#words = new Uint32Array(this.#file.buffer, DATA_OFFSET);
    for (const { into } of this.#steps) if (into !== undefined) this.#define(into);
  }

  image(): Image {
    this.#records();
    const elf = this.#file.subarray(0, DATA_OFFSET + this.#end);
    fillElf(this.#arch, elf);
    return { elf, steps: this.#steps, idsAt: this.#idsAt, idWordsAt: this.#idWordsAt };
  }

  data(): Uint8Array<ArrayBuffer> {
    this.#records();
    return this.#bytes.subarray(0, this.#end);
  }

  #records(): void {
    for (let index = 0; index < this.#steps.length; index++) this.#record(this.#steps[index]!, index);
  }

  /** A struct member that is a slot takes a step that copies the slot there. */
  #copy(struct: Struct): void {
    let offset = 0;
    for (const [name, size, value] of struct.members) {
      if (typeof value === "object" && "slot" in value) {
        const member = `${struct.struct}.${name}`;
        if (size !== 8) {
          throw new Error(`Cannot keep slot "${value.slot}" in ${member}: it has ${size} bytes`);
        }
        const does = `fill in ${member}`;
        const step: Op = { does, call: "let", args: [value] };
        this.#steps.push(step);
        this.#members.set(step, { struct, offset });
      } else if (typeof value === "object" && "members" in value) this.#copy(value);
      offset += size;
    }
  }

  #record(op: Op, index: number): void {
    const at = HEADER_BYTES + index * RECORD_BYTES;
    const { args, call, ignore } = op;
    const member = this.#members.size > 0 ? this.#members.get(op) : undefined;
    let mask = 0;
    for (let position = 0; position < args.length; position++) {
      const arg = args[position]!;
      if (typeof arg === "object" && (arg as AnyArg).slot !== undefined) mask |= 1 << position;
      this.#put64(at + position * 8, this.#value(arg));
    }
    // let and load take 1 as their factor unless they are given one.
    if (args.length === 2 && (call === "let" || call === "load")) this.#put64(at + 16, 1);
    this.#put64(at + 48, member ? this.#struct(member.struct) + member.offset : this.#result(op));
    if (this.texts) this.#put64(at + 56, this.#place(counted(op.does)));
    const words = this.#words; // only now: what the arguments point to may have moved the data
    const word = at >> 2;
    words[word + 16] = this.#numbers[call];
    words[word + 18] = this.#target(op.zero, index);
    words[word + 19] = this.#target(op.positive, index);
    words[word + 20] = op.failed === undefined
      ? this.#fail ||= this.#target("fail", index)
      : this.#target(op.failed, index);
    words[word + 21] = this.#target(op.ignored, index);
    words[word + 22] = mask | RETRIES << 8;
    if (ignore === undefined) return;
    for (let position = 0; position < ignore.length; position++) {
      this.#bytes[at + 90 + position] = ERRNO[ignore[position]!];
    }
  }

  #result({ into }: Op): number {
    return into === undefined ? SCRATCH : this.#define(into);
  }

  #target(label: string | undefined, index: number): number {
    const target = label === undefined ? index + 1 : this.#labels.get(label);
    if (target === undefined) throw new Error(`Cannot jump to "${label}": no step has this label`);
    return DATA_ADDRESS + HEADER_BYTES + target * RECORD_BYTES;
  }

  /** What an argument is in a register: a number, or the address of what it points to. */
  #value(arg: Arg): number | bigint {
    switch (typeof arg) {
      case "number":
      case "bigint":
        return arg;
      case "string":
        return this.#string(arg);
      default: {
        // To load a property takes V8 less than to ask whether there is one; the most frequent first.
        const any = arg as AnyArg;
        if (any.slot !== undefined) return this.#slot(any.slot);
        if (any.named !== undefined) return any.value!;
        if (any.members !== undefined) return this.#struct(arg as Struct);
        if (any.address !== undefined) return this.#define(any.address);
        if (any.bytes !== undefined) return this.#place(arg as Bytes);
        if (any.inside !== undefined) return this.#place(any.inside) + (arg as Inside).offset;
        return this.#pointers(any.strings!);
      }
    }
  }

  #struct(struct: Struct): number {
    const known = this.#structs.get(struct);
    if (known !== undefined) return known;
    const address = this.#reserve(struct.members.reduce((sum, [, size]) => sum + size, 0), 8);
    this.#structs.set(struct, address);
    let at = address - DATA_ADDRESS;
    for (const [, size, value] of struct.members) {
      const number = typeof value === "object" && "slot" in value ? 0 : this.#value(value);
      if (size === 8) this.#put64(at, number);
      else if (size === 4) this.#view.setUint32(at, Number(number) >>> 0, true);
      else if (size === 2) this.#view.setUint16(at, Number(number), true);
      else this.#view.setUint8(at, Number(number));
      at += size;
    }
    return address;
  }

  #slot(name: string): number {
    const address = this.#addresses.get(name);
    if (address === undefined) throw new Error(`Cannot use slot "${name}": no step stores it`);
    return address;
  }

  #define(name: string): number {
    let address = this.#addresses.get(name);
    if (address === undefined) this.#addresses.set(name, address = this.#reserve(8, 8));
    return address;
  }

  #pointers(strings: Strings["strings"]): number {
    const addresses = strings.map((item) =>
      typeof item === "string" ? this.#string(item) : this.#place(item)
    );
    const address = this.#reserve((addresses.length + 1) * 8, 8);
    addresses.forEach((item, index) => this.#put64(address - DATA_ADDRESS + index * 8, item));
    return address;
  }

  #string(value: string): number {
    let address = this.#strings.get(value);
    if (address === undefined) {
      const most = value.length * 3 + 1;
      address = this.#reserve(most, 1);
      this.#end -= most - this.#write(value, address - DATA_ADDRESS) - 1; // the NUL is there already
      this.#strings.set(value, address);
    }
    return address;
  }

  /** Writes UTF-8 and returns its length. Nearly all is ASCII, for which a loop is faster than to ask the encoder. */
  #write(value: string, at: number): number {
    const bytes = this.#bytes;
    for (let index = 0; index < value.length; index++) {
      const code = value.charCodeAt(index);
      if (code > 0x7f) return this.#encoder.encodeInto(value, bytes.subarray(at)).written;
      bytes[at + index] = code;
    }
    return value.length;
  }

  #place(item: Bytes): number {
    let address = this.#placed.get(item);
    if (address === undefined) {
      this.#placed.set(item, address = this.#put(item.bytes, 8));
      const at = DATA_OFFSET + address - DATA_ADDRESS;
      if (item.idAt !== undefined) this.#idsAt.push(at + item.idAt);
      if (item.isId) this.#idWordsAt.push(at);
    }
    return address;
  }

  #put(bytes: Uint8Array, align: number): number {
    const address = this.#reserve(bytes.length, align);
    this.#bytes.set(bytes, address - DATA_ADDRESS);
    return address;
  }

  #reserve(size: number, align: number): number {
    const start = (this.#end + align - 1) & -align;
    this.#end = start + size;
    if (this.#end > this.#bytes.length) this.#grow();
    return DATA_ADDRESS + start;
  }

  #grow(): void {
    const larger = new Uint8Array(DATA_OFFSET + (this.#end * 2 + 7 & -8));
    larger.set(this.#file);
    this.#file = larger;
    this.#bytes = larger.subarray(DATA_OFFSET);
    this.#view = new DataView(larger.buffer, DATA_OFFSET);
    this.#words = new Uint32Array(larger.buffer, DATA_OFFSET);
  }

  #put64(at: number, value: number | bigint): void {
    if (value === 0) return; // as all memory begins
    // BigInts are slow before the compiler has warmed up, and most of what runs here runs once.
    if (typeof value === "bigint") return this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
    this.#view.setUint32(at, value >>> 0, true);
    if (value < 0 || value > 0xffffffff) this.#view.setInt32(at + 4, Math.floor(value / 2 ** 32), true);
  }
}
