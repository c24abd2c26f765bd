/** The names of what stdin, stdout and stderr lead to, as `descriptorName()` in runtime/state/descriptor_name.ts spells them. */

import { isNegative } from "./clock.ts";
import { AT, AT_FDCWD } from "./kernel.ts";
import { type Bytes, flags, mark, named, type Op, op, slot, text, zeros } from "./op.ts";

const STREAMS = [0, 1, 2] as const;
/** `struct statx`, and its inode and mount (statx(2)). */
const STATX = { bytes: 256, inode: 32, mount: 144 } as const;
const STATX_MASK = named("STATX_INO|STATX_MNT_ID", 0x100 | 0x1000);
const [WORD_BYTES, LAST_BYTE, TOP_BYTE, SLASH] = [8, 7, 1n << 56n, 47n << 56n];
const MOST_NAME = 64;
/** Streams that have no path: the kernel's own names are kept. Files that only look as if they had one are rare. */
const [UNNAMED, ODD] = [["pipe:[", "socket:["], ["/memfd:", "/dmabuf:"]] as const;
/** What each hexadecimal digit stands for, the first that counts first; larger numbers are not counted with. */
const PLACES = 14;
const LETTERS = text("0123456789abcdef");
const UNITS: Bytes = { bytes: unitBytes(), shows: "{16^13, …, 16, 1}" };

function unitBytes(): Uint8Array {
  const units = BigUint64Array.from({ length: PLACES }, (_, index) => 16n ** BigInt(PLACES - 1 - index));
  return new Uint8Array(units.buffer);
}

/** Looks at each: its name goes to slot `stream:<fd>`, the size of that to `stream:<fd>:length`, 0 for a file. */
export function* lookAtStreams(): Iterable<Op> {
  for (const fd of STREAMS) {
    const [does, name] = [`look at descriptor ${fd}`, `stream:${fd}`];
    const link = zeros(MOST_NAME + WORD_BYTES, "name");
    yield op(does, "let", [{ inside: link, offset: 0 }], { into: name });
    yield op(does, "readlinkat", [AT_FDCWD, `/proc/self/fd/${fd}`, link, MOST_NAME], {
      into: `${name}:length`,
    });
    yield op(does, "load", [link, 0], { into: "word" });
    for (const each of UNNAMED) yield begins(does, each, `${name}:known`);
    for (const each of ODD) yield begins(does, each, "fail");
    yield op(does, "let", [-SLASH, slot("word"), TOP_BYTE], { zero: `${name}:file`, positive: "fail" });
    yield mark(`${name}:file`);
    const info = zeros(STATX.bytes, "statx");
    const emptyPath = flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH });
    yield op(does, "statx", [fd, "", emptyPath, STATX_MASK, info]);
    for (const what of ["inode", "mount"] as const) {
      yield op(does, "load", [{ inside: info, offset: STATX[what] }, 0], { into: `${name}:${what}` });
    }
    yield op(does, "let", [0], { into: `${name}:length` });
    yield mark(`${name}:known`);
  }
}

/** Goes on with `label` if slot `word` begins so. */
function begins(does: string, what: string, label: string): Op {
  const bytes = new Uint8Array(WORD_BYTES);
  bytes.set(new TextEncoder().encode(what));
  const missing = BigInt(8 * (WORD_BYTES - what.length));
  const expected = new DataView(bytes.buffer).getBigUint64(0, true) << missing;
  return op(does, "let", [BigInt.asIntN(64, -expected), slot("word"), 1n << missing], { zero: label });
}

/** Makes the names of files, in the start gate, at which nobody is yet. */
export function* nameStreams(): Iterable<Op> {
  for (const fd of STREAMS) {
    const [does, name] = [`name descriptor ${fd}`, `stream:${fd}`];
    yield op(does, "let", [slot(`${name}:length`)], { positive: `${name}:named` });
    yield op(does, "let", [0], { into: "said" });
    yield* say(does, "file[");
    yield* sayHex(does, `${name}:mount`);
    yield* say(does, ":");
    yield* sayHex(does, `${name}:inode`);
    yield* say(does, "]");
    const whole = zeros(MOST_NAME, "name");
    yield op(does, "read", [slot("gate:read"), whole, slot("said")], { into: `${name}:length` });
    yield op(does, "let", [slot("said"), slot(`${name}:length`), -1], {
      zero: `${name}:whole`,
      positive: "fail",
    });
    yield op(does, "let", [{ inside: whole, offset: 0 }], { label: `${name}:whole`, into: name });
    yield mark(`${name}:named`);
  }
}

function* say(does: string, what: string): Iterable<Op> {
  yield op(does, "write", [slot("gate:write"), text(what), what.length]);
  yield op(does, "let", [slot("said"), what.length, 1], { into: "said" });
}

/** Says the number of the slot, which is above 0. */
function* sayHex(does: string, name: string): Iterable<Op> {
  yield op(does, "load", [{ address: name }, LAST_BYTE, 1], { into: "word" });
  yield op(does, "let", [0, slot("word"), TOP_BYTE], { zero: `${name}:fits`, positive: "fail" });
  yield op(does, "let", [slot(name)], { label: `${name}:fits`, into: "rest" });
  yield op(does, "let", [{ inside: UNITS, offset: 0 }], { into: "cursor" });
  yield op(does, "let", [PLACES], { into: "room" });
  yield op(does, "let", [0], { into: "begun" });
  yield op(does, "load", [slot("cursor"), 0], { label: `${name}:digit`, into: "unit" });
  yield op(does, "let", [0], { into: "digit" });
  yield op(does, "let", [slot("rest"), slot("unit"), -1], { label: `${name}:next`, into: "less" });
  yield* isNegative(does, "less", { negative: `${name}:say`, otherwise: `${name}:less` });
  yield op(does, "let", [slot("less")], { label: `${name}:less`, into: "rest" });
  yield op(does, "let", [slot("digit"), 1, 1], { into: "digit", positive: `${name}:next` });
  yield op(does, "let", [slot("begun"), slot("digit"), 1], {
    label: `${name}:say`,
    into: "begun",
    zero: `${name}:said`, // no zeros before the first that counts
  });
  yield op(does, "let", [{ inside: LETTERS, offset: 0 }, slot("digit"), 1], { into: "letter" });
  yield op(does, "write", [slot("gate:write"), slot("letter"), 1]);
  yield op(does, "let", [slot("said"), 1, 1], { into: "said" });
  yield op(does, "let", [slot("cursor"), WORD_BYTES, 1], { label: `${name}:said`, into: "cursor" });
  yield op(does, "let", [slot("room"), -1, 1], {
    into: "room",
    zero: `${name}:whole number`,
    positive: `${name}:digit`,
  });
  yield mark(`${name}:whole number`);
}
