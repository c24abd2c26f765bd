import { equal, match, notEqual } from "node:assert/strict";
import { lookAt, stillThere } from "../../../runtime/seen.ts";
import { eventually } from "../../helpers/eventually.ts";

/** How a file looks when the next change to it will leave a trace. */
function settledLook(path: string): Promise<string> {
  return eventually(() => lookAt(path), (look) => look !== "as too new");
}

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = Deno.makeTempDirSync({ prefix: "seen-" });
  try {
    await body(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("lookAt() tells files apart by what is in them, and directories by which they are", async () => {
  await inDirectory(async (directory) => {
    const file = `${directory}/file`;
    equal(lookAt(file), "as nothing");
    Deno.writeTextFileSync(file, "a");
    const first = await settledLook(file);
    match(first, /^as \d+ \d+ 1 \d+\.\d+$/);
    equal(lookAt(file), first);
    equal(stillThere({ [file]: first }), true);
    Deno.utimeSync(file, 1, 1);
    const touched = await settledLook(file);
    notEqual(touched, first);
    equal(stillThere({ [file]: first }), false);
    Deno.chmodSync(file, 0o600);
    notEqual(await settledLook(file), touched);
    Deno.symlinkSync("file", `${directory}/link`);
    notEqual(await settledLook(`${directory}/link`), await settledLook(file));
    const before = lookAt(directory);
    match(before, /^as \d+ \d+$/);
    Deno.writeTextFileSync(`${directory}/other`, "");
    equal(lookAt(directory), before);
    equal(lookAt(`${file}/x`), "as nothing");
  });
});

Deno.test("stillThere() takes no file for the same that was looked at when it had just changed", async () => {
  await inDirectory(async (directory) => {
    const file = `${directory}/file`;
    // Whoever looks later than the machine lets anybody look has seen it settled: then it is changed once more.
    const look = await eventually(
      () => (Deno.writeTextFileSync(file, "a"), lookAt(file)),
      (look) => look === "as too new",
    );
    equal(look, "as too new");
    equal(stillThere({ [file]: look }), false);
    await settledLook(file);
    equal(stillThere({ [file]: look }), false);
  });
});
