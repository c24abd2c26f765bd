import { deepEqual, equal, match } from "node:assert/strict";
import { BOX } from "../helpers/containers.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

/** Holds a file open that has lost the name that it was opened by, but not another one, and counts. */
const HOLDING = `
import json, os, sys, time
one, two = sys.argv[1] + "/one", sys.argv[1] + "/two"
held, count = open(one, "w"), 0
os.link(one, two)
os.unlink(one)
while True:
    count += 1
    same = os.path.samestat(os.fstat(held.fileno()), os.stat(two))
    print(json.dumps({"count": count, "same": same}), flush=True)
    time.sleep(0.05)
`;

async function begin(box: SnapshotBox, directory: string, annotations = {}): Promise<number> {
  box.write(["python3", "-c", HOLDING, directory], { annotations });
  const started = await box.start();
  await box.atLeast(2, started);
  return started;
}

snapshotTest("checkpoint --link-remap --leave-running refuses what no restore would find", async () => {
  await using box = new SnapshotBox();
  const started = await begin(box, "");
  const { code, stderr } = await box.tryCheckpoint("--link-remap", "--leave-running");
  equal(code, 1);
  match(stderr, /"\/one" was removed and is open, .*; leave --leave-running out/);
  await box.atLeast(box.lines(started).length + 1, started);
  const { path, rootfs } = box.containers.bundle;
  const names = [path, rootfs].flatMap((each) => Array.from(Deno.readDirSync(each), ({ name }) => name));
  deepEqual(names.filter((name) => /images|link_remap/.test(name)), []);
  await box.containers.output("delete", "--force", BOX);
});

for (
  const [what, directory, annotations] of [
    ["memory", "/tmp", {}],
    ["an overlay", "", { "dev.ai-sandbox.overlay": "tmpfs" }],
  ] as const
) {
  snapshotTest(`checkpoint --link-remap --leave-running keeps a removed file in ${what}`, async () => {
    await using box = new SnapshotBox();
    const started = await begin(box, directory, annotations);
    await box.checkpoint("--link-remap", "--leave-running");
    await box.atLeast(box.lines(started).length + 1, started);
    await box.containers.output("delete", "--force", BOX);
    const lines = await box.atLeast<{ same: boolean }>(2, await box.restore());
    equal(lines.every(({ same }) => same), true);
    await box.containers.output("delete", "--force", BOX);
  });
}
