import { ERRNO } from "./abi.ts";
import type { Context } from "./context.ts";
import { type Arg, counted, type Op, op, slot, type Struct, text } from "./op.ts";
import { STATUS_FD } from "./protocol.ts";

/** Where a failed step goes: it tells the supervisor, or the person in front of it. */
export function* end({ form }: Pick<Context, "form">): Iterable<Op> {
  if (form !== "standalone") {
    yield op("report the failure", "write", [STATUS_FD, { address: "failed" }, 16], {
      label: "fail",
      failed: "over",
    });
    yield op("end", "exit_group", [1], { label: "over", failed: "crash" });
    yield crash();
    return;
  }
  const does = "report the failure";
  const says = (what: Arg, size: Arg): Op => op(does, "write", [2, what, size], { failed: "over" });
  const before = "sandbox: cannot ";
  yield { ...says(text(before), before.length), label: "fail" };
  yield op(does, "load", [slot("failed"), 1, 56], { into: "words" });
  yield* sayCounted("words", does);
  yield says(text(": "), 2);
  yield op(does, "load", [errnoTable(), slot("errno"), 8], { into: "words", zero: "unnamed" });
  yield* sayCounted("words", does);
  yield op(does, "let", [0], { label: "unnamed" });
  yield says(text("\n"), 1);
  // 126 and 127 are about the program, as in a shell; anything else is our own failure.
  yield op("tell whose fault it is", "let", [slot("program:fault")], { label: "over", zero: "ours" });
  for (
    const [name, label] of [["ENOENT", "missing"], ["EACCES", "forbidden"], ["EISDIR", "forbidden"]] as const
  ) {
    yield op(`tell ${name} from other errors`, "let", [slot("errno"), -1, ERRNO[name]], { zero: label });
  }
  for (const [code, label] of [[125, "ours"], [126, "forbidden"], [127, "missing"]] as const) {
    yield op("end", "exit_group", [code], { label, failed: "crash" });
  }
  yield crash();
}

/** Where even exit_group is forbidden, by the seccomp filter, a fault ends the process. */
function crash(): Op {
  const label = "crash";
  return op("end at any price", "load", [0, 0], {
    label,
    zero: label,
    positive: label,
    failed: label,
    ignored: label,
  });
}

function* sayCounted(words: string, does: string): Iterable<Op> {
  yield op(does, "load", [slot(words), 0], { into: `${words}:length` });
  yield op(does, "let", [slot(words), 1, 8], { into: `${words}:text` });
  yield op(does, "write", [2, slot(`${words}:text`), slot(`${words}:length`)], { failed: "over" });
}

/** The names of all error numbers, by number. */
function errnoTable(): Struct {
  const names = new Map(Object.entries(ERRNO).map(([name, number]) => [number, counted(name)]));
  return {
    struct: "errno names",
    members: Array.from({ length: 256 }, (_, number) => [`${number}`, 8, names.get(number as 1) ?? 0]),
  };
}
