import { UnsupportedError } from "../errors.ts";
import type { Context } from "./context.ts";
import { type Kind, resolve } from "./files.ts";
import { LANDLOCK_ACCESS_FS, LANDLOCK_ACCESS_NET, LANDLOCK_RULE, LANDLOCK_SCOPE } from "./kernel.ts";
import { flags, mark, type Named, named, type Op, op, slot, type Struct } from "./op.ts";

type Right = keyof typeof LANDLOCK_ACCESS_FS;

/** What can be allowed to do with files: the kernel's rights, in the groups that go together. */
export const ACCESS = {
  read: ["READ_FILE", "READ_DIR"],
  list: ["READ_DIR"],
  execute: ["EXECUTE"],
  /** Renames between directories take `REFER`, which is forbidden by rules that do not speak of it. */
  write: [
    "WRITE_FILE",
    "REMOVE_DIR",
    "REMOVE_FILE",
    "MAKE_DIR",
    "MAKE_REG",
    "MAKE_SOCK",
    "MAKE_FIFO",
    "MAKE_SYM",
    "REFER",
  ],
  truncate: ["TRUNCATE"],
  /** To make device files. */
  devices: ["MAKE_CHAR", "MAKE_BLOCK"],
  /** ioctl(2) on device files that were opened under the rules. */
  ioctl: ["IOCTL_DEV"],
} as const satisfies Record<string, readonly Right[]>;

/** One of these groups. */
export type Access = keyof typeof ACCESS;
/** What can be kept from reaching beyond the program and what it starts. */
export type Scope = "abstract sockets" | "signals";

/** The rights that a file can have; the others are about what lies in a directory. */
const OF_FILES: readonly Right[] = ["EXECUTE", "WRITE_FILE", "READ_FILE", "TRUNCATE", "IOCTL_DEV"];

const SCOPES = { "abstract sockets": "ABSTRACT_UNIX_SOCKET", "signals": "SIGNAL" } as const;

/** The version of Landlock's interface (landlock(7)) that each of these takes. */
export const SINCE = {
  read: 1,
  list: 1,
  execute: 1,
  devices: 1,
  write: 2,
  truncate: 3,
  net: 4,
  ioctl: 5,
  "abstract sockets": 6,
  "signals": 6,
} as const satisfies Record<Access | Scope | "net", number>;

/** What is allowed at one path and, if that is a directory, at everything below it. */
export interface LandlockRule {
  /** Absolute path, inside. */
  readonly path: string;
  /** What lies there. */
  readonly kind: Kind;
  readonly access: readonly Access[];
  /** Whether it may be missing. */
  readonly optional?: boolean;
}

/** What Landlock keeps a program and everything that it starts from, for good. */
export interface LandlockRules {
  /** The version of the kernel's interface. */
  readonly abi: number;
  /** What is forbidden wherever no rule allows it; anything else stays as it is. */
  readonly handled: readonly Access[];
  readonly rules: readonly LandlockRule[];
  /** The only TCP ports that may be bound or connected to; all if not given. */
  readonly net?: { readonly bind: readonly number[]; readonly connect: readonly number[] };
  readonly scoped: readonly Scope[];
}

/**
 * Refuses rules that the kernel's interface has no word for, rather than leave them out.
 *
 * @throws {UnsupportedError} naming the first of them.
 */
export function refuseBeyondAbi({ abi, handled, net, scoped }: LandlockRules): void {
  for (const each of [...handled, ...(net ? ["net" as const] : []), ...scoped]) {
    if (SINCE[each] <= abi) continue;
    const has = abi === 0 ? "this kernel has none" : `this kernel has version ${abi}`;
    throw new UnsupportedError(
      `Landlock to ${each === "net" ? "TCP ports" : each}`,
      `it takes version ${SINCE[each]} of its interface, and ${has}`,
      abi === 0 ? "add landlock to the kernel parameter lsm= and restart" : "use a newer kernel",
    );
  }
}

/**
 * Makes the rules and puts this process under them; slot `root` is where their paths begin. `more` are steps that add
 * to the rules of slot `landlock`.
 */
export function* landlock({ landlock: rules, arch }: Context, more: Iterable<Op> = []): Iterable<Op> {
  if (!rules) return;
  refuseBeyondAbi(rules);
  yield makeRuleset(rules);
  for (const [index, { path, kind, access, optional = false }] of rules.rules.entries()) {
    const does = `allow ${access.join(", ")} at "${path}"`;
    const next = `landlock:${index}`;
    const missing = optional ? { ignore: ["ENOENT"], ignored: next } as const : {};
    yield resolve(does, path, "landlock:path", { arch }, missing);
    const beneath: Struct = {
      struct: "landlock_path_beneath_attr",
      // The descriptor has four bytes; those behind them are not read.
      members: [["allowed_access", 8, rights(access, kind)], ["parent_fd", 8, slot("landlock:path")]],
    };
    const kindOfRule = named("LANDLOCK_RULE_PATH_BENEATH", LANDLOCK_RULE.PATH_BENEATH);
    yield op(does, "landlock_add_rule", [slot("landlock"), kindOfRule, beneath, 0]);
    yield op(does, "close", [slot("landlock:path")]);
    if (optional) yield mark(next);
  }
  yield* allowPorts(rules);
  yield* more;
  yield op("put the program under the Landlock rules", "landlock_restrict_self", [slot("landlock"), 0]);
  yield op("put the program under the Landlock rules", "close", [slot("landlock")]);
}

const RULESET_BYTES = 24;

/** Kernels take a longer struct than theirs if the rest of it is zero. */
function makeRuleset({ handled, net, scoped }: LandlockRules): Op {
  const attr: Struct = {
    struct: "landlock_ruleset_attr",
    members: [
      ["handled_access_fs", 8, rights(handled, "directory")],
      ["handled_access_net", 8, net ? flags("LANDLOCK_ACCESS_NET_", LANDLOCK_ACCESS_NET) : 0],
      ["scoped", 8, scopes(scoped)],
    ],
  };
  return op("make the Landlock rules", "landlock_create_ruleset", [attr, RULESET_BYTES, 0], {
    into: "landlock",
  });
}

function* allowPorts({ net }: LandlockRules): Iterable<Op> {
  const { BIND_TCP, CONNECT_TCP } = LANDLOCK_ACCESS_NET;
  for (
    const [word, allowed, ports] of [
      ["bind", { BIND_TCP }, net?.bind ?? []],
      ["connect to", { CONNECT_TCP }, net?.connect ?? []],
    ] as const
  ) {
    for (const port of ports) {
      const attr: Struct = {
        struct: "landlock_net_port_attr",
        members: [["allowed_access", 8, flags("LANDLOCK_ACCESS_NET_", allowed)], ["port", 8, port]],
      };
      const kind = named("LANDLOCK_RULE_NET_PORT", LANDLOCK_RULE.NET_PORT);
      yield op(`allow to ${word} TCP port ${port}`, "landlock_add_rule", [slot("landlock"), kind, attr, 0]);
    }
  }
}

function rights(access: readonly Access[], kind: Kind): Named {
  const parts: Record<string, number> = {};
  for (const right of access.flatMap((each): readonly Right[] => ACCESS[each])) {
    if (kind === "directory" || OF_FILES.includes(right)) parts[right] = LANDLOCK_ACCESS_FS[right];
  }
  return flags("LANDLOCK_ACCESS_FS_", parts);
}

function scopes(scoped: readonly Scope[]): Named {
  const names = scoped.map((each) => SCOPES[each]);
  return flags("LANDLOCK_SCOPE_", Object.fromEntries(names.map((name) => [name, LANDLOCK_SCOPE[name]])));
}
