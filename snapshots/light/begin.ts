import { type Bundle } from "../../runtime/bundle.ts";
import { createChild } from "../../runtime/lifecycle/create.ts";
import { deleteContainer } from "../../runtime/lifecycle/delete.ts";
import { startContainer } from "../../runtime/lifecycle/start.ts";
import { nameProcess } from "../../runtime/state/liveness.ts";
import type { Entry } from "../../runtime/state/store.ts";
import { terminalOf } from "../../runtime/supervise/terminal_streams.ts";
import { restoredUpper } from "../layer/restored_upper.ts";
import type { Images } from "../open_images.ts";
import { restored, type RestoredContainer } from "../restored_container.ts";
import type { Stdio } from "../restore_externals.ts";
import { refuseTerminal, type RestoreOptions } from "../restore_options.ts";
import { checkConnected } from "../restored_network.ts";
import { asBegun, readBegun } from "./begun.ts";

/** What a program is begun anew with. */
export interface Beginning {
  /** Nothing: as its config.json says, with nothing of before. */
  readonly images: Images | undefined;
  readonly bundle: (entry: Entry) => Bundle;
  /** Whether its program has a terminal. */
  readonly hasTerminal?: boolean;
  readonly options: RestoreOptions;
  readonly stdio: Stdio;
  /** Runs when all of it is there and its program has not begun. */
  readonly beforeStart?: (pid: number) => void;
}

/**
 * Makes a container whose program begins anew: it finds its files as they were, its environment and its working
 * directory. All else is as of a container that is created.
 *
 * @throws as `createContainer` and `startContainer` do.
 */
export async function beginAnew(
  id: string,
  { images, bundle, hasTerminal = false, options, stdio, beforeStart }: Beginning,
): Promise<RestoredContainer> {
  const { root, consoleSocket, network, onPid } = options;
  const begun = images ? readBegun(images) : {};
  const bundled = (entry: Entry): Bundle => {
    const { path, spec } = bundle(entry);
    refuseTerminal(spec, options);
    if (images) checkConnected(id, images, { spec, network });
    return { path, spec: asBegun(spec, begun) };
  };
  const child = await createChild(
    id,
    { root, ...(network && { network }), consoleSocket, onPid },
    {
      bundle: bundled,
      stdio,
      attached: options.detach !== true && consoleSocket === undefined && hasTerminal,
      ...(images && { upper: (request) => restoredUpper(images, request) }),
    },
  );
  const own = { root, init: nameProcess(child.pid) }; // the name may be another one's by then
  try {
    child.leaveGate();
    beforeStart?.(child.pid);
    await startContainer(id, own);
    await child.executed;
  } catch (error) {
    await deleteContainer(id, { ...own, force: true });
    throw error;
  }
  using process = child.hold();
  const streams = new DisposableStack();
  const terminal = child.terminal && terminalOf(child.terminal, streams);
  child.terminal = undefined; // ours from here on
  const { pid } = child;
  child.letGo();
  return restored({ pid, process: process!.duplicate(), rung: images ? "light" : "cold" }, {
    terminal,
    streams,
  });
}
