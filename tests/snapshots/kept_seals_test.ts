import { deepEqual, equal, match, ok } from "node:assert/strict";
import { openDirectory } from "../../ffi/directory.ts";
import { fileSystemOf } from "../../ffi/tree.ts";
import { fileOf } from "../../runtime/kept_files.ts";
import { SETTLED_MS, stampOf } from "../../snapshots/file_stamp.ts";
import { FILE_SYSTEMS } from "../../snapshots/kept_seals.ts";
import { withRuntime } from "../helpers/built.ts";
import { BOX } from "../helpers/containers.ts";
import { skip } from "../helpers/skip.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

const PROGRAM = ["bash", "-c", `echo '{"begun":true}'; while :; do sleep 0.1; done`];
const PAGES = "pages-1.img";
const MANIFEST = "ai-sandbox.json";
const NO_SEAL = "0".repeat(64);

interface Kept {
  boot: string;
  directory: string;
  files: [string, { stamp: string; bytes: number; sha256: string }][];
}

/** What commands keep of a directory of images. */
class KeptOf {
  readonly file: string;
  constructor(readonly images: string) {
    this.file = `/run/ai-sandbox/seals/${fileOf(images)}`;
  }
  read(): Kept {
    return JSON.parse(Deno.readTextFileSync(this.file));
  }
  /** Has it say something else of the pages. */
  say(part: Partial<Kept["files"][number][1]>): Kept {
    const kept = this.read();
    kept.files = kept.files.map(([name, known]) => [name, name === PAGES ? { ...known, ...part } : known]);
    Deno.writeTextFileSync(this.file, JSON.stringify(kept));
    return kept;
  }
}

/** Waits until a file that has just been written can be told from what is written next. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS + 100));
}

/** A test of whole commands with images that were restored from once, by when nothing is new to them. */
function keptTest(
  name: string,
  body: (box: SnapshotBox, kept: KeptOf, refused: (reason: RegExp) => Promise<void>) => Promise<void>,
): void {
  snapshotTest(name, () =>
    withRuntime(async (program) => {
      await using box = new SnapshotBox();
      {
        using directory = openDirectory(box.containers.bundle.path)!;
        const number = fileSystemOf(directory);
        if (!FILE_SYSTEMS.includes(number)) {
          return skip(`needs ext4, XFS or Btrfs at "${box.containers.bundle.path}"`);
        }
      }
      box.containers.program = program;
      box.write(PROGRAM);
      await box.atLeast(1, await box.start());
      await box.checkpoint();
      const kept = new KeptOf(box.images);
      try {
        await settled();
        await restored(box);
        await body(box, kept, async (reason) => {
          const { code, stderr } = await box.tryRestore();
          equal(code, 1);
          match(stderr, reason);
        });
      } finally {
        await Deno.remove(kept.file).catch(() => {});
      }
    }));
}

async function restored(box: SnapshotBox): Promise<void> {
  await box.restore();
  await box.containers.output("delete", "--force", BOX);
}

/** Has the manifest ask for pages that nobody has. */
function forgeManifest(box: SnapshotBox): void {
  const file = `${box.images}/${MANIFEST}`;
  const manifest = JSON.parse(Deno.readTextFileSync(file));
  manifest.seals[PAGES].sha256 = NO_SEAL;
  Deno.writeTextFileSync(file, JSON.stringify(manifest));
}

keptTest(
  "a restore believes what an earlier one has hashed, by its own words and those of the manifest",
  async (box, kept, refused) => {
    const { boot, directory, files } = kept.read();
    equal(boot, Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim());
    equal(directory, box.images);
    const manifest = JSON.parse(Deno.readTextFileSync(`${box.images}/${MANIFEST}`));
    deepEqual(
      Object.fromEntries(files.map(([name, { bytes, sha256 }]) => [name, { bytes, sha256 }])),
      manifest.seals,
    );

    kept.say({ sha256: NO_SEAL });
    await restored(box); // by the file itself, as what was kept is not what the manifest asks for
    equal(new Map(kept.read().files).get(PAGES)?.sha256, manifest.seals[PAGES].sha256);

    forgeManifest(box);
    await refused(/pages-1\.img": it was altered/);
    kept.say({ sha256: NO_SEAL });
    await restored(box); // nobody has read the pages
  },
);

keptTest(
  "what was kept is not believed if it is damaged, of another boot or of other images",
  async (box, kept, refused) => {
    forgeManifest(box);
    const good = JSON.stringify(kept.say({ sha256: NO_SEAL }));
    const other = (part: Record<string, unknown>): string => JSON.stringify({ ...JSON.parse(good), ...part });
    for (
      const text of [
        "",
        "null",
        good.slice(0, -20),
        good.replace(`"${PAGES}"`, "7"),
        other({ boot: "another" }),
        other({ directory: "/elsewhere" }),
        other({ files: 7 }),
        other({ files: [null, ...JSON.parse(good).files] }),
      ]
    ) {
      Deno.writeTextFileSync(kept.file, text);
      await refused(/pages-1\.img": it was altered/);
    }
    Deno.writeTextFileSync(kept.file, good);
    await restored(box);
  },
);

keptTest("images that are changed after their hash was kept are refused", async (box, kept, refused) => {
  const path = `${box.images}/${PAGES}`;
  const pages = Deno.readFileSync(path);
  const { mtime } = Deno.statSync(path);
  const write = (bytes: Uint8Array): void => {
    Deno.writeFileSync(path, bytes);
    Deno.utimeSync(path, mtime!, mtime!);
  };
  const before = Deno.readTextFileSync(kept.file);
  const altered = pages.map((byte, index) => index === 5000 ? byte ^ 1 : byte);
  write(altered);
  await settled();
  await refused(/pages-1\.img": it was altered/);
  await refused(/pages-1\.img": it was altered/);
  write(pages.subarray(0, 4096));
  await refused(/it has 4096 bytes instead of \d+/);
  Deno.removeSync(path);
  await refused(/pages-1\.img": it is missing/);
  Deno.symlinkSync(MANIFEST, path);
  await refused(/pages-1\.img": it is no ordinary file/);
  Deno.removeSync(path);
  write(altered); // in its place, with its size and time
  await refused(/pages-1\.img": it was altered/);
  equal(Deno.readTextFileSync(kept.file), before);
  write(pages);
  await restored(box);
});

keptTest("images that somebody may still write to are hashed each time", async (box, kept) => {
  const path = `${box.images}/${PAGES}`;
  using _writer = Deno.openSync(path, { write: true });
  Deno.removeSync(kept.file);
  await restored(box);
  const names = kept.read().files.map(([name]) => name);
  ok(names.includes("core-1.img"));
  ok(!names.includes(PAGES));
});

snapshotTest("snapshot verify reads everything, whatever was kept", () =>
  withRuntime(async (program) => {
    await using box = new SnapshotBox();
    box.containers.program = program;
    box.write(PROGRAM);
    await box.atLeast(1, await box.start());
    const { containers } = box;
    const store = ["--store", `${containers.bundle.path}/store`];
    const id = (await containers.output("snapshot", "create", ...store, BOX)).trim();
    const path = `${containers.bundle.path}/store/${id}`;
    const seals = JSON.parse(Deno.readTextFileSync(`${path}/${MANIFEST}`)).seals;
    using file = Deno.openSync(`${path}/${PAGES}`, { write: true });
    file.writeSync(new Uint8Array([1, 2, 3]));
    await settled();
    const kept = new KeptOf(path);
    const files = Object.keys(seals).map((
      name,
    ) => [name, { stamp: stampOf(`${path}/${name}`), ...seals[name] }]);
    const boot = Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
    Deno.mkdirSync("/run/ai-sandbox/seals", { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(kept.file, JSON.stringify({ boot, directory: path, files }));
    try {
      const { code, stderr } = await containers.run("snapshot", "verify", ...store, id);
      equal(code, 1);
      match(stderr, /pages-1\.img": it was altered/);
    } finally {
      Deno.removeSync(kept.file);
    }
  }));
