import { attempt } from "../../ffi/errno.ts";
import { errnoName } from "../../ffi/errno_names.ts";
import { Fd } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { readFields, readImage } from "../protobuf.ts";

const SYS_userfaultfd = Deno.build.arch === "x86_64" ? 323n : 282n;
const O_CLOEXEC = 0o2000000n;
/** linux/userfaultfd.h: UFFD_FEATURE_EVENT_FORK, …_REMAP, …_REMOVE, …_UNMAP. */
const [UFFDIO_API, UFFD_API, EVENTS] = [0xc018aa3fn, 0xaan, 1n << 1n | 1n << 2n | 1n << 3n | 1n << 6n];
/** Field of `pstree_entry`. */
const THREADS = 5;

/** Why the kernel does not let a pager hear of what a process does with its memory; nothing if it does. */
export function refusalOfKernel(): string | undefined {
  const raw = attempt(() => libc.syscall(SYS_userfaultfd, O_CLOEXEC, 0n, 0n, 0n));
  if (raw < 0) return `the kernel refuses userfaultfd: ${errnoName(-raw)}`;
  using uffd = new Fd(raw);
  const asked = new BigUint64Array([UFFD_API, EVENTS, 0n]);
  if (libc.ioctl(uffd.raw, UFFDIO_API, asked) === 0) return undefined;
  return "the kernel does not say by userfaultfd what a process does with its memory";
}

/** How many threads the process with the most of them has, by the image of all processes. */
export function mostThreads(tree: Uint8Array<ArrayBuffer>): number {
  return Math.max(
    1,
    ...readImage(tree).messages.map((message) =>
      readFields(message).filter(({ number }) => number === THREADS).length
    ),
  );
}
