import { deepEqual, equal, match } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

/** A container with a file of the host at `/more/deep/file`, checkpointed, and then its rootfs as it was unpacked. */
async function checkpointed(box: SnapshotBox): Promise<void> {
  const { bundle } = box.containers;
  const source = bundle.file("given", "given\n");
  const file = { destination: "/more/deep/file", type: "bind", source, options: ["bind", "ro"] };
  const usr = { destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro"] };
  const script = 'while :; do echo "{\\"read\\":\\"$(cat /more/deep/file)\\"}"; sleep 0.05; done';
  box.write(["bash", "-c", script], { mounts: [...starterSpec().mounts ?? [], usr, file] });
  await box.atLeast(1, await box.start());
  await box.checkpoint();
  Deno.removeSync(`${bundle.rootfs}/more`, { recursive: true });
}

snapshotTest(
  "a rootfs that lacks the places of mounts gets them when a container is restored on it",
  async () => {
    await using box = new SnapshotBox();
    await checkpointed(box);
    Deno.removeSync(`${box.containers.bundle.rootfs}/usr`);
    const [line] = await box.atLeast<{ read: string }>(1, await box.restore());
    equal(line!.read, "given");
  },
);

snapshotTest("a link in the rootfs leads no place of a mount outside", async () => {
  await using box = new SnapshotBox();
  await checkpointed(box);
  const outside = Deno.makeTempDirSync();
  try {
    for (const target of [outside, `${"../".repeat(30)}${outside}`]) {
      Deno.symlinkSync(target, `${box.containers.bundle.rootfs}/more`);
      const { code, stderr } = await box.tryRestore();
      equal(code, 1);
      match(stderr, /Cannot restore container .*more\/deep\/file: No such file or directory/);
      deepEqual([...Deno.readDirSync(outside)], []);
      Deno.removeSync(`${box.containers.bundle.rootfs}/more`);
    }
  } finally {
    Deno.removeSync(outside, { recursive: true });
  }
});
