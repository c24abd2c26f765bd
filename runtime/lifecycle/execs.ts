import { stampAt, stampInside } from "../../ffi/look.ts";
import { inodeOfProcess } from "../../ffi/process.ts";
import { joinImage, type JoinOptions } from "../exec/image.ts";
import { NAMESPACE_FILES } from "../exec/namespaces.ts";
import { probeCaller } from "../host/probe.ts";
import { offsetOf, withRoom } from "../launch/elf.ts";
import { assembleTable } from "../launch/image.ts";
import type { Arch } from "../plan/abi.ts";
import { type ExecsRequest, type Flagged, planExecs } from "../plan/execs.ts";
import { fitsGiven, GIVEN_ADDRESS, GIVEN_BYTES } from "../plan/given.ts";
import { searchDirectories } from "../plan/process.ts";
import type { Stamp } from "../plan/unaided.ts";
import { settled, settledStamp } from "../stamps.ts";
import { hold } from "../state/liveness.ts";
import { KEPT_BY, Store } from "../state/store.ts";
import { FORWARDED, signalNumber } from "../supervise/signals.ts";
import { specOf, type StoreOptions } from "./container.ts";
import { frozenFiles } from "./moves.ts";

/** What a program was run by in a container: its words are all that differs in another one, if no document has them. */
export interface Joined extends JoinOptions {
  /** The flags that it was run by, if there were any. */
  readonly flagged?: Omit<Flagged, "id"> | undefined;
  /** The text of the container's config.json. */
  readonly text: string;
  /** Its first process. */
  readonly pid: number;
  /** What HOME is now, where it has to be looked up. */
  readonly homeNow: () => Promise<string | undefined>;
}

/**
 * Keeps the steps of running further programs in a container, which `bin/runtime` goes through without starting Deno
 * (`planExecs`). That they cannot be kept is no failure.
 */
export async function keepExecs(id: string, { root }: StoreOptions, joined: Joined): Promise<void> {
  try {
    using entry = new Store(root).find(id);
    // Nobody removes the container meanwhile.
    if (!entry?.tryLock() || !entry.isCurrent) return;
    const files = Object.fromEntries(
      KEPT_BY.map((name) => [name, settledStamp(`${entry.path}/${name}`, false)]),
    );
    const [record, text] = [entry.read(), entry.readSpec()];
    if (!record?.init || joined.part.initGroup || record.init.pid !== joined.pid || text !== joined.text) {
      return;
    }
    const spec = await specOf({ entry });
    const { flagged, options } = joined;
    const given = flagged?.document === undefined;
    const { image, process, listener } = joinImage(spec, {
      options: given ? { ...options, args: ["given"] } : options,
      home: joined.home,
      part: { ...joined.part, given },
    });
    const directories = given ? searchDirectories(process.env) : [];
    if (listener || process.terminal || !fitsGiven(directories)) return;
    const inode = inodeOfProcess(record.init.pid);
    if (inode === undefined) return;
    const { gid, openFiles } = probeCaller();
    const table = planExecs({
      arch: Deno.build.arch as Arch,
      init: { pid: record.init.pid, bootId: record.init.bootId, inode },
      frozen: frozenFiles(record.groups),
      files,
      executable: stampAt("/proc/self/exe"),
      caller: { gid, openFiles },
      ...placesOf(joined),
      passwd: await passwdOf(joined),
      elf: given ? withRoom(image.elf, GIVEN_ADDRESS, GIVEN_ADDRESS + GIVEN_BYTES) : image.elf,
      givenAt: offsetOf(GIVEN_ADDRESS),
      directories,
      signals: FORWARDED.map(signalNumber),
      flagged: flagged && { ...flagged, id },
    });
    using alive = hold(record.init); // all this was about the very process
    if (alive) entry.writeExecs(assembleTable(table), flagged !== undefined);
  } catch {
    // What has changed, or cannot be looked at, is left to Deno.
  }
}

/** The namespaces and cgroups that the image was made for. @throws {Error} if they are others now. */
function placesOf({ pid, part }: Joined): Pick<ExecsRequest, "namespaces" | "groups" | "leaves"> {
  const namespaces: Record<string, ExecsRequest["namespaces"][string]> = {};
  const types = Object.keys(NAMESPACE_FILES) as (keyof typeof NAMESPACE_FILES)[];
  for (const type of types) {
    const name = NAMESPACE_FILES[type];
    const [own, its] = [place(`/proc/self/ns/${name}`), place(`/proc/${pid}/ns/${name}`)];
    if ((own.inode !== its.inode) !== part.namespaces.includes(type)) throw new Error("It has moved");
    namespaces[name] = { own, its };
  }
  const groups = Object.fromEntries(part.groups.map(({ directory }) => [directory, place(directory)]));
  const leaves = part.groups.filter(({ version }) => version === 2).map(({ directory }) => directory);
  return { namespaces, groups, leaves };
}

function place(path: string): Pick<Stamp, "inode" | "device"> {
  const { inode, device } = stampAt(path);
  return { inode, device };
}

/** The file that the home directory is from. @throws {Error} if it changes just now. */
async function passwdOf({ pid, home, homeNow }: Joined): Promise<ExecsRequest["passwd"]> {
  if (home === undefined) return undefined;
  const path = "etc/passwd";
  const look = (): Stamp | undefined => {
    const stamp = stampInside(`/proc/${pid}/root`, path);
    return stamp && settled(path, stamp);
  };
  const before = look();
  if (await homeNow() !== home) throw new Error("It has another home");
  const after = look();
  const text = (stamp: Stamp | undefined): string => stamp ? Object.values(stamp).join() : "";
  if (text(before) !== text(after)) throw new Error("It has changed");
  return after ?? "nothing";
}
