import { equal, match, notEqual } from "node:assert/strict";
import { lookAt } from "../../../runtime/seen.ts";

Deno.test("lookAt() tells files apart by what is in them, and directories by which they are", () => {
  const directory = Deno.makeTempDirSync({ prefix: "seen-" });
  try {
    const file = `${directory}/file`;
    equal(lookAt(file), "as nothing");
    Deno.writeTextFileSync(file, "a");
    const first = lookAt(file);
    match(first, /^as \d+ \d+ 1 \d+\.\d+$/);
    equal(lookAt(file), first);
    Deno.utimeSync(file, 1, 1);
    const touched = lookAt(file);
    notEqual(touched, first);
    Deno.chmodSync(file, 0o600);
    notEqual(lookAt(file), touched);
    Deno.symlinkSync("file", `${directory}/link`);
    notEqual(lookAt(`${directory}/link`), lookAt(file));
    const before = lookAt(directory);
    Deno.writeTextFileSync(`${directory}/other`, "");
    equal(lookAt(directory), before);
    equal(lookAt(`${file}/x`), "as nothing");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
