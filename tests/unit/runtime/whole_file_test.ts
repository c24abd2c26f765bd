import { deepEqual, equal, rejects } from "node:assert/strict";
import { writeWholeFile } from "../../../runtime/whole_file.ts";
import { Temporary } from "../../helpers/cli.ts";

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

for (const keepsOld of [false, true]) {
  Deno.test(`writeWholeFile() takes the place of what is there${keepsOld ? " in one step" : ""}`, async () => {
    using here = new Temporary();
    const [file, aim] = [`${here.path}/file`, `${here.path}/aim`];
    const names = (): string[] => [...Deno.readDirSync(here.path)].map(({ name }) => name).sort();
    await writeWholeFile(file, bytes("first"), { keepsOld, mode: 0o640 });
    equal(Deno.readTextFileSync(file), "first");
    equal(Deno.statSync(file).mode! & 0o777, 0o640 & ~Deno.umask());
    using opened = Deno.openSync(file);
    await writeWholeFile(file, bytes("second"), { keepsOld });
    equal(Deno.readTextFileSync(file), "second");
    equal(Deno.statSync(file).mode! & 0o777, 0o666 & ~Deno.umask());
    const had = new Uint8Array(16);
    equal(new TextDecoder().decode(had.subarray(0, opened.readSync(had)!)), "first");
    // A link goes, and not what it leads to.
    Deno.removeSync(file);
    Deno.writeTextFileSync(aim, "aim");
    Deno.symlinkSync("aim", file);
    await writeWholeFile(file, bytes("third"), { keepsOld });
    equal(Deno.lstatSync(file).isSymlink, false);
    equal(Deno.readTextFileSync(aim), "aim");
    deepEqual(names(), ["aim", "file"]);
    // What it cannot replace it leaves.
    Deno.mkdirSync(`${here.path}/directory/full`, { recursive: true });
    await rejects(writeWholeFile(`${here.path}/directory`, bytes("x"), { keepsOld }), /os error/);
    await rejects(writeWholeFile(`${here.path}/none/file`, bytes("x"), { keepsOld }), Deno.errors.NotFound);
    deepEqual(names(), ["aim", "directory", "file"]);
  });
}
