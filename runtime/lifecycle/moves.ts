import { stampAt } from "../../ffi/look.ts";
import { inodeOfProcess } from "../../ffi/process.ts";
import { assembleTable } from "../launch/image.ts";
import type { Arch } from "../plan/abi.ts";
import { type MoveName, planMoves } from "../plan/moves.ts";
import type { Record } from "../state/record.ts";
import { type Entry, FILES, GATE } from "../state/store.ts";
import { EXECUTE_MS } from "./start.ts";
import { stateText, stateWith } from "./state.ts";

/** What a record may hold for its moves to be compiled. Of anything else the steps would not know what to do. */
const KNOWN = new Set([
  "version",
  "id",
  "bundle",
  "rootfs",
  "annotations",
  "created",
  "owner",
  "phase",
  "stdio",
  "init",
  "groups",
  "parents",
  "hooks",
  "resctrl",
  "unit",
  "keepsKeys",
]);
/** Longer states take as long to write as Deno to start. */
const MOST_TEXT = 16 << 10;

/**
 * Compiles what can be done to a container: the executable goes through that without starting Deno. A container whose
 * start or end takes more than system calls, such as hooks, has no such moves; on a kernel that gives the numbers of
 * processes away again without a trace, none has any.
 */
export function writeMoves(entry: Entry, record: Omit<Record, "version">): void {
  const table = compileMoves(record);
  if (table) entry.writeMoves(table);
}

/** What {@linkcode writeMoves} writes; nothing if there are no moves. */
export function compileMoves(record: Omit<Record, "version">): Uint8Array<ArrayBuffer> | undefined {
  const { init } = record;
  const inode = init && inodeOfProcess(init.pid);
  if (!init || inode === undefined) return undefined;
  const moves = movesOf(record).filter((move) => move !== "kill" || !sharesPids(init.pid));
  return movesTable(record, inode, moves);
}

/** The table of a container's moves; nothing if there can be none. */
export function movesTable(
  record: Omit<Record, "version">,
  inode: bigint,
  moves: readonly MoveName[],
): Uint8Array<ArrayBuffer> | undefined {
  const { init, groups } = record;
  if (!init || Object.keys(record).some((key) => !KNOWN.has(key))) return undefined;
  const texts = {
    created: stateText(stateWith(record, "created")),
    running: stateText(stateWith(record, "running")),
    paused: stateText(stateWith(record, "paused")),
    stopped: stateText(stateWith(record, "stopped")),
  };
  if (texts.running.length > MOST_TEXT) return undefined;
  const users = stampAt("/proc/self/ns/user");
  const plan = planMoves({
    arch: Deno.build.arch as Arch,
    id: record.id,
    init: { pid: init.pid, bootId: init.bootId, inode },
    users: { inode: users.inode, device: users.device },
    texts,
    frozen: frozenFiles(groups),
    groups: groups.map(({ directory }) => directory),
    parents: record.parents.toReversed(),
    files: FILES,
    gate: GATE,
    executeMs: EXECUTE_MS,
    moves,
  });
  return assembleTable(plan);
}

/** The files that say whether a container is frozen, by a 1. */
export function frozenFiles(groups: Record["groups"]): string[] {
  return groups.flatMap(({ directory, version, controllers }) => {
    if (version === 2) return [`${directory}/cgroup.freeze`];
    return controllers.split(",").includes("freezer") ? [`${directory}/freezer.self_freezing`] : [];
  });
}

/** Whether the end of a process leaves others of its container: SIGKILL then goes to all. */
export function sharesPids(pid: number): boolean {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/pid`) === Deno.readLinkSync("/proc/self/ns/pid");
  } catch {
    return true;
  }
}

/**
 * The moves that are system calls alone. Hooks are programs, whoever waits to be told of the start is told by Deno, and
 * what systemd and resctrl have of a container is removed by Deno.
 */
export function movesOf(
  { hooks = [], resctrl, unit }: Pick<Record, "hooks" | "resctrl" | "unit">,
): MoveName[] {
  const isPlain = hooks.length === 0 && !Deno.env.get("NOTIFY_SOCKET");
  const moves: MoveName[] = ["state", "kill"];
  if (isPlain) moves.push("start");
  if (isPlain && !resctrl && !unit) moves.push("delete");
  return moves;
}
