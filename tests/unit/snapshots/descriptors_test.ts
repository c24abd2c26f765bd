import { deepEqual } from "node:assert/strict";
import { descriptorName } from "../../../runtime/state/descriptor_name.ts";
import { externalFiles } from "../../../snapshots/descriptors.ts";

Deno.test("what a container began with is among its files even if none of its processes has it just now", () => {
  const given = ["pipe:[1]", "file[fff0:1]", "file[fff0:1]"];
  deepEqual(externalFiles(given, [Deno.pid]), [
    { key: "pipe:[1]", stdio: 0 },
    { key: "file[fff0:1]", stdio: 1 },
  ]);
});

Deno.test("what a container began with is not of the host if it lies on its own mounts", () => {
  using file = Deno.openSync("deno.json");
  const inode = file.statSync().ino!.toString(16);
  const name = Array.from({ length: 100 }, (_, fd) => descriptorName("self", fd))
    .find((each) => each?.endsWith(`:${inode}]`));
  deepEqual(externalFiles([name!, "", ""], [Deno.pid]), []);
});
