/** Runs seccomp filters as the kernel does, without a kernel. */

/** `struct seccomp_data` */
export interface CallData {
  readonly nr: number;
  /** `AUDIT_ARCH_*` */
  readonly arch?: number;
  readonly args?: readonly bigint[];
}

/** `AUDIT_ARCH_*` */
export const AUDIT = { x86_64: 0xc000003e, i386: 0x40000003, aarch64: 0xc00000b7, arm: 0x40000028 } as const;

const MAX_INSTRUCTIONS = 4096;

/**
 * What a filter returns for a call; throws where the kernel would refuse the program (bpf_check_classic(),
 * seccomp_check_filter()) or jump out of it.
 *
 * @example
 * ```ts
 * import { evaluate } from "./evaluate.ts";
 * const allowAll = new Uint8Array([6, 0, 0, 0, 0, 0, 0xff, 0x7f]);
 * console.assert(evaluate(allowAll, { nr: 0 }) === 0x7fff0000);
 * ```
 */
export function evaluate(program: Uint8Array, { nr, arch = AUDIT.x86_64, args = [] }: CallData): number {
  const count = program.length / 8;
  if (!Number.isInteger(count) || count < 1 || count > MAX_INSTRUCTIONS) {
    throw new Error(`${count} instructions`);
  }
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr >>> 0, true);
  data.setUint32(4, arch, true);
  args.forEach((value, index) => data.setBigUint64(16 + index * 8, value, true));
  const memory = new Uint32Array(16);
  let [a, x] = [0, 0];
  for (let pc = 0; pc < count; pc++) {
    const operation = code.getUint16(pc * 8, true);
    const [yes, no] = [code.getUint8(pc * 8 + 2), code.getUint8(pc * 8 + 3)];
    const k = code.getUint32(pc * 8 + 4, true);
    const jump = (taken: boolean): void => void (pc += taken ? yes : no);
    switch (operation) {
      case 0x20: // ld [k]
        if (k % 4 !== 0 || k >= 64) throw new Error(`load from ${k}`);
        a = data.getUint32(k, true);
        break;
      case 0x00: // ld #k
        a = k;
        break;
      case 0x60: // ld M[k]
        a = memory[k]!;
        break;
      case 0x02: // st M[k]
        memory[k] = a;
        break;
      case 0x07: // tax
        x = a;
        break;
      case 0x87: // txa
        a = x;
        break;
      case 0x54: // and #k
        a = (a & k) >>> 0;
        break;
      case 0x05: // ja
        pc += k;
        break;
      case 0x15: // jeq
        jump(a === k);
        break;
      case 0x25: // jgt
        jump(a > k);
        break;
      case 0x35: // jge
        jump(a >= k);
        break;
      case 0x45: // jset
        jump((a & k) !== 0);
        break;
      case 0x06: // ret #k
        return k;
      case 0x16: // ret a
        return a;
      default:
        throw new Error(`instruction ${operation.toString(16)} at ${pc}`);
    }
  }
  throw new Error("the end of the program is reached");
}
