import { type Issue, SpecError } from "../errors.ts";
import { Problems } from "../spec/problems.ts";
import {
  exact,
  type Fields,
  flag,
  integer,
  list,
  map,
  need,
  oneOf,
  Place,
  type Shape,
  text,
  textLike,
} from "../spec/shape.ts";
import { CAPABILITIES, NAMESPACES, RLIMITS } from "../spec/words.ts";
import { FAMILIES, NETLINK } from "./families.ts";
import {
  type Action,
  ACTIONS,
  type CallGroup,
  type CallRules,
  type FileRules,
  type Policy,
  type PolicyRlimit,
  type PortRules,
  type ResourceLimits,
  type When,
} from "./policy.ts";

/** A policy as it is written: what it leaves out comes from the one that it extends. */
export type PolicyText = Partial<Omit<Policy, "name" | "seccomp">> & {
  readonly name: string;
  readonly extends?: string;
  readonly seccomp?: Partial<CallRules>;
};

const reason = need(text(1024));
const name = textLike(/^[a-z][a-z0-9-]{0,63}$/, "a name of small letters, digits and -");

/** A 64-bit number: as such, or as `0x…`, for JSON has no hexadecimal. */
const bits: Shape<bigint> = (value, at) => {
  const read = typeof value === "string" && /^0x[0-9a-f]{1,16}$/i.test(value)
    ? BigInt(value)
    : Number.isSafeInteger(value) && (value as number) >= 0
    ? BigInt(value as number)
    : undefined;
  return read ?? at.mismatch(value, 'a number from 0, or "0x…" with up to 16 digits');
};

const oneOrMore: Shape<readonly bigint[]> = (value, at) => {
  return Array.isArray(value)
    ? list(bits, 64)(value, at)
    : bits(value, at) === undefined
    ? undefined
    : [bits(value, at)!];
};

const when = exact<When>({ argument: need(integer(0, 5)), mask: bits, equals: need(oneOrMore) });

const group = exact<CallGroup>({
  name: need(text(128)),
  action: need(oneOf<Action>(ACTIONS)),
  reason,
  calls: need(list(textLike(/^[a-z_][a-z0-9_]{0,63}$/, "the name of a system call"), 1024)),
  when: list(when, 6),
});

/** The kernel gives no less than a hundredth of a CPU (sched-bwc.rst). */
const cpus: Shape<number> = (value, at) => {
  return typeof value === "number" && value >= 0.01 && value <= 8192
    ? value
    : at.mismatch(value, "a number of CPUs from 0.01 to 8192");
};

const path = textLike(/^\/.*$/s, "an absolute path");
const paths = need(list(path, 4096));
const ports = need(list(integer(0, 65_535), 1024));
const limit = integer(0, Number.MAX_SAFE_INTEGER);

const POLICY: Fields<PolicyText> = {
  name: need(name),
  extends: name,
  description: text(1024),
  userNamespace: exact({ own: need(flag), reason }),
  namespaces: exact({ own: need(list(oneOf(NAMESPACES), 8)), reason }),
  capabilities: exact({ allow: need(list(oneOf(CAPABILITIES), 64)), reason }),
  sockets: exact({
    families: need(list(oneOf(Object.keys(FAMILIES)), 64)),
    netlink: need(list(oneOf(Object.keys(NETLINK)), 64)),
    reason,
  }),
  seccomp: exact<Partial<CallRules>>({
    unlisted: oneOf(["allow", "refuse"] as const),
    groups: list(group, 256),
  }),
  maskedPaths: exact({ paths: need(list(path, 256)), reason }),
  readonlyPaths: exact({ paths: need(list(path, 256)), reason }),
  rlimits: exact({
    limits: need(
      list(exact<PolicyRlimit>({ type: need(oneOf(RLIMITS)), soft: need(limit), hard: need(limit) }), 32),
    ),
    reason,
  }),
  resources: exact<ResourceLimits>({
    memoryBytes: integer(1 << 20, Number.MAX_SAFE_INTEGER),
    pids: integer(1, 4_194_304),
    cpus,
    reason,
  }),
  oomScoreAdj: exact({ least: need(integer(-1000, 1000)), reason }),
  userLimits: exact({ limits: need(map(limit, 64)), reason }),
  files: exact<FileRules>({ read: paths, list: paths, write: paths, execute: paths, reason }),
  ports: exact<PortRules>({ connect: ports, bind: ports, reason }),
  landlock: flag,
  attest: flag,
};

/**
 * Reads a policy from what JSON or YAML made of its text. Unlike a config.json it may have no unknown properties: a
 * word spelt wrong would leave a hole.
 *
 * @param where What to call it in errors.
 * @throws {SpecError} with every problem, each with its JSON pointer.
 */
export function decodePolicy(value: unknown, where: string): PolicyText {
  const problems = new Problems();
  const policy = exact(POLICY)(value, new Place(problems));
  const issues = [...problems.list, ...(policy && problems.list.length === 0 ? mistakes(policy) : [])];
  if (policy === undefined || issues.length > 0) throw new SpecError(where, issues);
  return policy;
}

/** What the shape cannot say. */
function* mistakes({ seccomp, userLimits, rlimits, files }: PolicyText): Iterable<Issue> {
  for (const [index, { action, when, calls }] of (seccomp?.groups ?? []).entries()) {
    const pointer = `/seccomp/groups/${index}`;
    if (calls.length === 0) {
      yield { pointer: `${pointer}/calls`, message: "Cannot use a group without calls" };
    }
    if (when === undefined) continue;
    if (action === "kill") {
      yield { pointer: `${pointer}/when`, message: "Cannot kill on a condition: refuse such calls" };
    }
    for (const [place, { mask = ALL_BITS, equals }] of when.entries()) {
      if (equals.length > 0 && equals.every((each) => (each & mask) === each)) continue;
      yield { pointer: `${pointer}/when/${place}/equals`, message: "Cannot be equal: bits outside the mask" };
    }
  }
  for (const [index, path] of (files?.list ?? []).entries()) {
    if (path.endsWith("/")) continue;
    yield {
      pointer: `/files/list/${index}`,
      message: 'Cannot list a file: the path of a directory ends in "/"',
    };
  }
  for (const key of Object.keys(userLimits?.limits ?? {})) {
    if (/^max_[a-z_]+$/.test(key)) continue;
    yield {
      pointer: `/userLimits/limits/${key}`,
      message: "Cannot use it: a name such as max_user_namespaces is needed",
    };
  }
  for (const [index, { soft, hard }] of (rlimits?.limits ?? []).entries()) {
    if (soft > hard) {
      yield { pointer: `/rlimits/limits/${index}/soft`, message: "Cannot be above the hard limit" };
    }
  }
}

const ALL_BITS = 2n ** 64n - 1n;
