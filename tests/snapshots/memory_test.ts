import { deepEqual, equal, match, ok } from "node:assert/strict";
import { BOX } from "../helpers/containers.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Mount } from "../../runtime/spec/config.ts";

interface Line {
  readonly count: number;
  readonly lines: number;
  readonly seen: number;
  readonly datagram: number;
  readonly sparse: number;
  readonly tree: Readonly<Record<string, unknown>>;
}

const TMP: Mount = {
  destination: "/tmp",
  type: "tmpfs",
  source: "tmpfs",
  options: ["nosuid", "nodev", "size=8m"],
};
const RUN: Mount = {
  destination: "/run",
  type: "tmpfs",
  source: "tmpfs",
  options: ["nosuid", "noexec", "size=1m"],
};
const CAPABILITIES = ["CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID", "CAP_DAC_OVERRIDE"];

function write(box: SnapshotBox, tmp: Mount = TMP): void {
  box.containers.bundle.file("program.py", Deno.readTextFileSync("tests/testdata/memory.py"));
  const usr = { destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro", "nosuid"] };
  box.write(["python3", "/program.py"], { mounts: [...starterSpec().mounts!, usr, tmp, RUN] }, {
    capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
  });
}

/** The images that CRIU has made by tar. */
function archives(box: SnapshotBox): string[] {
  return Array.from(Deno.readDirSync(box.images), ({ name }) => name).filter((name) =>
    name.startsWith("tmpfs-")
  );
}

snapshotTest(
  "files in memory are kept without tar: of every kind, open, mapped, removed; and again",
  async () => {
    await using box = new SnapshotBox();
    write(box);
    let running = await box.start();
    await box.atLeast(3, running);
    for (let round = 0; round < 2; round++) {
      await box.checkpoint("--file-locks");
      deepEqual(archives(box), []);
      const last = box.lines<Line>(running).at(-1)!;
      running = await box.restore("--file-locks");
      const [first] = await box.atLeast<Line>(3, running);
      const count = last.count + 1;
      ok(first!.sparse <= 16); // 4 MiB, most of them a hole
      deepEqual(first, { ...last, count, lines: count, seen: count, datagram: count, sparse: first!.sparse });
      Deno.removeSync(box.images, { recursive: true });
    }
    await box.containers.output("delete", "--force", BOX);
  },
);

snapshotTest("files in memory that were altered, do not fit or are not asked for are refused", async () => {
  await using box = new SnapshotBox();
  write(box);
  await box.atLeast(3, await box.start());
  await box.checkpoint("--file-locks");
  const refused = async (reason: RegExp): Promise<void> => {
    const { code, stderr } = await box.tryRestore("--file-locks");
    equal(code, 1);
    match(stderr, reason);
  };
  const index = `${box.images}/memory.json`;
  const whole = Deno.readTextFileSync(index);
  Deno.writeTextFileSync(index, whole.replace('"path":"one"', '"path":"two"'));
  await refused(/memory\.json": it was altered/);
  Deno.writeTextFileSync(index, whole);
  Deno.removeSync(`${box.images}/memory.data`);
  Deno.symlinkSync("/etc/passwd", `${box.images}/memory.data`);
  await refused(/memory\.data": it is no ordinary file/);
});

snapshotTest("files in memory find their place by the config of now", async () => {
  await using box = new SnapshotBox();
  write(box);
  await box.atLeast(3, await box.start());
  await box.checkpoint("--file-locks");
  const refused = async (tmp: Mount, reason: RegExp): Promise<void> => {
    write(box, tmp);
    const { code, stderr } = await box.tryRestore("--file-locks");
    equal(code, 1);
    match(stderr, reason);
  };
  await refused({ ...TMP, options: ["size=4k"] }, /it does not fit into "\/tmp" as config\.json asks for it/);
  const bind = { destination: "/tmp", type: "bind", source: "/var", options: ["bind"] };
  await refused(bind, /it has a mount at "\/tmp", which config\.json does not ask for/);
  const more = { ...TMP, options: [...TMP.options!, "noexec"] };
  await refused(more, /mount "\/tmp": asked for tmpfs .*is without noexec/);
  write(box, { ...TMP, options: ["nosuid", "nodev", "size=4m"] });
  const running = await box.restore("--file-locks");
  await box.atLeast(2, running);
  match(
    await box.containers.output("exec", BOX, "cat", "/proc/mounts"),
    / \/tmp tmpfs rw,nosuid,nodev,relatime,size=4096k/,
  );
  await box.containers.output("delete", "--force", BOX);
});
