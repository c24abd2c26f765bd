import type { ContainerStats } from "../cgroup/container_stats.ts";
import { readContainerStats } from "../cgroup/container_stats.ts";
import { watchOom } from "../cgroup/oom_watch.ts";
import { LifecycleError, UnsupportedError, UsageError } from "../errors.ts";
import { EPOLLIN, reactor } from "../launch/reactor.ts";
import { hold } from "../state/liveness.ts";
import { findContainer, groupsOf, type Known, type StoreOptions } from "./container.ts";
import { statusOf } from "./status.ts";

/** The kernel tells of a want of memory a moment after it has killed. */
const LATE_MS = 50;
const USUAL_MS = 5_000;

/** Something that is told of a container, in the form of runc's `events`. */
export type ContainerEvent =
  | { readonly type: "stats"; readonly id: string; readonly data: ContainerStats }
  /** It was out of memory. */
  | { readonly type: "oom"; readonly id: string };

/** Options of {@linkcode containerEvents}. */
export interface EventOptions extends StoreOptions {
  /** How often there are figures. @default 5000 */
  readonly intervalMs?: number | undefined;
}

/**
 * What a container has used so far.
 *
 * @throws {LifecycleError} if there is no such container, or it has ended.
 * @throws {UnsupportedError} if it has no cgroup to count by.
 */
export function containerStats(id: string, options: StoreOptions = {}): ContainerStats {
  using container = findContainer(id, options);
  return readContainerStats(liveGroups(id, container));
}

/**
 * Tells what a container has used, again and again, and when it was out of memory; ends when the container does.
 *
 * @throws {LifecycleError} if there is no such container, or it has ended.
 * @throws {UnsupportedError} if it has no cgroup to count by.
 * @throws {UsageError} if the interval is none.
 */
export async function* containerEvents(
  id: string,
  { intervalMs = USUAL_MS, ...options }: EventOptions = {},
): AsyncGenerator<ContainerEvent, void> {
  if (!(intervalMs > 0)) throw new UsageError("duration interval must be greater than 0");
  using container = findContainer(id, options);
  const groups = liveGroups(id, container);
  using init = hold(container.record.init!);
  if (!init) throw notRunning(id);
  using oom = watchOom(groups);
  let [ended, late, killed, figures] = [false, false, false, 0];
  let wake = (): void => {};
  using stack = new DisposableStack();
  const end = stack.use(reactor.watch(init, EPOLLIN, () => {
    ended = true;
    end[Symbol.dispose]();
    stack.use(reactor.after(LATE_MS, () => {
      late = true;
      wake();
    }));
    wake();
  }));
  if (oom) {
    stack.use(reactor.watch(oom.fd, oom.events, () => {
      killed ||= oom.take();
      wake();
    }));
  }
  stack.use(reactor.every(intervalMs, () => {
    figures++;
    wake();
  }));
  for (;;) {
    if (killed) {
      killed = false;
      yield { type: "oom", id };
    } else if (figures > 0 && !ended) {
      figures = 0;
      yield { type: "stats", id, data: readContainerStats(groups) };
    } else if (late || (ended && !oom)) return;
    else await new Promise<void>((resolve) => wake = resolve);
  }
}

function liveGroups(id: string, container: Known): ReturnType<typeof groupsOf> {
  if (statusOf(container) === "stopped") throw notRunning(id);
  const groups = groupsOf(container);
  if (groups.length > 0) return groups;
  throw new UnsupportedError("events", "the container has no cgroup to count by", "create it as root");
}

function notRunning(id: string): LifecycleError {
  return new LifecycleError(`container with id ${id} is not running`);
}
