import { LifecycleError } from "../errors.ts";
import type { HookName, StringMap } from "../spec/config.ts";
import { HOOKS } from "../spec/words.ts";
import { parsed } from "../spec/parsed.ts";
import { flag, integer, list, map, need, object, oneOf, type Shape, text, textLike } from "../spec/shape.ts";

/** The form of the records that this version writes. */
const VERSION = 1;

/** A process that no other is taken for: its number is given away again, but never at the same moment. */
export interface ProcessName {
  /** Its number. */
  readonly pid: number;
  /** When it started, in ticks since the boot (proc_pid_stat(5)). */
  readonly startTicks: number;
  /** Which boot that was. */
  readonly bootId: string;
}

/** A cgroup directory that is the container's. */
export interface GroupRecord {
  readonly directory: string;
  readonly version: 1 | 2;
  /** Those of its hierarchy. */
  readonly controllers: string;
}

/** What is known of a container, and all that a command needs to remove it. */
export interface Record {
  readonly version: number;
  readonly id: string;
  /** Absolute path. */
  readonly bundle: string;
  /** Absolute path. */
  readonly rootfs: string;
  readonly annotations: StringMap<string>;
  /** When it was made, as ISO 8601. */
  readonly created: string;
  /** User id of who made it. */
  readonly owner: number;
  /** `creating`: only intended, so that any part of it may be there; `created`: whole. */
  readonly phase: "creating" | "created";
  /** Its first process, as soon as it is known. */
  readonly init?: ProcessName;
  /** What its stdin, stdout and stderr led to when it was made, each by a name that nothing else of this boot has. */
  readonly stdio?: readonly string[];
  /** Its cgroups, and those above them that are made for it, outermost first. */
  readonly groups: readonly GroupRecord[];
  readonly parents: readonly string[];
  /** Its directories in resctrl, in the order in which they are removed. */
  readonly resctrl?: readonly string[];
  /** The kinds of hooks that are still to run, which are in its config.json. */
  readonly hooks?: readonly HookName[];
  /** The unit of systemd that made its cgroups. */
  readonly unit?: UnitRecord;
  /** Whether its programs have the session keyring of who begins them. */
  readonly keepsKeys?: boolean;
  /** Its place on a network. */
  readonly network?: NetworkRecord;
}

/** A place on a network, by which it is taken away. */
export interface NetworkRecord {
  /** Where the network is kept. */
  readonly directory: string;
  /** Nothing for one that pasta connects. */
  readonly address?: string;
  /** Which lease of the address it is, or which pasta. */
  readonly token: string;
}

/** A unit of systemd. */
export interface UnitRecord {
  readonly name: string;
  /** Whether it is one of the instance of the user who made it. */
  readonly user: boolean;
}

const path: Shape<string> = textLike(/^\//, "an absolute path");
/** No `..` in it: what a record names is removed. */
const plainPath: Shape<string> = textLike(/^(\/(?!\.{1,2}(\/|$))[^/\n]+)+$/, "a plain absolute path");
const MOST_TICKS = Number.MAX_SAFE_INTEGER;

const version: Shape<1 | 2> = (value, at) =>
  value === 1 || value === 2 ? value : at.mismatch(value, "1 or 2");

const record: Shape<Record> = object<Record>({
  version: need(integer(VERSION, VERSION)),
  id: need(text(1024)),
  bundle: need(path),
  rootfs: need(path),
  annotations: need(map(text(1 << 20))),
  created: need(text(64)),
  owner: need(integer(0, 2 ** 32 - 1)),
  phase: need(oneOf(["creating", "created"] as const)),
  init: object<ProcessName>({
    pid: need(integer(1, 2 ** 31 - 1)),
    startTicks: need(integer(0, MOST_TICKS)),
    bootId: need(text(64)),
  }),
  stdio: list(text(4096), 3),
  groups: need(
    list(
      object<GroupRecord>({
        directory: need(plainPath),
        version: need(version),
        controllers: need(text(4095)),
      }),
      64,
    ),
  ),
  parents: need(list(plainPath, 1024)),
  resctrl: list(plainPath, 2),
  hooks: list(oneOf(HOOKS), HOOKS.length),
  unit: object<UnitRecord>({ name: need(text(255)), user: need(flag) }),
  keepsKeys: flag,
  network: object<NetworkRecord>({
    directory: need(plainPath),
    address: textLike(/^\d{1,3}(\.\d{1,3}){3}$/, "an address"),
    token: need(textLike(/^[0-9a-f-]{1,64}$/, "a token")),
  }),
});

/** A record as text. */
export function encodeRecord(fields: Omit<Record, "version">): string {
  return JSON.stringify({ version: VERSION, ...fields });
}

/**
 * A record from its text.
 *
 * @param file What messages call it.
 * @throws {LifecycleError} if it is none, or another container's.
 */
export function decodeRecord(source: string, file: string, id: string): Record {
  const read = parsed(source, record, (why) => unreadable(file, why));
  if (read.id !== id) throw unreadable(file, `it is the record of "${read.id}"`);
  return read;
}

/** A record that nobody can go by. */
export class RecordError extends LifecycleError {
  constructor(file: string, why: string) {
    super(`Cannot use the record "${file}": ${why}; what is left of its container goes by delete --force`);
  }
}

/** A record that nobody can go by. */
export function unreadable(file: string, why: string): RecordError {
  return new RecordError(file, why);
}

/**
 * The first process, as what is left of a record names it: a record that was cut off, or of another version. It is believed
 * only because no other process has that number, that start and that boot.
 */
export function salvageInit(remains: string): ProcessName | undefined {
  const word =
    /"init"\s*:\s*\{\s*"pid"\s*:\s*(\d{1,10})\s*,\s*"startTicks"\s*:\s*(\d{1,16})\s*,\s*"bootId"\s*:\s*"([0-9a-f-]{36})"/;
  const [found, pid, startTicks, bootId = ""] = word.exec(remains) ?? [];
  return found === undefined ? undefined : { pid: Number(pid), startTicks: Number(startTicks), bootId };
}
