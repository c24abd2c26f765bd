import { type Arch, syscallNumber } from "../plan/abi.ts";
import type { Filter } from "../plan/context.ts";
import { GATE_FD, STATUS_FD } from "../plan/protocol.ts";

/** `AUDIT_ARCH_*` (linux/audit.h) */
const AUDIT: Readonly<Record<Arch, number>> = { x86_64: 0xc000003e, aarch64: 0xc00000b7 };
const ACTIONS = 0xffff0000;
const [RET_ALLOW, RET_LOG, RET_USER_NOTIF] = [0x7fff0000, 0x7ffc0000, 0x7fc00000];
/** `struct seccomp_data` */
const DATA_BYTES = 64;

/**
 * The first call that a filter forbids of those between its installation and the program: init says that it is ready
 * and waits at the start gate. `undefined` if it allows all of them.
 *
 * @param agent Whether somebody is there by then who answers what the filter asks.
 */
export function forbidden(
  { program }: Filter,
  arch: Arch,
  agent = false,
): "write" | "read" | "exit_group" | undefined {
  const calls = [["write", STATUS_FD.value], ["read", GATE_FD.value], ["exit_group", 1]] as const;
  return calls.find(([call, first]) => {
    const action = (run(program, seccompData(arch, syscallNumber(call, arch), first)) & ACTIONS) >>> 0;
    const isAsked = agent && call !== "write"; // which comes before the agent has the listener
    return action !== RET_ALLOW && action !== RET_LOG && !(isAsked && action === RET_USER_NOTIF);
  })?.[0];
}

function seccompData(arch: Arch, number: number, first: number | bigint): DataView {
  const data = new DataView(new ArrayBuffer(DATA_BYTES));
  data.setUint32(0, number, true);
  data.setUint32(4, AUDIT[arch], true);
  data.setBigUint64(16, BigInt(first), true);
  return data;
}

/**
 * What a filter returns (classic BPF, as seccomp(2) takes it). Instructions that no filter needs are not known.
 *
 * @throws {Error} for such an instruction, or a program without an end.
 */
export function run(program: Uint8Array, data: DataView): number {
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const memory = new Uint32Array(16);
  let accumulator = 0;
  let index = 0;
  for (let at = 0; at + 8 <= code.byteLength; at += 8) {
    const operand = code.getUint32(at + 4, true);
    const jump = (taken: boolean): number => 8 * code.getUint8(at + (taken ? 2 : 3));
    switch (code.getUint16(at, true)) {
      case 0x20: // BPF_LD | BPF_W | BPF_ABS
        accumulator = data.getUint32(operand, true);
        break;
      case 0x00: // BPF_LD | BPF_IMM
        accumulator = operand;
        break;
      case 0x60: // BPF_LD | BPF_MEM
        accumulator = memory[operand]!;
        break;
      case 0x02: // BPF_ST
        memory[operand] = accumulator;
        break;
      case 0x07: // BPF_MISC | BPF_TAX
        index = accumulator;
        break;
      case 0x87: // BPF_MISC | BPF_TXA
        accumulator = index;
        break;
      case 0x54: // BPF_ALU | BPF_AND | BPF_K
        accumulator = (accumulator & operand) >>> 0;
        break;
      case 0x05: // BPF_JMP | BPF_JA
        at += 8 * operand;
        break;
      case 0x15: // BPF_JMP | BPF_JEQ | BPF_K
        at += jump(accumulator === operand);
        break;
      case 0x25: // BPF_JMP | BPF_JGT | BPF_K
        at += jump(accumulator > operand);
        break;
      case 0x35: // BPF_JMP | BPF_JGE | BPF_K
        at += jump(accumulator >= operand);
        break;
      case 0x45: // BPF_JMP | BPF_JSET | BPF_K
        at += jump((accumulator & operand) !== 0);
        break;
      case 0x06: // BPF_RET | BPF_K
        return operand;
      case 0x16: // BPF_RET | BPF_A
        return accumulator;
      default:
        throw new Error(`Cannot follow a seccomp filter: it has instruction ${code.getUint16(at, true)}`);
    }
  }
  throw new Error("Cannot follow a seccomp filter: it has no end");
}
