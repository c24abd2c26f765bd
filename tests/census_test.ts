import { match, rejects } from "node:assert/strict";
import { leavesNothing } from "./helpers/census.ts";
import { Temporary } from "./helpers/cli.ts";
import { failure } from "./helpers/sandboxes.ts";

const SOON = { waitMs: 100 };

Deno.test("leavesNothing() finds an orphan in a namespace of its own, which its parent left behind", async () => {
  const script = "unshare -u sh -c 'sleep 20 >/dev/null 2>&1 & echo $!'";
  let pid = 0;
  const error = await failure(leavesNothing([], async () => {
    const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
    pid = Number(new TextDecoder().decode(stdout));
  }, SOON));
  Deno.kill(pid, "SIGKILL");
  match(error.message, /left: process \d+/);
  match(error.message, /left: namespace uts:/);
});

Deno.test("leavesNothing() finds files that come, go and change, and a descriptor", async () => {
  using here = new Temporary();
  const file = here.file("old", "1");
  await rejects(
    leavesNothing([here.path], () => Promise.resolve(here.file("new", "")), SOON),
    /left: file .*\/new f/,
  );
  await rejects(
    leavesNothing([here.path], () => Deno.writeTextFile(file, "22"), SOON),
    /left: file .*\/old f 644 0 0 2 /,
  );
  Deno.removeSync(`${here.path}/new`);
  await rejects(leavesNothing([here.path], () => Deno.remove(file), SOON), /gone: file .*\/old/);
  let open: Deno.FsFile | undefined;
  await rejects(
    leavesNothing([], async () => {
      open = await Deno.open(here.path);
    }, SOON),
    /left: descriptor \d+ .*cli-/,
  );
  open?.close();
});
