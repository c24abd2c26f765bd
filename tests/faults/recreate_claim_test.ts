import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { Store } from "../../runtime/state/store.ts";
import { hasCompiler } from "../helpers/c_program.ts";
import { FIRST, light, recreateTest, SECOND } from "../helpers/recreates.ts";
import { skip } from "../helpers/skip.ts";
import { Followed } from "./followed.ts";
import type { Call } from "./injector.ts";

const TAKEN = /container with given ID already exists/;

/** The call by which the directory of a container that is new is locked. */
async function lockCall(followed: Followed): Promise<Call> {
  const { containers } = followed;
  const { code, stderr, own } = await followed.run(["create", FIRST], { program: light(containers.program) });
  deepEqual([code, stderr], [0, ""]);
  await containers.output("delete", "--force", FIRST);
  const [lock, ...more] = own.filter(({ name }) => name === "flock");
  ok(lock);
  deepEqual(more, []);
  return lock;
}

recreateTest(
  "an id that somebody else takes first is left to him by a create without Deno",
  async (containers) => {
    if (!hasCompiler) return skip("needs gcc");
    using followed = new Followed(containers);
    const { root, bundle } = containers;
    const lock = await lockCall(followed);
    const store = new Store(root);
    const line: [readonly string[]] = [["create", FIRST]];

    // The directory that is there and not yet locked is taken for one that a killed command has left.
    using other = new DisposableStack();
    const locked = await followed.during(lock, () => void other.use(store.claim(FIRST)), line);
    equal(locked.code, 1);
    match(locked.stderr, TAKEN);
    ok(isThere(`${root}/${FIRST}`));
    other.dispose();
    Deno.removeSync(`${root}/${FIRST}`);

    // He has removed it already, and made another one.
    using third = new DisposableStack();
    const replaced = await followed.during(lock, () => {
      const { ino } = Deno.statSync(`${root}/${FIRST}`);
      Deno.renameSync(`${root}/${FIRST}`, `${root}/${SECOND}`);
      third.use(store.claim(FIRST));
      notEqual(Deno.statSync(`${root}/${FIRST}`).ino, ino);
      Deno.removeSync(`${root}/${SECOND}`);
    }, line);
    equal(replaced.code, 1);
    match(replaced.stderr, TAKEN);
    ok(isThere(`${root}/${FIRST}`));
    third.dispose();
    Deno.removeSync(`${root}/${FIRST}`);

    // He is done: the lock is free again, and the container his.
    let record = "";
    const made = await followed.during(lock, async () => {
      await containers.output("create", FIRST, "--bundle", bundle.path); // by Deno: flags do not stand there else
      record = Deno.readTextFileSync(`${root}/${FIRST}/record.json`);
    }, line);
    equal(made.code, 1);
    match(made.stderr, TAKEN);
    equal(Deno.readTextFileSync(`${root}/${FIRST}/record.json`), record);
    await containers.output("start", FIRST);
    equal(await containers.status(FIRST), "running");
    await containers.output("delete", "--force", FIRST);
  },
);

recreateTest("a container that is kept in another file system takes Deno", async (containers) => {
  const root = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "ai-sandbox-root-" });
  const { program } = containers;
  /** Creates and deletes a container in a directory of containers. */
  const stderrIn = async (directory: string): Promise<string> => {
    const script = `runtime=$0; shift 2; exec ${light(["$runtime"]).join(" ")} --root ${directory} "$@"`;
    containers.program = ["/bin/sh", "-c", script, ...program];
    const { code, stderr } = await containers.run("create", FIRST);
    await containers.run("delete", "--force", FIRST);
    containers.program = program;
    equal(code, 0);
    return stderr;
  };
  try {
    notEqual(Deno.statSync(root).dev, Deno.statSync(containers.bundle.path).dev);
    equal(await stderrIn(containers.root), "");
    match(await stderrIn(root), /LD_PRELOAD/);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
