import { MOUNT_ATTR, MOUNT_ATTR_ATIME, PROPAGATION } from "./kernel.ts";
import { Memo } from "./memo.ts";

/** Mount attributes by name, as mount_setattr(2) takes them. */
export type Attributes = Readonly<Record<string, number>>;

/** What the option strings of one mount ask for. */
export interface MountOptions {
  /** Set and cleared on the mount itself. */
  readonly set: Attributes;
  readonly clear: Attributes;
  /** Set and cleared on the mount and everything below it (`rro`, `rnosuid`, …). */
  readonly setAll: Attributes;
  readonly clearAll: Attributes;
  readonly propagation?: { readonly name: string; readonly value: number; readonly recursive: boolean };
  readonly bind: boolean;
  readonly recursive: boolean;
  readonly remount: boolean;
  readonly copyUp: boolean;
  readonly idmap?: "idmap" | "ridmap";
  /** What the file system itself understands: `size=64m`, `hidepid=2`, `newinstance`. */
  readonly data: readonly { readonly key: string; readonly value?: string }[];
}

/** Option → [attributes set, attributes cleared]; each also exists with an `r` before it (OCI config.md, "Linux mount options"). */
const ATTRIBUTES = new Map<string, readonly [set: readonly string[], clear: readonly string[]]>(
  Object.entries({
    ro: [["RDONLY"], []],
    rw: [[], ["RDONLY"]],
    nosuid: [["NOSUID"], []],
    suid: [[], ["NOSUID"]],
    nodev: [["NODEV"], []],
    dev: [[], ["NODEV"]],
    noexec: [["NOEXEC"], []],
    exec: [[], ["NOEXEC"]],
    nodiratime: [["NODIRATIME"], []],
    diratime: [[], ["NODIRATIME"]],
    nosymfollow: [["NOSYMFOLLOW"], []],
    symfollow: [[], ["NOSYMFOLLOW"]],
    noatime: [["NOATIME"], ["_ATIME"]],
    atime: [[], ["_ATIME"]],
    relatime: [[], ["_ATIME"]],
    norelatime: [["STRICTATIME"], ["_ATIME"]],
    strictatime: [["STRICTATIME"], ["_ATIME"]],
    nostrictatime: [[], ["_ATIME"]],
  }),
);
const VALUES: Record<string, number> = { ...MOUNT_ATTR, _ATIME: MOUNT_ATTR_ATIME };
/** Options that are the default, or that the new mount interface has no word for. */
const NOTHING = new Set(["defaults", "async", "loud", "silent", "nolazytime", "nomand", "noiversion", "rw"]);

/** What the kernel itself reads among the options of any new file system (its vfs_parse_sb_flag). */
const OF_ANY = ["dirsync", "lazytime", "mand", "sync"];

/** Every option that any mount may have, sorted; whether others are known is for the file system to say. */
export function knownMountOptions(): string[] {
  const spreads = Object.keys(PROPAGATION).map((name) => name.toLowerCase());
  const words = [...ATTRIBUTES.keys(), ...spreads, "bind", "idmap"];
  const others = ["remount", "tmpcopyup", ...OF_ANY, ...NOTHING];
  return [...new Set([...words, ...words.map((word) => `r${word}`), ...others])].sort();
}

/** What was read before: the mounts of a bundle are asked about again and again. */
const known = new Memo<MountOptions>();

/** Reads the options of a mount; later ones win over earlier ones. */
export function mountOptions(options: readonly string[], type: string = ""): MountOptions {
  return known.take([type, options], () => readOptions(options, type));
}

function readOptions(options: readonly string[], type: string): MountOptions {
  const [set, clear, setAll, clearAll]: Record<string, number>[] = [{}, {}, {}, {}];
  let bind = type === "bind" || type === "rbind";
  let recursive = type === "rbind";
  let [remount, copyUp] = [false, false];
  let propagation: MountOptions["propagation"];
  let idmap: MountOptions["idmap"];
  const data: { key: string; value?: string }[] = [];
  for (const option of options) {
    const all = option[0] === "r" && !ATTRIBUTES.has(option) && ATTRIBUTES.has(option.slice(1));
    const attribute = ATTRIBUTES.get(all ? option.slice(1) : option);
    const spread = PROPAGATION[(option[0] === "r" ? option.slice(1) : option).toUpperCase() as "SHARED"];
    if (attribute) {
      apply(all ? setAll! : set!, all ? clearAll! : clear!, attribute);
    } else if (spread !== undefined) {
      const deep = option[0] === "r";
      propagation = {
        name: "MS_" + (deep ? option.slice(1) : option).toUpperCase(),
        value: spread,
        recursive: deep,
      };
    } else if (option === "bind" || option === "rbind") {
      [bind, recursive] = [true, recursive || option === "rbind"];
    } else if (option === "remount") remount = true;
    else if (option === "tmpcopyup") copyUp = true;
    else if (option === "idmap" || option === "ridmap") idmap = option;
    else if (!NOTHING.has(option) && option !== "") {
      const equals = option.indexOf("=");
      data.push(
        equals < 0 ? { key: option } : { key: option.slice(0, equals), value: option.slice(equals + 1) },
      );
    }
  }
  return {
    set: Object.freeze(set!),
    clear: Object.freeze(clear!),
    setAll: Object.freeze(setAll!),
    clearAll: Object.freeze(clearAll!),
    ...(propagation && { propagation }),
    ...(idmap && { idmap }),
    bind,
    recursive,
    remount,
    copyUp,
    data,
  };
}

/** A later option takes back an earlier one: `ro,rw` ends writable. */
function apply(
  set: Record<string, number>,
  clear: Record<string, number>,
  [sets, clears]: readonly [readonly string[], readonly string[]],
): void {
  for (const name of clears) {
    delete set[name];
    if (name === "_ATIME") { for (const mode of ["NOATIME", "STRICTATIME"]) delete set[mode]; }
    clear[name] = VALUES[name]!;
  }
  for (const name of sets) {
    delete clear[name];
    set[name] = VALUES[name]!;
  }
}
