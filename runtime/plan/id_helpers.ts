import type { IdMapping } from "../spec/config.ts";
import type { Context } from "./context.ts";
import { mark, named, type Op, op, slot, zeros } from "./op.ts";
import { CLONE_ARGS_BYTES, cloneArgs, PID_ROOM, SIGCHLD } from "./userns.ts";

/** Whether a user may not write the maps of the spec's new user namespace, but newuidmap(1) and newgidmap(1) may. */
export function needsHelpers({ spec, host, form, namespace }: Context): boolean {
  if (host.privileged || form === "standalone" || namespace("user") !== "new") return false;
  const { uidMappings = [], gidMappings = [] } = spec.linux ?? {};
  return !isOwn(uidMappings, host.uid) || !isOwn(gidMappings, host.gid);
}

/** What everybody may map: the own id, to one id (user_namespaces(7)). */
function isOwn(maps: readonly IdMapping[], own: number): boolean {
  const [first, ...more] = maps;
  return more.length === 0 && first?.hostID === own && Number(first.size) === 1;
}

/** Has the maps of the process of slot `pid` written by the programs that the host lets do so. */
export function* runIdHelpers(pid: string, { spec, host }: Context): Iterable<Op> {
  const { newuidmap = "/usr/bin/newuidmap", newgidmap = "/usr/bin/newgidmap" } = host.subordinateIds ?? {};
  const { uidMappings = [], gidMappings = [] } = spec.linux ?? {};
  yield* runHelper(newuidmap, pid, uidMappings);
  yield* runHelper(newgidmap, pid, gidMappings);
}

function* runHelper(path: string, pid: string, maps: readonly IdMapping[]): Iterable<Op> {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const numbers = maps.flatMap(({ containerID, hostID, size }) => [containerID, hostID, size].map(String));
  const digits = { bytes: new TextEncoder().encode(`${" ".repeat(PID_ROOM)}\0`), shows: "<pid>" };
  const does = `map ids with ${path}`;
  const [child, wait, done] = [`${name}:run`, `${name}:wait`, `${name}:done`];
  const info = zeros(128, "siginfo");
  yield op(does, "decimal", [slot(pid), { inside: digits, offset: PID_ROOM }]);
  yield op(does, "clone3", [cloneArgs({}, SIGCHLD), CLONE_ARGS_BYTES], {
    into: `${name}:pid`,
    zero: child,
    positive: wait,
  });
  const args = { strings: [path, digits, ...numbers] };
  yield op(does, "execve", [path, args, { strings: [] }], { label: child, failed: `${name}:missing` });
  yield op(does, "exit_group", [127], { label: `${name}:missing` });
  const exited = named("WEXITED", 4);
  yield op(does, "waitid", [named("P_PID", 1), slot(`${name}:pid`), info, exited, 0], { label: wait });
  yield op(does, "load", [{ inside: info, offset: 24 }, 0], { into: `${name}:status` });
  yield op(does, "let", [slot(`${name}:status`)], { zero: done });
  // It has said why on stderr. What fails here has the words for it.
  yield op(does, "chdir", [""]);
  yield mark(done);
}
