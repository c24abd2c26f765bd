import { SyscallError, unless } from "../ffi/errno.ts";
import { type Fd, open } from "../ffi/fd.ts";
import { libc } from "../ffi/libc.ts";
import { addressOf } from "../ffi/memory.ts";
import { UnsupportedError } from "./errors.ts";
import type { IdRange } from "./launch/child.ts";

/** How many ids a sandbox gets: as many as OCI images count on. */
export const RANGE_IDS = 65_536;
/** Above the subordinate ids that useradd(8) hands out (SUB_UID_MAX 600100000), below 2³¹, where old tools see negative ones. */
const [FIRST_ID, END_ID] = [0x24000000, 0x70000000];
const DIRECTORY = "/run/ai-sandbox";
const [O_RDWR, O_CREAT, O_NOFOLLOW] = [2, 0o100, Deno.build.arch === "x86_64" ? 0o400000 : 0o100000];
const F_OFD_SETLK = 37;
const F_WRLCK = 1;
const [ENOENT, EAGAIN, EACCES] = [2, 11, 13];

/**
 * Takes a range. It is a lock on one byte of a file (fcntl(2), open file description locks), which the kernel lets go
 * when the last process that has it open ends, however it ends: nothing is left to clean up.
 *
 * @throws {UnsupportedError} if this user namespace has no room for one, or all are taken.
 *
 * @example
 * ```ts ignore
 * using range = takeIdRange();
 * console.log(range.first); // 603979776
 * ```
 */
export function takeIdRange(): IdRange {
  const { first, count } = window();
  const lock = openLock();
  try {
    // Somewhere new each time: a sandbox that is just ending is not met again.
    const start = crypto.getRandomValues(new Uint32Array(1))[0]!;
    for (let step = 0; step < count; step++) {
      const index = (start + step) % count;
      // The byte is that of the id, whatever the window of the process that asks.
      const id = first + index * RANGE_IDS;
      if (tryLock(lock, Math.floor(id / RANGE_IDS))) {
        return { first: id, lock, [Symbol.dispose]: () => lock[Symbol.dispose]() };
      }
    }
    throw new UnsupportedError("a range of user ids", `all ${count} are taken`, "end some sandboxes first");
  } catch (cause) {
    lock[Symbol.dispose]();
    throw cause;
  }
}

function openLock(): Fd {
  const openFile = (): Fd => open(`${DIRECTORY}/ids`, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    return openFile();
  } catch (error) {
    if (!(error instanceof SyscallError && error.errno === ENOENT)) throw error;
    Deno.mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 }); // the first since this machine has booted
    return openFile();
  }
}

/** `struct flock`: type, whence, start, length, pid. */
function tryLock(file: Fd, byte: number): boolean {
  const flock = new Uint8Array(32);
  const view = new DataView(flock.buffer);
  view.setInt16(0, F_WRLCK, true);
  view.setBigInt64(8, BigInt(byte), true);
  view.setBigInt64(16, 1n, true);
  const lock = (): number => libc.fcntl(file.raw, F_OFD_SETLK, addressOf(flock));
  const locked = unless([EAGAIN, EACCES], lock, "lock a range of ids in", `${DIRECTORY}/ids`);
  return view.byteLength > 0 && locked !== undefined; // read after the call: the buffer must outlive it
}

interface Window {
  readonly first: number;
  readonly count: number;
}
let known: Window | undefined;

/** The ids that ranges are taken from. */
function window(): Window {
  return known ??= idWindow(Deno.readTextFileSync("/proc/self/uid_map"));
}

/**
 * The part of a user namespace that ranges are taken from, on multiples of their size: our own in the first namespace,
 * the end of the largest piece in another, where a container engine gave us few ids.
 *
 * @param uidMap The text of /proc/self/uid_map (user_namespaces(7)).
 * @throws {UnsupportedError} if there is no room.
 */
export function idWindow(uidMap: string): Window {
  const pieces = uidMap.trim().split("\n").map((line) => {
    const [first = 0, , size = 0] = line.trim().split(/\s+/).map(Number);
    return { first, end: first + size };
  });
  const whole = pieces.some(({ first, end }) => first <= FIRST_ID && end >= END_ID);
  if (whole) return { first: FIRST_ID, count: (END_ID - FIRST_ID) / RANGE_IDS };
  const fits = pieces.map(({ first, end }) => {
    // The first multiple above 0: the first range is the caller's own users.
    const begin = Math.max(1, Math.ceil(first / RANGE_IDS)) * RANGE_IDS;
    return { first: begin, count: Math.max(0, Math.floor((end - begin) / RANGE_IDS)) };
  });
  const best = fits.reduce((a, b) => b.count > a.count ? b : a);
  if (best.count > 0) return best;
  throw new UnsupportedError(
    "a user namespace of its own",
    `this one has no ${RANGE_IDS} ids to spare`,
    "give the container that this runs in more ids, or use --policy permissive",
  );
}
