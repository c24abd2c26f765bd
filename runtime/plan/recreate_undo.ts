/** How a container that was made without Deno, and cannot stay, is taken away again. */

import { SIGKILL } from "./kernel.ts";
import { mark, named, type Op, op, slot } from "./op.ts";
import { MESSAGE, MESSAGE_BYTES } from "./protocol.ts";
import type { RecreateRequest } from "./recreate.ts";
import { removeMade } from "./recreate_groups.ts";
import { isThereMore, message, told } from "./recreate_init.ts";
import { P_PID, WEXITED } from "./unaided.ts";

const REMOVEDIR = named("AT_REMOVEDIR", 0x200);

/** Takes away what was made, the launcher having ended. */
export function* undo({ names, groups }: Pick<RecreateRequest, "names" | "groups">): Iterable<Op> {
  yield op("was anything made?", "let", [slot("claimed")], { zero: "undone" });
  yield op("was there a launcher?", "let", [slot("launched")], { zero: "undo:nobody" });
  yield op("know init", "let", [slot("init")], { positive: "undo:init" });
  const does = "hear the launcher's last word";
  const silent = "undo:files";
  yield mark("undo:hear");
  yield* isThereMore({ heard: "undo:read", silent });
  yield op(does, "read", [slot("status:read"), message, MESSAGE_BYTES], {
    label: "undo:read",
    zero: silent,
    failed: silent,
  });
  yield op(does, "load", [message, 0], { into: "what" });
  yield op(does, "let", [slot("what"), -MESSAGE.cloned, 1], { positive: "undo:hear" });
  yield op(does, "load", [told, 0], { into: "init" });
  yield mark("undo:init");
  // One that cannot be ended waits at the gate, by which it is found.
  yield op("end the init", "kill", [slot("init"), SIGKILL], { failed: "undo:files" });
  yield op("take the end of the init", "waitid", [P_PID, slot("init"), 0, WEXITED, 0], {
    failed: "undo:nobody",
  });
  yield mark("undo:nobody");
  yield op("know that nobody waits", "let", [1], { into: "known" });
  yield mark("undo:files");
  yield* removeMade(groups);
  const files = [names.moves, names.spec, names.record].flatMap((name) => [`${name}.new`, name]);
  for (const name of files) yield* remove(name);
  // Whoever waits at the gate, and is not known, is found by it.
  yield op("does anybody wait?", "let", [slot("known")], { zero: "undone" });
  yield* remove(names.gate);
  yield op("remove its directory", "unlinkat", [slot("store"), slot("id"), REMOVEDIR], { failed: "undone" });
  yield mark("undone");
}

function* remove(name: string): Iterable<Op> {
  yield op(`remove "${name}"`, "unlinkat", [slot("entry"), name, 0], { failed: `undo:${name}` });
  yield mark(`undo:${name}`);
}
