/** What steps look for that go by who begins them: that he is as the one was for whom an image was made. */

import type { Host } from "../host/facts.ts";
import { AT_FDCWD } from "./kernel.ts";
import { mark, named, type Op, op, slot, type Struct, zeros } from "./op.ts";
import { isStill, type Stamp } from "./unaided.ts";

/** What there is only one of as long as it is there. */
export type Place = Pick<Stamp, "inode" | "device">;

/** Who begins something. */
export interface CallerRequest {
  readonly gid: number;
  /** His limits of open files. */
  readonly openFiles: Host["openFiles"];
  /** His namespaces, by the names of their files. */
  readonly namespaces: Readonly<Record<string, Place>>;
}

/** Who begins something that takes rights. */
export interface RightsRequest extends CallerRequest {
  /** The effective capabilities below 32, as bits. */
  readonly capabilities: number;
}

const RLIMIT_NOFILE = named("RLIMIT_NOFILE", 7);
const LINUX_CAPABILITY_VERSION_3 = 0x20080522;

/** Looks whether the caller is of this group, and in these namespaces. */
export function* findCaller({ gid, openFiles, namespaces }: CallerRequest): Iterable<Op> {
  yield op("find the caller's group", "getegid", [], { into: "gid" });
  yield* isSame("find the caller's group", "gid", gid);
  const limit = zeros(16, "rlimit");
  const does = "find the caller's limits of open files";
  yield op(does, "prlimit64", [0, RLIMIT_NOFILE, 0, limit]);
  for (const [name, offset] of [["soft", 0], ["hard", 8]] as const) {
    yield op(does, "load", [{ inside: limit, offset }, 0], { into: name });
    yield* isSame(does, name, openFiles[name]);
  }
  for (const [name, own] of Object.entries(namespaces)) {
    const path = `/proc/self/ns/${name}`;
    yield* isStill(path, [AT_FDCWD, path, 0], own);
  }
}

/** Looks whether the slot has this value; only once for each slot. */
export function* isSame(does: string, name: string, value: number): Iterable<Op> {
  yield op(does, "let", [slot(name), -1, value], { zero: `same:${name}`, positive: "fail" });
  yield mark(`same:${name}`);
}

/** The same, and whether he has these capabilities and no others. */
export function* findRights(caller: RightsRequest): Iterable<Op> {
  yield* findCaller(caller);
  yield* findCapabilities(caller.capabilities);
}

function* findCapabilities(capabilities: number): Iterable<Op> {
  const does = "find the caller's capabilities";
  const header: Struct = {
    struct: "cap_user_header",
    members: [["version", 4, LINUX_CAPABILITY_VERSION_3], ["pid", 4, 0]],
  };
  const sets = zeros(24, "cap_user_data");
  yield op(does, "capget", [header, sets]);
  yield op(does, "load", [sets, 0], { into: "word" });
  // Only the first half counts, the effective ones.
  const expected = BigInt.asIntN(64, -(BigInt(capabilities) << 32n));
  yield op(does, "let", [expected, slot("word"), 1n << 32n], { zero: "capabilities", positive: "fail" });
  yield mark("capabilities");
}
