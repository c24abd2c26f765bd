import { deepEqual, equal, match } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { skip } from "./helpers/skip.ts";

const CROWDED = fromFileUrl(new URL("helpers/crowded.ts", import.meta.url));
const FILES = [60, 61, 62, 63, 64, 65];
const COUNT = 60;

interface Found {
  readonly ran: number;
  readonly errors: readonly string[];
  readonly said: string;
  readonly left: readonly string[];
}

async function crowded(files: number, kind: string): Promise<Found> {
  const script = `ulimit -n ${files} && exec "$@"`;
  const args = ["-c", script, "sh", Deno.execPath(), "run", "-A", CROWDED, String(COUNT), kind];
  const { success, stdout, stderr } = await new Deno.Command("sh", { args, stdin: "null" }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`With ${files} open files: ${decoder.decode(stderr)}`);
  return JSON.parse(decoder.decode(stdout));
}

for (const kind of ["plain", "terminal"]) {
  Deno.test(`sandboxes that find no room for a descriptor fail by name, and the others run: ${kind}`, async () => {
    if (Deno.uid() !== 0) return skip("needs root");
    // Which call is the first to find no room depends on how many are open.
    for (const files of FILES) {
      const { ran, errors, said, left } = await crowded(files, kind);
      equal(ran > 0 && ran < COUNT, true, `${ran} of ${COUNT} run with ${files} open files`);
      for (const error of errors) match(error, /EMFILE|too many open files/i);
      equal(said, "soak\n");
      deepEqual(left, []);
    }
  });
}
