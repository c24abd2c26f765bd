import type { ContainerStats } from "../cgroup/container_stats.ts";
import type { Resources } from "../spec/linux.ts";
import type { StoreOptions } from "./container.ts";
import { createContainer, type CreateOptions } from "./create.ts";
import { deleteContainer, type DeleteOptions } from "./delete.ts";
import { type ContainerEvent, containerEvents, containerStats, type EventOptions } from "./events.ts";
import { execContainer, type ExecContainerOptions } from "./exec.ts";
import type { Execution } from "../exec/execution.ts";
import { killContainer, type KillOptions } from "./kill.ts";
import { pauseContainer, resumeContainer } from "./pause.ts";
import { containerProcesses } from "./processes.ts";
import { startContainer } from "./start.ts";
import { type ContainerState, containerState, listContainers } from "./state.ts";
import { updateContainer, type UpdateOptions } from "./update.ts";

/**
 * A container by its name: a sandbox that outlives the process that made it, and that every process of its owner can
 * change. Nothing is held open, so there is nothing to be disposed of.
 *
 * @example
 * ```ts ignore
 * import { Container } from "../../mod.ts";
 * const container = await Container.create("box1", { bundle: "/srv/box" });
 * await container.start();
 * await using program = await container.exec(["ps"]);
 * console.log(await new Response(program.stdout).text());
 * await container.delete({ force: true });
 * ```
 */
export class Container {
  /** Its name. */
  readonly id: string;
  readonly #store: StoreOptions;

  private constructor(id: string, { root }: StoreOptions) {
    this.id = id;
    this.#store = root === undefined ? {} : { root };
  }

  /** Makes one, whose program waits to be started. @throws as {@linkcode createContainer} does. */
  static async create(id: string, options: CreateOptions = {}): Promise<Container> {
    await createContainer(id, options);
    return new Container(id, options);
  }

  /** One that is there. @throws {LifecycleError} if there is none. */
  static open(id: string, options: StoreOptions = {}): Container {
    containerState(id, options);
    return new Container(id, options);
  }

  /** All that are there and can be read, sorted by name; {@linkcode listContainers} also tells of the others. */
  static list(options: StoreOptions = {}): Container[] {
    return listContainers(options).containers.map(({ id }) => new Container(id, options));
  }

  /** Its state, as the kernel tells now. @throws {LifecycleError} if it is gone. */
  get state(): ContainerState {
    return containerState(this.id, this.#store);
  }

  /** Its processes, by their numbers here. @throws as {@linkcode containerProcesses} does. */
  get processes(): number[] {
    return containerProcesses(this.id, this.#store);
  }

  /** What it has used so far. @throws as {@linkcode containerStats} does. */
  get stats(): ContainerStats {
    return containerStats(this.id, this.#store);
  }

  /** Lets its program begin. @throws {LifecycleError} if it does not wait to be started. */
  start(): Promise<void> {
    return startContainer(this.id, this.#store);
  }

  /** Sends a signal such as `"TERM"` or `15`. @throws as {@linkcode killContainer} does. */
  kill(signal: string | number = "KILL", options: Omit<KillOptions, "root"> = {}): Promise<void> {
    return killContainer(this.id, `${signal}`, { ...options, ...this.#store });
  }

  /** Stops its processes where they are. @throws as {@linkcode pauseContainer} does. */
  pause(): Promise<void> {
    return pauseContainer(this.id, this.#store);
  }

  /** Lets its processes go on. @throws {LifecycleError} if it is not paused. */
  resume(): Promise<void> {
    return resumeContainer(this.id, this.#store);
  }

  /** Changes its limits while it runs. @throws as {@linkcode updateContainer} does. */
  update(resources: Resources, options: Omit<UpdateOptions, "root"> = {}): Promise<void> {
    return updateContainer(this.id, resources, { ...options, ...this.#store });
  }

  /** Tells what it uses, and when it was out of memory, until it ends. @throws as {@linkcode containerEvents} does. */
  events(options: Omit<EventOptions, "root"> = {}): AsyncGenerator<ContainerEvent, void> {
    return containerEvents(this.id, { ...options, ...this.#store });
  }

  /** Runs one more program in it. @throws as {@linkcode execContainer} does. */
  exec(
    args: readonly string[],
    options: Omit<ExecContainerOptions, "root" | "args"> = {},
  ): Promise<Execution> {
    return execContainer(this.id, { ...options, args, ...this.#store });
  }

  /** Removes it with everything that was made for it. @throws as {@linkcode deleteContainer} does. */
  delete(options: Omit<DeleteOptions, "root"> = {}): Promise<void> {
    return deleteContainer(this.id, { ...options, ...this.#store });
  }
}
