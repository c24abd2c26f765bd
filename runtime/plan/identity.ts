import { CAPABILITIES } from "../spec/words.ts";
import type { Context } from "./context.ts";
import { needsHelpers } from "./id_helpers.ts";
import { PR, SIGKILL } from "./kernel.ts";
import { type Bytes, named, type Op, op } from "./op.ts";

/** The capability set as a bit mask. */
export function capabilityMask(names: readonly string[] = []): bigint {
  const numbers = names.map((name) => CAPABILITIES.indexOf(name as "CAP_CHOWN")).filter((number) =>
    number >= 0
  );
  return numbers.reduce((mask, number) => mask | (1n << BigInt(number)), 0n);
}

/** Takes away what the program may never have: before the user changes, while that is still allowed. */
export function* dropBounding({ spec, host }: Context): Iterable<Op> {
  const keep = new Set(spec.process?.capabilities?.bounding ?? []);
  for (let number = 0; number <= host.lastCapability; number++) {
    const name = CAPABILITIES[number] ?? `capability ${number}`;
    if (keep.has(name)) continue;
    const drop = named("PR_CAPBSET_DROP", PR.CAPBSET_DROP);
    yield drops[number] ??= op(`take ${name} from the bounding set`, "prctl", [
      drop,
      named(name, number),
      0,
      0,
      0,
    ]);
  }
}

/** A step for each capability, made once: they are a tenth of a plan. */
const drops: Op[] = [];

/** Becomes the user and groups of the spec; capabilities survive for {@linkcode setCapabilities}. */
export function* setUser(context: Context): Iterable<Op> {
  const { spec, namespace, host } = context;
  const { uid = 0, gid = 0, additionalGids = [] } = spec.process?.user ?? {};
  yield op("keep capabilities over the change of user", "prctl", [
    named("PR_SET_KEEPCAPS", PR.SET_KEEPCAPS),
    1,
    0,
    0,
    0,
  ]);
  // The map that an unprivileged user writes denies setgroups, and with it any group but the own one.
  const denied = namespace("user") === "new" && !host.privileged && !needsHelpers(context);
  if (!denied || additionalGids.length > 0) {
    const does = `set the groups ${additionalGids.join(", ") || "to none"}`;
    // A user namespace that was joined may deny it too, which shows only now; as in runc that matters where groups are asked for.
    const mayFail = namespace("user") === "joined" && additionalGids.length === 0;
    const args = [additionalGids.length, gids(additionalGids)];
    yield op(does, "setgroups", args, mayFail ? { ignore: ["EPERM"] } : {});
  }
  yield op(`become group ${gid}`, "setresgid", [gid, gid, gid]);
  yield op(`become user ${uid}`, "setresuid", [uid, uid, uid]);
  // The change of user cleared it.
  if (diesWithLauncher(context)) yield deathSignal();
}

/** Takes the root of the user namespace that was joined: the caller's own ids may not be in its maps, which only it knows. */
export function* becomeJoinedRoot(context: Context): Iterable<Op> {
  const rest = { ignore: ["EINVAL"] } as const;
  yield op("become group 0 of the user namespace", "setresgid", [0, 0, 0], rest);
  yield op("become user 0 of the user namespace", "setresuid", [0, 0, 0], rest);
  if (diesWithLauncher(context)) yield deathSignal();
}

/** Whether init dies with who launches it: not if it is left to itself. */
export function diesWithLauncher({ form, attended }: Pick<Context, "form" | "attended">): boolean {
  return form !== "detached" || attended === true;
}

/** Init dies with the thread that launched it. */
export function deathSignal(): Op {
  return op("die with who launches", "prctl", [
    named("PR_SET_PDEATHSIG", PR.SET_PDEATHSIG),
    SIGKILL,
    0,
    0,
    0,
  ]);
}

function gids(ids: readonly number[]): Bytes {
  return {
    bytes: new Uint8Array(Uint32Array.from(ids.length > 0 ? ids : [0]).buffer),
    shows: `[${ids.join(", ")}]`,
  };
}

/** Sets the five capability sets of the spec; none if it has no say. */
export function* setCapabilities({ spec }: Context): Iterable<Op> {
  const { effective, permitted, inheritable, ambient = [] } = spec.process?.capabilities ?? {};
  yield capset("set the capabilities", { effective, permitted, inheritable });
  const ambientCall = named("PR_CAP_AMBIENT", PR.CAP_AMBIENT);
  yield op("clear the ambient capabilities", "prctl", [
    ambientCall,
    named("PR_CAP_AMBIENT_CLEAR_ALL", 4),
    0,
    0,
    0,
  ]);
  // The kernel grants only what is permitted and inheritable too (capabilities(7)); validation warns of the others.
  for (const name of ambient.filter((each) => permitted?.includes(each) && inheritable?.includes(each))) {
    const number = CAPABILITIES.indexOf(name as "CAP_CHOWN");
    if (number < 0) continue; // Linux has no such capability
    yield op(`raise ambient ${name}`, "prctl", [
      ambientCall,
      named("PR_CAP_AMBIENT_RAISE", 2),
      named(name, number),
      0,
      0,
    ]);
  }
}

/** The sets of the spec, and beside them, in reserve, what a filter takes without no_new_privs (seccomp(2)). */
export function reserveAdmin({ spec }: Context): Op {
  const { effective, permitted = [], inheritable } = spec.process?.capabilities ?? {};
  const reserve = [...permitted, "CAP_SYS_ADMIN"];
  return capset("set the capabilities, but for CAP_SYS_ADMIN", {
    effective,
    permitted: reserve,
    inheritable,
  });
}

/** Brings what {@linkcode reserveAdmin} has kept into force. */
export function raiseAdmin({ spec }: Context): Op {
  const { effective = [], permitted = [], inheritable } = spec.process?.capabilities ?? {};
  const [raised, reserve] = [effective, permitted].map((each) => [...each, "CAP_SYS_ADMIN"]);
  return capset("raise CAP_SYS_ADMIN", { effective: raised, permitted: reserve, inheritable });
}

interface Sets {
  readonly effective: readonly string[] | undefined;
  readonly permitted: readonly string[] | undefined;
  readonly inheritable: readonly string[] | undefined;
}

function capset(does: string, { effective, permitted, inheritable }: Sets): Op {
  const sets = [effective, permitted, inheritable].map(capabilityMask);
  const data = new Uint32Array([
    ...sets.map((mask) => Number(mask & 0xffffffffn)),
    ...sets.map((mask) => Number(mask >> 32n)),
  ]);
  const header: Bytes = {
    bytes: new Uint8Array(new Uint32Array([0x20080522, 0]).buffer),
    shows: "{_LINUX_CAPABILITY_VERSION_3, 0}",
  };
  const [e, p, i] = sets.map((mask) => "0x" + mask.toString(16));
  return op(does, "capset", [
    header,
    { bytes: new Uint8Array(data.buffer), shows: `{effective ${e}, permitted ${p}, inheritable ${i}}` },
  ]);
}
