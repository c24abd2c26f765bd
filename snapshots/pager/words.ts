import type { Arch, Errno } from "../../runtime/plan/abi.ts";
import {
  type Bytes,
  flags,
  jump,
  mark,
  named,
  type Op,
  op,
  type Rest,
  slot,
  type Struct,
} from "../../runtime/plan/op.ts";

/** What the process has, by the numbers of its descriptors: the first ones it is given. */
export const [UFFD, PAGES, INIT, LOW, REPORT, READY, TASKS, SIGNALS, GUARD, NOTES] = [
  0,
  1,
  2,
  3,
  4,
  5,
  6,
  10,
  11,
  12,
];
export const FIRST_OWN = 7;

/** Below it lies the pager itself: pages of the program there are never fetched. */
export const LOW_END = 0x800000;
export const PAGE_BYTES = 4096;
/** An entry of the table: begin and end of what is to be fetched, and where it lies among the pages. */
export const ENTRY_BYTES = 24;
/** Begin and end of a place. */
export const PLACE_BYTES = 16;
/** So often may memory be moved while all of it is brought in; so many threads may be at it at once, and so often. */
export const [MOST_MOVES, MOST_OPEN, MOST_RECENT] = [4096, 64, 1024];
/** While there is no memory for a page it is tried again, for ten seconds: see `PAUSE`. */
export const TRIES = 1000;
export const PAUSE: Struct = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, 10_000_000]] };

/** linux/userfaultfd.h */
export const [UFFDIO_COPY, UFFDIO_ZEROPAGE, UFFDIO_WAKE] = [0xc028aa03, 0xc020aa04, 0x8010aa02];
export const EVENT = { pagefault: 0x12, fork: 0x13, remap: 0x14, remove: 0x15, unmap: 0x16 } as const;
export const [PROT_NONE, PROT_READ, MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS] = [
  0,
  1,
  1,
  2,
  0x10,
  0x20,
];
export const MAP_FIXED_NOREPLACE = 0x100000;
export const [MREMAP_MAYMOVE, MREMAP_FIXED, MADV_FREE] = [1, 2, 8];
export const [SEEK_SET, SEEK_DATA, SEEK_HOLE] = [0, 3, 4];
export const [SIGUSR1, SIGTERM] = [10, 15];
export const [SIG_SETMASK, SIG_IGN, SIGNALS_BYTES, SIGINFO_BYTES] = [2, 1, 8, 128];
export const ALL_SIGNALS: Bytes = { bytes: new Uint8Array(8).fill(0xff), shows: "all" };
export const LAST_FD = 0xffffffff;
/** Ends of what a process may map, the largest first: kernels for aarch64 differ. */
export const TOPS: Record<Arch, readonly number[]> = {
  x86_64: [2 ** 47 - PAGE_BYTES],
  aarch64: [2 ** 48, 2 ** 47, 2 ** 42, 2 ** 39],
};

/** Errnos, as steps compare them. */
export const NUMBERS = { ENOENT: 2, ESRCH: 3, EAGAIN: 11, ENOMEM: 12, EFAULT: 14, EEXIST: 17 } as const;

/** A step whose failure ends the sandbox. */
export function run(does: string, call: Op["call"], args: Op["args"], rest: Rest = {}): Op {
  return op(does, call, args, { failed: "kill", ...rest });
}

/** `label` if `a` equals `b`. */
export function ifEqual(does: string, a: Op["args"][number], b: number, label: string): Op {
  return op(does, "let", [a, -b, 1], { zero: label });
}

/** Goes on with the next step if slot `a` is below slot `b`: there is no file behind its end. */
export function* ifBelow(does: string, a: string, b: string, otherwise: string): Iterable<Op> {
  yield run(does, "ftruncate", [NOTES, slot(b)]);
  yield op(does, "lseek", [NOTES, slot(a), SEEK_HOLE], { failed: otherwise });
}

/** Looks which errno it was; any other ends the sandbox. */
export function* onErrno(to: Readonly<Partial<Record<keyof typeof NUMBERS & Errno, string>>>): Iterable<Op> {
  for (const [name, label] of Object.entries(to)) {
    yield ifEqual(`look for ${name}`, slot("errno"), NUMBERS[name as keyof typeof NUMBERS], label);
  }
  yield jump("kill");
}

/** `struct pollfd` of those descriptors; POLLIN is 1. */
export function polled(...fds: readonly number[]): Bytes {
  const bytes = new Uint8Array(8 * fds.length);
  new BigUint64Array(bytes.buffer).set(fds.map((fd) => BigInt(fd) | 1n << 32n));
  return { bytes, shows: `poll ${fds.join(", ")}` };
}

/** Whether one of those has something: its `revents` are not 0. */
export function* ifReady(of: Bytes, index: number, fd: number, label: string): Iterable<Op> {
  const does = "look who has something";
  yield op(does, "load", [{ inside: of, offset: 8 * index }], { into: "word" });
  yield op(does, "let", [slot("word"), -(2 ** 32 + fd), 1], { positive: label });
}

/**
 * Whether the pager has a page for an address: the kernel forgets pages (MADV_FREE) where nothing but a place is kept, and
 * refuses to where a file is mapped.
 */
export function* isThere(
  address: string,
  label: string,
  to: { readonly there: string; readonly absent: string },
): Iterable<Op> {
  const does = "look whether there is such a page";
  const failed = `${label}:why`;
  yield op(does, "madvise", [slot(address), PAGE_BYTES, named("MADV_FREE", MADV_FREE)], {
    label,
    zero: to.absent,
    failed,
  });
  yield mark(failed);
  yield ifEqual(does, slot("errno"), NUMBERS.ENOMEM, to.absent); // nothing is mapped
  yield jump(to.there);
}

/** How a place is kept for what has no page: as long as one is there, nothing can be moved there. */
export const KEEP = {
  prot: named("PROT_NONE", PROT_NONE),
  flags: flags("MAP_", { PRIVATE: MAP_PRIVATE, ANONYMOUS: MAP_ANONYMOUS, FIXED: MAP_FIXED }),
} as const;
