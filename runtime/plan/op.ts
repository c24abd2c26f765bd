import { type Arch, ERRNO, type Errno, type Syscall } from "./abi.ts";

/** The value of the slot: what an earlier operation stored there. */
export interface SlotValue {
  /** Name of the slot. */
  readonly slot: string;
}
/**
 * The address of the slot, for calls that store through a pointer. `failed` and `errno` lie side by side and are
 * filled in by the machine code: the record that ended the launch and why.
 */
export interface SlotAddress {
  /** Name of the slot. */
  readonly address: string;
}
/** A number with the names that it is printed by: `O_PATH|O_CLOEXEC`. */
export interface Named {
  /** The names. */
  readonly named: string;
  /** The number. */
  readonly value: number | bigint;
}
/** Raw bytes in memory; `shows` is how they are printed. */
export interface Bytes {
  /** What lies in memory. */
  readonly bytes: Uint8Array;
  /** How it is printed. */
  readonly shows: string;
  /** Where in `bytes` the launch puts the first id of a range, as {@linkcode ID_DIGITS} characters. */
  readonly idAt?: number;
  /** Whether the bytes are that id itself, as a word of eight. */
  readonly isId?: boolean;
}
/** Characters of the largest id. */
export const ID_DIGITS = 10;
/** An address inside bytes that another argument points to. */
export interface Inside {
  /** The bytes. */
  readonly inside: Bytes;
  /** Bytes from their begin. */
  readonly offset: number;
}
/** A NULL-terminated array of C strings (argv, envp). */
export interface Strings {
  /** The strings, without the NULL; bytes that earlier steps fill in bring their own. */
  readonly strings: readonly (string | Bytes)[];
}
/** One member of a C struct: its name, its size in bytes, its value; members follow each other without padding. */
export type Member = readonly [name: string, size: 1 | 2 | 4 | 8, value: Arg];
/** A pointer to a C struct. */
export interface Struct {
  /** Its name, as in C. */
  readonly struct: string;
  /** Its members in their order. */
  readonly members: readonly Member[];
}
/** An argument of a system call. A string is a pointer to its NUL-terminated UTF-8. */
export type Arg =
  | number
  | bigint
  | string
  | SlotValue
  | SlotAddress
  | Named
  | Bytes
  | Inside
  | Strings
  | Struct;

/** Besides system calls: `let` stores first + second × third, `load` the 8 bytes there, `decimal` writes digits that end before an address, `leave` goes back to who has begun. */
export type Call = Syscall | "let" | "load" | "decimal" | "leave";

/**
 * One step of a plan. Without `zero`, `positive` and `failed` it goes on with the step behind it when the call
 * succeeds or fails with an errno in `ignore`, and ends the launch with an error message otherwise.
 */
export interface Op {
  /** What the step does, as in "Cannot …". */
  readonly does: string;
  /** What is called. */
  readonly call: Call;
  /** The arguments, six at most. */
  readonly args: readonly Arg[];
  /** The slot that keeps the result. */
  readonly into?: string;
  /** Errnos that do not end the launch. */
  readonly ignore?: readonly Errno[];
  /** Where other steps can jump to. */
  readonly label?: string;
  /** The label to go on with when the result is 0. */
  readonly zero?: string;
  /** The label to go on with when the result is above 0. */
  readonly positive?: string;
  /** The label to go on with when the call fails with an errno that is not ignored. */
  readonly failed?: string;
  /** The label to go on with when the call fails with an ignored errno. */
  readonly ignored?: string;
}

/** The options of a step, beside what it does and calls. */
export type Rest = Omit<Op, "does" | "call" | "args">;

/** A step: `op("set the host name", "sethostname", ["box", 3])`. */
export function op(does: string, call: Call, args: readonly Arg[], rest?: Rest): Op {
  return rest ? { does, call, args, ...rest } : { does, call, args };
}

const NOTHING: readonly Arg[] = [0];

/** Does nothing, but can be jumped to. */
export function mark(label: string): Op {
  return { does: "go on", call: "let", args: NOTHING, label };
}

/** Goes on with `label`. */
export function jump(label: string): Op {
  return op("go on", "let", [0], { zero: label });
}

/** The steps of one process, in order. */
export interface Section {
  /** Who runs them: the launcher (on the host), init, what joins a sandbox to be a program, or the executable itself. */
  readonly by: "launcher" | "init" | "program" | "end" | "move";
  /** The steps. */
  readonly ops: readonly Op[];
}

/** Everything that will be done to build the sandbox, as data. */
export interface Plan {
  /** The machine that it is for. */
  readonly arch: Arch;
  /** Its parts, in the order of the image. */
  readonly sections: readonly Section[];
}

/** `flags("O_", { PATH, CLOEXEC })`: the values joined, printed by their names. */
export function flags(prefix: string, parts: Readonly<Record<string, number>>): Named {
  let value = 0;
  let named = "";
  for (const key in parts) {
    value = (value | parts[key]!) >>> 0;
    named += (named && "|") + prefix + key;
  }
  return { named: named || "0", value };
}

/** A number printed by a name. */
export function named(name: string, value: number | bigint): Named {
  return { named: name, value };
}

/** The value of a slot. */
export function slot(name: string): SlotValue {
  return { slot: name };
}

/** The bytes of a UTF-8 text without a NUL behind it. */
export function text(value: string): Bytes {
  return { bytes: new TextEncoder().encode(value), shows: JSON.stringify(value) };
}

/** A text behind its length (u64): what steps that print need. */
export function counted(value: string): Bytes {
  const encoded = new TextEncoder().encode(value);
  const bytes = new Uint8Array(8 + encoded.length);
  new DataView(bytes.buffer).setUint32(0, encoded.length, true);
  bytes.set(encoded, 8);
  return { bytes, shows: JSON.stringify(value) };
}

/** `size` zero bytes. */
export function zeros(size: number, shows: string): Bytes {
  return { bytes: new Uint8Array(size), shows };
}

/** The errno of a name, as a number. */
export function errno(name: Errno): number {
  return ERRNO[name];
}
