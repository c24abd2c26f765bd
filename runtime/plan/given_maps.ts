import { AT_FDCWD } from "./kernel.ts";
import { O, O_DIRECTORY } from "./abi.ts";
import type { Context } from "./context.ts";
import { flags, mark, named, type Op, op, slot, zeros } from "./op.ts";
import type { IdMapping } from "../spec/config.ts";

/** A line of a map is three numbers of ten columns each, a space between them (user_namespaces(7)). */
const [COLUMNS, LINE_BYTES, WORD_BYTES] = [10, 33, 8];
/** There is no such option of prctl(2): it fails. */
const NOTHING = named("-1", 0xffffffff);

/**
 * Containerd and CRI-O write the maps of a user namespace that is joined into config.json too. As with runc they must be what
 * the namespace has, in that order: the rest of config.json goes by them.
 */
export function hasGivenMaps({ spec: { linux }, namespace }: Pick<Context, "spec" | "namespace">): boolean {
  if (namespace("user") !== "joined") return false;
  return [linux?.uidMappings, linux?.gidMappings].some((each) => each?.length && !isDummy(each));
}

/** Podman writes this one with a namespace to join, for an old runc that wants any map; it means nothing. */
function isDummy([mapping, ...more]: readonly IdMapping[]): boolean {
  return more.length === 0 && mapping?.containerID === 0 && mapping.hostID === 0 && mapping.size === 1;
}

/** Finds /proc, which the mount namespace that is joined may lack. */
export function findMaps({ arch }: Context): Op {
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  return op("open /proc", "openat", [AT_FDCWD, "/proc", how, 0], { into: "maps:proc" });
}

/** Compares the maps of the user namespace that has been entered with those of config.json. */
export function* compareMaps({ spec: { linux } }: Context, path: string): Iterable<Op> {
  for (const [file, field] of [["uid_map", "uidMappings"], ["gid_map", "gidMappings"]] as const) {
    yield* compare(
      file,
      linux?.[field] ?? [],
      `join user namespace "${path}" with other ids than /linux/${field}`,
    );
  }
}

function* compare(file: string, mappings: readonly IdMapping[], does: string): Iterable<Op> {
  const how = flags("O_", { RDONLY: O.RDONLY, CLOEXEC: O.CLOEXEC });
  const [same, differs] = [`${file}:same`, `${file}:differs`];
  yield op(`open ${file} of the user namespace`, "openat", [slot("maps:proc"), `self/${file}`, how, 0], {
    into: file,
  });
  const line = zeros(LINE_BYTES + WORD_BYTES, "line");
  const read = op(`read ${file} of the user namespace`, "read", [slot(file), line, LINE_BYTES]);
  for (const [index, mapping] of mappings.entries()) {
    yield { ...read, zero: differs };
    const expected = new Uint8Array(LINE_BYTES + WORD_BYTES);
    new TextEncoder().encodeInto(lineOf(mapping), expected);
    for (let at = 0; at < LINE_BYTES; at += WORD_BYTES) {
      const next = `${file}:${index}:${at}`;
      const word = new DataView(expected.buffer).getBigUint64(at, true);
      yield op(does, "load", [{ inside: line, offset: at }, 0], { into: "word" });
      yield op(does, "let", [slot("word"), -1, word], { zero: next, positive: differs, failed: differs });
      yield mark(next);
    }
  }
  yield { ...read, zero: same };
  yield op(does, "prctl", [NOTHING, 0, 0, 0, 0], { label: differs });
  yield op(`close ${file} of the user namespace`, "close", [slot(file)], { label: same });
}

function lineOf({ containerID, hostID, size }: IdMapping): string {
  return `${[containerID, hostID, size].map((each) => `${each}`.padStart(COLUMNS)).join(" ")}\n`;
}
