/** libseccomp's own compiler, to compare ours with. */

import type { SeccompOperator } from "../../runtime/spec/words.ts";
import { check, SyscallError } from "../../ffi/errno.ts";
import { Fd } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { openLibrary } from "../../ffi/library.ts";
import { cstring } from "../../ffi/memory.ts";

const FILE = "libseccomp.so.2";

const TABLE = {
  seccomp_init: { parameters: ["u32"], result: "pointer" }, // scmp_filter_ctx seccomp_init(uint32_t def_action)
  seccomp_release: { parameters: ["pointer"], result: "void" }, // (scmp_filter_ctx)
  seccomp_arch_add: { parameters: ["pointer", "u32"], result: "i32" }, // (scmp_filter_ctx, uint32_t arch_token)
  seccomp_arch_remove: { parameters: ["pointer", "u32"], result: "i32" }, // (scmp_filter_ctx, uint32_t arch_token)
  seccomp_attr_set: { parameters: ["pointer", "u32", "u32"], result: "i32" }, // (scmp_filter_ctx, enum scmp_filter_attr, uint32_t value)
  // (scmp_filter_ctx, uint32_t action, int syscall, unsigned int arg_cnt, const struct scmp_arg_cmp *)
  seccomp_rule_add_array: { parameters: ["pointer", "u32", "i32", "u32", "buffer"], result: "i32" },
  seccomp_export_bpf: { parameters: ["pointer", "i32"], result: "i32" }, // (const scmp_filter_ctx, int fd)
} as const;

const library = openLibrary(FILE, TABLE);

/** `enum scmp_filter_attr`, as far as it changes what is exported. */
export const ATTRIBUTE = { ACT_BADARCH: 2, CTL_OPTIMIZE: 8 } as const;

/** `enum scmp_compare` */
export const OPERATORS: Record<SeccompOperator, number> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

const EEXIST = 17;
const EINVAL = 22;
const MFD_CLOEXEC = 1;
/** `sizeof(struct scmp_arg_cmp)` */
const COMPARISON_BYTES = 24;

/** One `struct scmp_arg_cmp`. */
export interface Comparison {
  readonly arg: number;
  /** `enum scmp_compare` */
  readonly op: number;
  readonly a: bigint;
  readonly b: bigint;
}

/**
 * An owned `scmp_filter_ctx`: a filter in the making, for the architecture that libseccomp was built for. Its
 * functions return a negative errno, which is thrown as a {@linkcode SyscallError}.
 */
export class ScmpFilter implements Disposable {
  readonly #library = library;
  #context: Deno.PointerValue;

  /** @param action What to do about calls that no rule is about. */
  constructor(action: number) {
    this.#context = this.#library.seccomp_init(action);
    if (this.#context === null) throw new SyscallError("make a seccomp filter", EINVAL);
  }

  /** Filters the calls of another architecture too; adding one twice does nothing. */
  addArch(token: number): void {
    const result = this.#library.seccomp_arch_add(this.#pointer, token);
    if (result !== -EEXIST) succeed(result, "filter the calls of another architecture");
  }

  /** Leaves the calls of an architecture to the action for bad ones. */
  removeArch(token: number): void {
    succeed(this.#library.seccomp_arch_remove(this.#pointer, token), "leave out an architecture");
  }

  /** Sets a `SCMP_FLTATR_*`. */
  set(attribute: number, value: number): void {
    succeed(this.#library.seccomp_attr_set(this.#pointer, attribute, value), "set a filter attribute");
  }

  /** Adds a rule that holds if all `comparisons` do. */
  addRule(action: number, syscall: number, comparisons: readonly Comparison[]): void {
    const packed = comparisons.length === 0 ? null : pack(comparisons);
    const { seccomp_rule_add_array } = this.#library;
    const result = seccomp_rule_add_array(this.#pointer, action, syscall, comparisons.length, packed);
    if (result !== 0) succeed(result, "add a rule to a seccomp filter");
  }

  /** The filter as `struct sock_filter[]`. */
  program(): Uint8Array<ArrayBuffer> {
    using file = new Fd(check(libc.memfd_create(cstring("seccomp"), MFD_CLOEXEC), "make a memory file"));
    succeed(this.#library.seccomp_export_bpf(this.#pointer, file.raw), "compile a seccomp filter");
    return Deno.readFileSync(`/proc/self/fd/${file.raw}`);
  }

  [Symbol.dispose](): void {
    if (this.#context === null) return;
    this.#library.seccomp_release(this.#context);
    this.#context = null;
  }

  get #pointer(): Deno.PointerObject {
    if (this.#context === null) throw new ReferenceError("Cannot use a released seccomp filter");
    return this.#context;
  }
}

function succeed(result: number, what: string): void {
  if (result < 0) throw new SyscallError(what, -result);
}

function pack(comparisons: readonly Comparison[]): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(comparisons.length * COMPARISON_BYTES));
  comparisons.forEach(({ arg, op, a, b }, index) => {
    const at = index * COMPARISON_BYTES;
    view.setUint32(at, arg, true);
    view.setUint32(at + 4, op, true);
    view.setBigUint64(at + 8, a, true);
    view.setBigUint64(at + 16, b, true);
  });
  return view.buffer;
}
