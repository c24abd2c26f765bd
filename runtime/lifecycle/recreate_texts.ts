/** What is written of a container that the executable makes itself, with holes for what it alone has. */

import type { Holed } from "../plan/texts.ts";
import { encodeRecord, type Record } from "../state/record.ts";
import { movesOf, movesTable, sharesPids } from "./moves.ts";

/** A hole in a text, until it is cut out: no text has such letters. */
const [BEGIN, END] = ["\ue000", "\ue001"];
const HOLES = new RegExp(`"${BEGIN}(stream\\d|pid|start)${END}"|${BEGIN}(id|created)${END}`, "g");
/** Room for what has no fixed size, in characters: JSON does not mind the spaces behind it. */
const ROOM: Readonly<{ [name: string]: number }> = {
  stream0: 72,
  stream1: 72,
  stream2: 72,
  pid: 10,
  start: 20,
};
const TIME_LENGTH = "2026-01-01T00:00:00.000Z".length;
/** How many digits the pids of a running system have. */
const DIGITS = [3, 4, 5, 6, 7];
/** What stands for what differs, once and again: letters that no text of ours has. */
const [FIRST, SECOND] = [
  { id: "~", created: "\x7f", pid: "1", inode: 0x11111111n },
  { id: "^", created: "|", pid: "2", inode: 0x22222222n },
] as const;

type Intended = Omit<Record, "version">;

function hole(name: string): string {
  return `${BEGIN}${name}${END}`;
}

/** The record of another container, before and when all is made. @throws {Error} if it cannot be that of one. */
export function holedRecord(record: Intended): { readonly intended: Holed; readonly record: Holed } {
  const { init, id, groups } = record;
  if (!init || encodeRecord(record).includes(BEGIN)) throw new Error("It is no record to go by");
  const whole = {
    ...record,
    id: hole("id"),
    created: hole("created"),
    stdio: ["stream0", "stream1", "stream2"].map(hole),
    groups: groups.map((group) => ({ ...group, directory: renamed(group.directory, id, hole("id")) })),
  };
  const { init: _, ...rest } = whole;
  const named = { ...init, pid: hole("pid"), startTicks: hole("start") } as unknown as NonNullable<
    Intended["init"]
  >;
  return {
    intended: cut(encodeRecord({ ...rest, phase: "creating" }), id.length),
    record: cut(encodeRecord({ ...whole, init: named }), id.length),
  };
}

function renamed(directory: string, id: string, other: string): string {
  if (!directory.endsWith(`/${id}`)) throw new Error("It is not called as its container");
  return `${directory.slice(0, -id.length)}${other}`;
}

function cut(text: string, idLength: number): Holed {
  const encoder = new TextEncoder();
  const holes: { [name: string]: number[] } = {};
  let [whole, from, sizeBytes] = ["", 0, 0];
  const add = (part: string): void => {
    whole += part;
    sizeBytes += encoder.encode(part).length;
  };
  for (const found of text.matchAll(HOLES)) {
    add(text.slice(from, found.index));
    const name = (found[1] ?? found[2])!;
    (holes[name] ??= []).push(sizeBytes);
    add(" ".repeat(ROOM[name] ?? (name === "id" ? idLength : TIME_LENGTH)));
    from = found.index + found[0].length;
  }
  add(text.slice(from));
  return { bytes: encoder.encode(whole), holes };
}

/** The moves of another container, by the number of digits of its first process's pid. @throws {Error} if there are none. */
export function holedMoves(record: Intended): Readonly<{ [digits: number]: Holed }> {
  const all = movesOf(record).filter((move) => move !== "kill" || !sharesPids(record.init!.pid));
  return Object.fromEntries(DIGITS.map((digits) => {
    const [first, second] = [FIRST, SECOND].map(({ id, created, pid, inode }) => {
      const other = id.repeat(record.id.length);
      const like = {
        ...record,
        id: other,
        created: created.repeat(TIME_LENGTH),
        init: { ...record.init!, pid: Number(pid.repeat(digits)) },
        groups: record.groups.map((group) => {
          return { ...group, directory: renamed(group.directory, record.id, other) };
        }),
      };
      return movesTable(like, inode, all);
    });
    if (!first || !second || first.length !== second.length) throw new Error("It has no moves");
    return [digits, { bytes: first, holes: differences(first, second, record.id.length, digits) }];
  }));
}

/** Where two tables differ, by what that is. */
function differences(
  first: Uint8Array,
  second: Uint8Array,
  idLength: number,
  digits: number,
): Holed["holes"] {
  const holes: { [name: string]: number[] } = {};
  const view = new DataView(first.buffer, first.byteOffset);
  const pid = BigInt(FIRST.pid.repeat(digits));
  const words = new Map([[pid, "pid word"], [BigInt.asUintN(64, -FIRST.inode), "inode word"]]);
  for (let at = 0; at < first.length; at++) {
    if (first[at] === second[at]) continue;
    let end = at + 1;
    while (first[end] !== second[end]) end++;
    const [letter, length] = [String.fromCharCode(first[at]!), end - at];
    const word = at % 8 === 0 && at + 8 <= first.length ? words.get(view.getBigUint64(at, true)) : undefined;
    const name = letter === FIRST.id && length === idLength
      ? "id"
      : letter === FIRST.created && length === TIME_LENGTH
      ? "created"
      : letter === FIRST.pid && length === digits
      ? "pid"
      : word;
    if (name === undefined) throw new Error("It differs where nobody knows");
    (holes[name] ??= []).push(at);
    at = end;
  }
  for (const name of ["id", "created", "pid", "pid word", "inode word"]) {
    if (!holes[name]) throw new Error(`It does not have the ${name}`);
  }
  return holes;
}
