import { check, SyscallError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { isInstalled, openLibrary } from "./library.ts";
import { cstring } from "./memory.ts";

const FILE = "libseccomp.so.2";

const TABLE = {
  seccomp_api_set: { parameters: ["u32"], result: "i32" }, // (unsigned int level)
  seccomp_init: { parameters: ["u32"], result: "pointer" }, // scmp_filter_ctx seccomp_init(uint32_t def_action)
  seccomp_release: { parameters: ["pointer"], result: "void" }, // (scmp_filter_ctx)
  seccomp_arch_add: { parameters: ["pointer", "u32"], result: "i32" }, // (scmp_filter_ctx, uint32_t arch_token)
  seccomp_arch_remove: { parameters: ["pointer", "u32"], result: "i32" }, // (scmp_filter_ctx, uint32_t arch_token)
  seccomp_attr_set: { parameters: ["pointer", "u32", "u32"], result: "i32" }, // (scmp_filter_ctx, enum scmp_filter_attr, uint32_t value)

  // char *(uint32_t arch_token, int num); the caller frees it
  seccomp_syscall_resolve_num_arch: { parameters: ["u32", "i32"], result: "pointer" },
  seccomp_syscall_resolve_name_arch: { parameters: ["u32", "buffer"], result: "i32" }, // (uint32_t arch_token, const char *name)
  // (scmp_filter_ctx, uint32_t action, int syscall, unsigned int arg_cnt, const struct scmp_arg_cmp *)
  seccomp_rule_add_array: { parameters: ["pointer", "u32", "i32", "u32", "buffer"], result: "i32" },
  seccomp_export_bpf: { parameters: ["pointer", "i32"], result: "i32" }, // (const scmp_filter_ctx, int fd)
} as const;

const library = openLibrary(FILE, TABLE);

/** Whether libseccomp is there. */
export function hasSeccomp(): boolean {
  return isInstalled(FILE);
}

const encoder = new TextEncoder();
const nameBuffer = new Uint8Array(64);

/**
 * The number that libseccomp gives a system call: -1 if it has never heard of the name, another negative number if
 * that architecture has no such call.
 *
 * @param arch A `SCMP_ARCH_*` token, 0 for the architecture that libseccomp was built for.
 */
export function resolveSyscall(name: string, arch: number): number {
  // One buffer for all names: a filter has hundreds.
  const { written } = encoder.encodeInto(name, nameBuffer);
  const fits = written < nameBuffer.length;
  if (fits) nameBuffer[written] = 0;
  return library.seccomp_syscall_resolve_name_arch(arch, fits ? nameBuffer : cstring(name));
}

/** `enum scmp_filter_attr`, as far as it changes what is exported. */
export const ATTRIBUTE = { ACT_BADARCH: 2, CTL_OPTIMIZE: 8 } as const;

/** `enum scmp_compare` */
export const COMPARE = { NE: 1, LT: 2, LE: 3, EQ: 4, GE: 5, GT: 6, MASKED_EQ: 7 } as const;

const [ENOMEM, EEXIST] = [12, 17];
const MFD_CLOEXEC = 1;
/** `SCMP_ARCH_NATIVE` */
const OWN_ARCH = 0;
/** Every action that there is. */
const API_LEVEL = 6;
/** `sizeof(struct scmp_arg_cmp)` */
const COMPARISON_BYTES = 24;

/** One `struct scmp_arg_cmp`. */
export interface ArgumentComparison {
  readonly arg: number;
  /** One of {@linkcode COMPARE}. */
  readonly op: number;
  readonly a: bigint;
  readonly b: bigint;
}

/**
 * An owned `scmp_filter_ctx`: a filter in the making, for the architecture that libseccomp was built for. Its
 * functions return a negative errno, which is thrown as a {@linkcode SyscallError}.
 */
export class ScmpFilter implements Disposable {
  #context: Deno.PointerValue;

  /** @param action What to do about calls that no rule is about. */
  constructor(action: number) {
    // Without this, libseccomp asks the running kernel for each action: only the one that runs the filter matters.
    succeed(library.seccomp_api_set(API_LEVEL), "use all actions of seccomp");
    this.#context = library.seccomp_init(action);
    if (this.#context === null) throw new SyscallError("make a seccomp filter", ENOMEM);
  }

  /** Filters the calls of one architecture; those of all others are left to the action for bad ones. */
  only(token: number): void {
    const result = library.seccomp_arch_add(this.#pointer, token);
    if (result === -EEXIST) return; // its own
    succeed(result, "filter the calls of another architecture");
    succeed(library.seccomp_arch_remove(this.#pointer, OWN_ARCH), "leave out an architecture");
  }

  /** Sets one of {@linkcode ATTRIBUTE}. */
  set(attribute: number, value: number): void {
    succeed(library.seccomp_attr_set(this.#pointer, attribute, value), "set a filter attribute");
  }

  /**
   * Adds a rule that holds if all `comparisons` do.
   *
   * @param syscall The number of the call on the architecture that libseccomp was built for, or what
   *   {@linkcode resolveSyscall} gives in its stead.
   */
  addRule(action: number, syscall: number, comparisons: readonly ArgumentComparison[]): void {
    const packed = comparisons.length === 0 ? null : pack(comparisons);
    const pointer = this.#pointer;
    const result = library.seccomp_rule_add_array(pointer, action, syscall, comparisons.length, packed);
    succeed(result, "add a rule to a seccomp filter");
  }

  /** The filter as `struct sock_filter[]`. */
  program(): Uint8Array<ArrayBuffer> {
    using file = new Fd(check(libc.memfd_create(cstring("seccomp"), MFD_CLOEXEC), "make a memory file"));
    succeed(library.seccomp_export_bpf(this.#pointer, file.raw), "compile a seccomp filter");
    return Deno.readFileSync(`/proc/self/fd/${file.raw}`);
  }

  [Symbol.dispose](): void {
    if (this.#context === null) return;
    library.seccomp_release(this.#context);
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

function pack(comparisons: readonly ArgumentComparison[]): ArrayBuffer {
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

/** The name of a system call, or its number in words if libseccomp has never heard of it. */
export function syscallName(number: number, arch: number): string {
  const name = library.seccomp_syscall_resolve_num_arch(arch, number);
  if (name === null) return `call ${number}`;
  const text = Deno.UnsafePointerView.getCString(name);
  libc.free(name);
  return text;
}
