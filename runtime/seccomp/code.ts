/** Classic BPF, as far as seccomp needs it (linux/filter.h, linux/bpf_common.h). */

export const LOAD = 0x20; // BPF_LD | BPF_W | BPF_ABS
export const AND = 0x54; // BPF_ALU | BPF_AND | BPF_K
export const JUMP = 0x05; // BPF_JMP | BPF_JA
export const JUMP_EQUAL = 0x15;
export const JUMP_ABOVE = 0x25;
export const JUMP_NOT_BELOW = 0x35;
export const JUMP_BITS = 0x45;
export const RETURN = 0x06; // BPF_RET | BPF_K

/** BPF_MAXINSNS: the kernel takes no longer filter. */
export const MAX_INSTRUCTIONS = 4096;
export const INSTRUCTION_BYTES = 8;

/** Where things are in `struct seccomp_data`; arguments are 64 bits, on our machines the low half first. */
export const [NR_OFFSET, ARCH_OFFSET, ARGS_OFFSET] = [0, 4, 16];

/** `struct sock_filter[]` in the making: two words each, {code, jt, jf} and k. */
export class Code {
  readonly #words: number[] = [];

  /** Adds an instruction; `yes` and `no` are how many a conditional jump skips. */
  emit(code: number, k: number, yes: number = 0, no: number = 0): void {
    this.#words.push(code | (yes << 16) | (no << 24), k);
  }

  /** Adds a jump; the function returned says that it lands here. */
  emitJump(): () => void {
    const at = this.#words.length;
    this.emit(JUMP, 0);
    return () => this.#land(at);
  }

  /** Adds a finished program, whose jumps stay within it. */
  append(program: Uint8Array<ArrayBuffer>): void {
    for (const word of new Uint32Array(program.buffer)) this.#words.push(word);
  }

  /** The code as the kernel takes it; our machines are little-endian, as it is. */
  bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(Uint32Array.from(this.#words).buffer);
  }

  #land(at: number): void {
    this.#words[at + 1] = (this.#words.length - at) / 2 - 1;
  }
}
