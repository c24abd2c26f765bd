import { OCI_VERSION, type State, type StateStatus } from "../spec/state.ts";
import type { Record } from "../state/record.ts";
import { findContainer, type Known, type StoreOptions } from "./container.ts";
import { statusOf } from "./status.ts";
import { Store } from "../state/store.ts";

/** The state of a container, with what runc adds to it. */
export interface ContainerState extends State {
  /** Its first process; 0 when it has ended. */
  readonly pid: number;
  /** Absolute path of its root file system. */
  readonly rootfs: string;
  /** When it was made, as ISO 8601. */
  readonly created: string;
  /** User id of who made it. */
  readonly ownerId: number;
}

/**
 * The state of a container.
 *
 * @throws {LifecycleError} if there is none.
 */
export function containerState(id: string, options: StoreOptions = {}): ContainerState {
  using container = findContainer(id, options);
  return stateOf(container);
}

function stateOf(container: Known): ContainerState {
  return stateWith(container.record, statusOf(container));
}

/** The state of a container that has a status. */
export function stateWith(record: Omit<Record, "version">, status: StateStatus): ContainerState {
  const { id, bundle, rootfs, annotations, created, owner, init } = record;
  const pid = status === "stopped" || !init ? 0 : init.pid;
  const noted = Object.keys(annotations).length > 0 ? { annotations } : {};
  return { ociVersion: OCI_VERSION, id, pid, status, bundle, rootfs, created, ...noted, ownerId: owner };
}

/** A state as the command `state` prints it. */
export function stateText({ ownerId: _, ...state }: ContainerState): string {
  // runc leaves the owner empty here; who parses its output finds the property.
  return JSON.stringify({ ...state, owner: "" }, null, 2);
}

/** All containers, and those that cannot be read. */
export interface ContainerList {
  /** Sorted by name. */
  readonly containers: readonly ContainerState[];
  /** Why the others are missing. */
  readonly errors: readonly Error[];
}

/** All containers there are; one that goes away meanwhile is left out. */
export function listContainers(options: StoreOptions = {}): ContainerList {
  const store = new Store(options.root);
  const containers: ContainerState[] = [];
  const errors: Error[] = [];
  for (const id of store.list()) {
    try {
      using entry = store.find(id);
      const record = entry?.read();
      // A directory without a record is left by a command that was killed before it did anything.
      if (entry && record) containers.push(stateOf({ entry, record, [Symbol.dispose]: () => {} }));
    } catch (error) {
      errors.push(error instanceof Error ? error : new Error(String(error)));
    }
  }
  return { containers, errors };
}
