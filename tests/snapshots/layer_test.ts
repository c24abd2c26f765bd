import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { openDirectory } from "../../ffi/directory.ts";
import { applyLayer } from "../../snapshots/layer/apply.ts";
import { open } from "../../ffi/fd.ts";
import { encodeIndex, type LayerEntry, readIndex } from "../../snapshots/layer/entry.ts";
import type { Spec } from "../../runtime/spec/config.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { BOX } from "../helpers/containers.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

interface Line {
  readonly count: number;
  readonly char: string;
  readonly memory: string;
  readonly tree: string;
  readonly files: number;
  readonly differs: readonly string[];
  readonly log: string;
  readonly blocks: number;
  readonly lower: readonly string[];
}

const OVERLAY = { annotations: { "dev.ai-sandbox.overlay": "tmpfs:size=32m" } };

function write(box: SnapshotBox, part: Partial<Spec> = OVERLAY): void {
  const { bundle } = box.containers;
  for (const name of ["gone", "changed", "mode", "replaced/one", "replaced/two", "moved", "kept"]) {
    Deno.mkdirSync(`${bundle.rootfs}/lower/replaced`, { recursive: true });
    Deno.writeTextFileSync(`${bundle.rootfs}/lower/${name}`, `${name} of below`);
  }
  bundle.file("program.py", Deno.readTextFileSync("tests/testdata/layer.py"));
  box.write(["python3", "/program.py"], part, {
    capabilities: {
      bounding: ["CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID", "CAP_DAC_OVERRIDE"],
      effective: ["CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID", "CAP_DAC_OVERRIDE"],
      permitted: ["CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID", "CAP_DAC_OVERRIDE"],
    },
  });
}

function asBefore(first: Line, last: Line): void {
  const { count } = first;
  equal(count, last.count + 1);
  deepEqual(first.differs, []);
  const { tree, files, lower } = last;
  ok(first.blocks <= 64); // 8 MiB, most of them a hole
  deepEqual({ ...first, char: "", memory: "", blocks: 0 }, {
    count,
    char: "",
    memory: "",
    tree,
    files,
    differs: [],
    log: `${last.log}${count}\n`,
    blocks: 0,
    lower,
  });
  equal(first.char, "012345678901".slice((3 * (count - 1)) % 10).slice(0, 3));
}

snapshotTest(
  "what was written over the rootfs is there again, of every kind, and again after that",
  async () => {
    await using box = new SnapshotBox();
    write(box);
    let running = await box.start();
    const [begun] = await box.atLeast<Line>(3, running);
    deepEqual(begun!.lower, ["changed", "kept", "mode", "replaced"]);
    for (let round = 0; round < 2; round++) {
      await box.checkpoint();
      const last = box.lines<Line>(running).at(-1)!;
      running = await box.restore();
      asBefore((await box.atLeast<Line>(3, running))[0]!, last);
      Deno.removeSync(box.images, { recursive: true });
    }
    await box.containers.output("delete", "--force", BOX);
    ok(Deno.readTextFileSync(`${box.containers.bundle.rootfs}/lower/changed`).endsWith("below"));
  },
);

/** stdout and stderr of the next command: files that users of another user namespace may write to. */
function openToAll(box: SnapshotBox): void {
  for (const name of ["out", "err"]) {
    const file = `${box.containers.bundle.path}/said-${box.containers.commands}.${name}`;
    Deno.writeTextFileSync(file, "");
    Deno.chmodSync(file, 0o666);
  }
}

snapshotTest("owners, whiteouts and replaced directories are kept in a user namespace too", async () => {
  await using box = new SnapshotBox();
  const namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup", "user"].map((type) => ({ type }));
  const mappings = [{ containerID: 0, hostID: 100_000, size: 1000 }];
  const linux = { ...starterSpec().linux, namespaces, uidMappings: mappings, gidMappings: mappings };
  write(box, { ...OVERLAY, linux: linux as NonNullable<Spec["linux"]> });
  for (const path of ["", "/lower", "/lower/replaced"]) own(`${box.containers.bundle.rootfs}${path}`);
  Deno.chmodSync(box.containers.bundle.path, 0o755);
  openToAll(box);
  const started = await box.start();
  await box.atLeast<Line>(3, started);
  await box.checkpoint();
  const last = box.lines<Line>(started).at(-1)!;
  openToAll(box);
  asBefore((await box.atLeast<Line>(3, await box.restore()))[0]!, last);
  await box.containers.output("delete", "--force", BOX);
});

function own(path: string): void {
  Deno.chownSync(path, 100_000, 100_000);
  for (const { name, isFile } of Deno.readDirSync(path)) {
    if (isFile) Deno.chownSync(`${path}/${name}`, 100_000, 100_000);
  }
}

const COUNT = `count=0; while :; do count=$((count + 1)); echo "{\\"count\\":$count}"; sleep 0.05; done`;

snapshotTest(
  "a layer that was altered, does not fit or is not asked for is refused, and nothing is left",
  async () => {
    await using box = new SnapshotBox();
    const config = (part: Partial<Spec>): void =>
      box.write(["bash", "-c", `head -c 100000 /dev/zero > /file; ${COUNT}`], part);
    config(OVERLAY);
    const started = await box.start();
    await box.atLeast(2, started);
    await box.checkpoint();
    const { length } = box.lines(started);
    const refused = async (reason: RegExp): Promise<void> => {
      const { code, stderr } = await box.tryRestore();
      equal(code, 1);
      match(stderr, reason);
      equal([...Deno.readDirSync(box.containers.root)].length, 0);
    };
    config({});
    await refused(/what was written over an overlay, and config\.json asks for none; add the annotation/);
    config({ annotations: { "dev.ai-sandbox.overlay": "tmpfs:size=4k" } });
    await refused(/layer\.json": it does not fit into the overlay that config\.json asks for/);
    config(OVERLAY);
    const index = `${box.images}/layer.json`;
    const text = Deno.readTextFileSync(index);
    Deno.writeTextFileSync(index, text.replace('"file"', '"fil3"'));
    await refused(/layer\.json": it was altered/);
    Deno.removeSync(index);
    await refused(/layer\.json": it is missing/);
    Deno.writeTextFileSync(index, text);
    await box.restore();
    await box.containers.output("delete", "--force", BOX);
    equal(box.lines(started).length, length);
  },
);

snapshotTest("a layer that cannot be kept fails the checkpoint, and the program goes on", async () => {
  await using box = new SnapshotBox();
  const deep = "d=$(printf %0200d 0); for each in {1..25}; do mkdir $d; cd $d; done";
  box.write(["bash", "-c", `cd /lower; ${deep}; cd /; ${COUNT}`], OVERLAY);
  box.containers.bundle.directory("lower");
  const started = await box.start();
  await box.atLeast(2, started);
  const { code, stderr } = await box.tryCheckpoint();
  equal(code, 1);
  match(stderr, /cannot be kept: its path is too long; remove it before/);
  await box.atLeast(box.lines(started).length + 2, started);
  await box.containers.output("delete", "--force", BOX);
});

snapshotTest("devices, owners and marks that a layer must not bring are refused", () => {
  const images = Deno.makeTempDirSync();
  const refused = (reason: RegExp, entry: Omit<LayerEntry, "path">): void => {
    Deno.mkdirSync(`${images}/upper`);
    Deno.writeTextFileSync(
      `${images}/layer.json`,
      [...encodeIndex([{ path: "", kind: "directory", mode: 0o755 }, { path: "a", ...entry }])].join(""),
    );
    Deno.writeTextFileSync(`${images}/layer.data`, "");
    using upper = openDirectory(`${images}/upper`)!;
    const rules = {
      ids: { inside: () => 0, outside: (_: string, id: number) => id < 10 ? id : undefined },
      allowsDevice: (_: string, major: number) => major === 1,
      marks: "trusted.overlay." as const,
    };
    using data = open(`${images}/layer.data`, 0);
    const files = { entries: readIndex(images), data, index: "layer.json", into: "it" };
    throws(() => applyLayer(files, upper, rules), reason);
    Deno.removeSync(`${images}/upper`, { recursive: true });
  };
  refused(/"\/a" is the device 8:0, which config\.json does not allow/, { kind: "block", device: [8, 0] });
  refused(/"\/a" is the device 5:1, which/, { kind: "character", device: [5, 1] });
  refused(/"\/a" belongs to somebody whom the container does not have/, { kind: "file", uid: 10 });
  const attributes = { "trusted.overlay.redirect": btoa("/etc") };
  refused(/"\/a" has a mark of overlays/, { kind: "directory", attributes });
  refused(/"\/a" has an attribute that is not in base 64/, {
    kind: "directory",
    attributes: { "user.a": "!" },
  });
  Deno.removeSync(images, { recursive: true });
  return Promise.resolve();
});
