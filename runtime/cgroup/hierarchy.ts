import { UnsupportedError } from "../errors.ts";

/** One mounted cgroup hierarchy. */
export interface Hierarchy {
  readonly version: 1 | 2;
  /** Its controllers or `name=…`, separated by commas; of version 2 what `cgroup.controllers` of its root lists. */
  readonly controllers: string;
  readonly mountPoint: string;
  /** The launching process's group, from the hierarchy's root. */
  readonly own: string;
}

/** A file to write in the new group of one hierarchy. */
export interface Write {
  /** The hierarchy, by where it is mounted. */
  readonly mountPoint: string;
  /** Name of the file in the group's directory. */
  readonly file: string;
  readonly value: string;
  /** JSON pointer to what in config.json asks for it. */
  readonly pointer: string;
  /** What says the same to a kernel that has no `file`. */
  readonly otherwise?: { readonly file: string; readonly value: string };
  /** Linux accepts this value and may ignore it: a limit that reads back as none was not applied. */
  readonly mayBeIgnored?: boolean;
  /** Where `file` need not be there: the kernel then does what `value` says. */
  readonly ifThere?: boolean;
  /** A file with the present usage, which must be below `most` bytes, for the kernel would kill instead. */
  readonly usage?: { readonly file: string; readonly most: bigint; readonly words: string };
}

/** Where the controllers are: the half of the decision that the host makes. */
export class Hierarchies {
  constructor(readonly all: readonly Hierarchy[]) {}

  /** The hierarchy of version 2, if it is mounted. */
  get unified(): Hierarchy | undefined {
    return this.all.find(({ version }) => version === 2);
  }

  /** The hierarchy that has a controller, if any. */
  find(controller: string): Hierarchy | undefined {
    return this.all.find(({ controllers }) => controllers.split(",").includes(controller));
  }

  /**
   * The hierarchy that has a controller which `pointer` asks for.
   *
   * @throws {UnsupportedError} if none has.
   */
  with(controller: string, pointer: string): Hierarchy {
    const found = this.find(controller);
    if (found !== undefined) return found;
    throw new UnsupportedError(
      pointer,
      `no mounted cgroup hierarchy has the controller "${controller}"`,
      `mount one that has it, or take it out of config.json`,
    );
  }
}

/** Where in config.json the limits are. */
export const RESOURCES = "/linux/resources";

/** A limit as cgroup files spell it: -1 stands for none. */
export function limit(value: number | bigint, version: 1 | 2): string {
  return version === 2 && Number(value) === -1 ? "max" : String(value);
}

/** Whether a value asks for something: engines write 0 for what they leave alone. */
export function isSet<T extends number | bigint>(value: T | undefined): value is T {
  return value !== undefined && Number(value) !== 0;
}

/** What only cgroup v1 can do. */
export function onlyVersion1(pointer: string, remedy = "take it out of config.json"): UnsupportedError {
  return new UnsupportedError(pointer, "cgroup v2 has nothing like it", remedy);
}
