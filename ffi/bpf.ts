import { check } from "./errno.ts";
import { Fd, open } from "./fd.ts";
import { libc } from "./libc.ts";
import { addressOf, cstring } from "./memory.ts";

const SYS_bpf = { x86_64: 321n, aarch64: 280n };
const [BPF_PROG_LOAD, BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_PROG_GET_FD_BY_ID, BPF_PROG_QUERY] = [
  5n,
  8n,
  9n,
  13n,
  16n,
];
/** The kernel lets no more programs decide over one group (BPF_CGROUP_MAX_PROGS). */
const MOST_PROGRAMS = 64;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
/** Programs of groups above and below hold as well: a device must pass all of them. */
const BPF_F_ALLOW_MULTI = 2;
const O_DIRECTORY = { x86_64: 0o200000, aarch64: 0o40000 };
const INSTRUCTION_BYTES = 8;

/**
 * Lets `program` decide over every use of a device by the processes of a cgroup, for as long as the group exists
 * (bpf(2); cgroup-v2.rst, "Device controller"), and nothing else that decided on this group before. There is no moment
 * at which nobody decides.
 *
 * @param program `struct bpf_insn[]`; without one only the groups above decide.
 * @throws {SyscallError} if the kernel refuses it.
 */
export function replaceDeviceProgram(directory: string, program: Uint8Array<ArrayBuffer> | undefined): void {
  using group = open(directory, O_DIRECTORY[Deno.build.arch]);
  const before = attached(group, directory);
  if (program !== undefined) {
    using loaded = load(program, directory);
    const doing = "attach the device rules to";
    bpf(BPF_PROG_ATTACH, attachment(group, loaded, BPF_F_ALLOW_MULTI), doing, directory);
  }
  for (const id of before) {
    const doing = "take off the former device rules of";
    using old = new Fd(bpf(BPF_PROG_GET_FD_BY_ID, words(id, 0, 0), doing, directory));
    bpf(BPF_PROG_DETACH, attachment(group, old, 0), doing, directory);
  }
}

function load(program: Uint8Array<ArrayBuffer>, directory: string): Fd {
  const license = cstring("Apache-2.0");
  // The kernel gets addresses, which keep nothing alive.
  const kept: unknown[] = [program, license];
  // union bpf_attr: prog_type, insn_cnt, insns, license, …
  const attributes = new DataView(new ArrayBuffer(48));
  attributes.setUint32(0, BPF_PROG_TYPE_CGROUP_DEVICE, true);
  attributes.setUint32(4, program.length / INSTRUCTION_BYTES, true);
  attributes.setBigUint64(8, addressOf(program), true);
  attributes.setBigUint64(16, addressOf(license), true);
  const loaded = new Fd(bpf(BPF_PROG_LOAD, attributes, "load the device rules for", directory));
  kept.length = 0;
  return loaded;
}

/** The ids of the programs that decide on this very group. */
function attached(group: Fd, directory: string): number[] {
  const ids = new Uint32Array(MOST_PROGRAMS);
  const kept: unknown[] = [ids];
  // union bpf_attr: target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt
  const query = new DataView(new ArrayBuffer(32));
  query.setUint32(0, group.raw, true);
  query.setUint32(4, BPF_CGROUP_DEVICE, true);
  query.setBigUint64(16, addressOf(ids), true);
  query.setUint32(24, MOST_PROGRAMS, true);
  bpf(BPF_PROG_QUERY, query, "ask for the device rules of", directory);
  kept.length = 0;
  return [...ids.subarray(0, query.getUint32(24, true))];
}

/** union bpf_attr: target_fd, attach_bpf_fd, attach_type, attach_flags */
function attachment(group: Fd, program: Fd, flags: number): DataView<ArrayBuffer> {
  return words(group.raw, program.raw, BPF_CGROUP_DEVICE, flags);
}

function words(...values: readonly number[]): DataView<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, index) => view.setUint32(index * 4, value, true));
  return view;
}

function bpf(command: bigint, attributes: DataView<ArrayBuffer>, doing: string, subject: string): number {
  const bytes = new Uint8Array(attributes.buffer);
  const kept: unknown[] = [bytes];
  const result = libc.syscall(SYS_bpf[Deno.build.arch], command, addressOf(bytes), BigInt(bytes.length), 0n);
  const number = check(result, doing, subject);
  kept.length = 0;
  return number;
}
