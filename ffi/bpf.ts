import { check } from "./errno.ts";
import { Fd, open } from "./fd.ts";
import { libc } from "./libc.ts";
import { addressOf, cstring } from "./memory.ts";

const SYS_bpf = { x86_64: 321n, aarch64: 280n };
const [BPF_PROG_LOAD, BPF_PROG_ATTACH] = [5n, 8n];
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
/** Programs of groups above and below hold as well: a device must pass all of them. */
const BPF_F_ALLOW_MULTI = 2;
const O_DIRECTORY = { x86_64: 0o200000, aarch64: 0o40000 };
const INSTRUCTION_BYTES = 8;

/**
 * Lets `program` decide over every use of a device by the processes of a cgroup, for as long as the group exists
 * (bpf(2); cgroup-v2.rst, "Device controller").
 *
 * @param program `struct bpf_insn[]`
 * @throws {SyscallError} if the kernel refuses it.
 */
export function attachDeviceProgram(directory: string, program: Uint8Array<ArrayBuffer>): void {
  const license = cstring("Apache-2.0");
  // The kernel gets addresses, which keep nothing alive.
  const kept: unknown[] = [program, license];
  // union bpf_attr: prog_type, insn_cnt, insns, license, …
  const load = new DataView(new ArrayBuffer(48));
  load.setUint32(0, BPF_PROG_TYPE_CGROUP_DEVICE, true);
  load.setUint32(4, program.length / INSTRUCTION_BYTES, true);
  load.setBigUint64(8, addressOf(program), true);
  load.setBigUint64(16, addressOf(license), true);
  using loaded = new Fd(bpf(BPF_PROG_LOAD, load, "load the device rules for", directory));
  kept.length = 0;
  using group = open(directory, O_DIRECTORY[Deno.build.arch]);
  // … target_fd, attach_bpf_fd, attach_type, attach_flags
  const attach = new DataView(new ArrayBuffer(16));
  [group.raw, loaded.raw, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI].forEach((value, index) => {
    attach.setUint32(index * 4, value, true);
  });
  bpf(BPF_PROG_ATTACH, attach, "attach the device rules to", directory);
}

function bpf(command: bigint, attributes: DataView<ArrayBuffer>, doing: string, subject: string): number {
  const bytes = new Uint8Array(attributes.buffer);
  const kept: unknown[] = [bytes];
  const result = libc.syscall(SYS_bpf[Deno.build.arch], command, addressOf(bytes), BigInt(bytes.length), 0n);
  const number = check(result, doing, subject);
  kept.length = 0;
  return number;
}
