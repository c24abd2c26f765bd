import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { parseMountinfo } from "../../../runtime/attest/parse.ts";
import type { Spec } from "../../../runtime/spec/config.ts";
import { Store } from "../../../runtime/state/store.ts";
import { externalMounts, sourceOf } from "../../../snapshots/external_mounts.ts";
import { substituteFiles } from "../../../snapshots/files_image.ts";
import { liveImages } from "../../../snapshots/live_images.ts";
import { errorsOf } from "../../../snapshots/log.ts";
import { checkSeals, seal } from "../../../snapshots/seals.ts";
import { readFields, readImage, writeFields, writeImage } from "../../../snapshots/protobuf.ts";
import { ownCpuMs } from "../../helpers/cpu_time.ts";

const text = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);

Deno.test("readFields() and writeFields() agree on every kind of field, and refuse what was cut off", () => {
  const fields = [
    { number: 1, value: 2n ** 64n - 1n },
    { number: 300, value: text("name") },
    { number: 2, value: 7n, width: 4 as const },
    { number: 3, value: 2n ** 63n, width: 8 as const },
  ];
  const bytes = writeFields(fields);
  deepEqual(readFields(bytes), fields);
  throws(() => readFields(bytes.slice(0, -1)), /it was cut off/);
});

Deno.test("substituteFiles() changes external files only: no size, no mode, the position of now", () => {
  const file = (external: boolean): Uint8Array<ArrayBuffer> =>
    writeFields([
      { number: 1, value: 1n },
      {
        number: 3,
        value: writeFields([
          { number: 2, value: 1n },
          { number: 3, value: 99n },
          { number: 6, value: text("file[1b:2]") },
          { number: 8, value: 99n },
          ...(external ? [{ number: 9, value: 1n }] : []),
          { number: 10, value: 0o100644n },
        ]),
      },
    ]);
  const image = writeImage({ magic: new Uint8Array(8), messages: [file(true), file(false)] });
  const changed = substituteFiles(image, new Map([["file[1b:2]", { position: 5n, append: true }]]));
  const [outside, inside] = readImage(changed).messages;
  deepEqual(inside, file(false));
  deepEqual(
    readFields(readFields(outside!)[1]!.value as Uint8Array<ArrayBuffer>).map(({ number, value }) => {
      return [number, typeof value === "bigint" ? value : "text"];
    }),
    [[2, 0o2001n], [3, 5n], [6, "text"], [9, 1n]],
  );
});

Deno.test("externalMounts() names what the host has too; sourceOf() finds it by the config of now", () => {
  const host = parseMountinfo(
    "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:5 / /dev rw - devtmpfs devtmpfs rw\n",
  );
  const lines = parseMountinfo(
    [
      "10 9 8:1 /b/rootfs / rw - ext4 /dev/sda rw",
      "11 10 8:1 /usr /usr ro - ext4 /dev/sda rw",
      "12 10 8:1 /b/rootfs/a /c rw - ext4 /dev/sda rw",
      "13 10 0:70 / /proc rw - proc proc rw",
      "14 13 0:5 /null /proc/keys rw - devtmpfs devtmpfs rw",
      "15 10 0:71 / /tmp rw - tmpfs tmpfs rw",
    ].join("\n") + "\n",
  );
  const found = externalMounts(lines, host);
  deepEqual(found.map(({ path }) => path), ["/usr", "/proc/keys"]);
  const spec = {
    mounts: [{ destination: "/usr/", source: "usr", options: ["rbind"] }],
    linux: { maskedPaths: ["/proc/keys"] },
  } as unknown as Spec;
  const live = { spec, bundle: "/b", host, groups: [] };
  equal(sourceOf({ path: "/usr", type: "ext4" }, live), "/b/usr");
  equal(sourceOf({ path: "/usr/local", type: "ext4" }, live), "/b/usr/local");
  equal(sourceOf({ path: "/proc/keys", type: "devtmpfs" }, live), "/dev/null");
  equal(sourceOf({ path: "/proc/kcore", type: "devtmpfs" }, live), undefined);
});

Deno.test("sourceOf() finds what a bundle binds of itself by its plain path, as CRIU wants it", () => {
  const mounts = [{ destination: "/a", type: "none", source: ".", options: ["bind"] }, {
    destination: "/a/b",
    type: "none",
    source: "./x//y/",
    options: ["bind"],
  }];
  const live = {
    spec: { ociVersion: "1.3.0", root: { path: "r" }, mounts },
    bundle: "/b",
    host: [],
    groups: [],
  };
  deepEqual(["/a", "/a/c", "/a/b"].map((path) => sourceOf({ path, type: "ext4" }, live)), [
    "/b",
    "/b/c",
    "/b/x/y",
  ]);
});

Deno.test({
  name: "liveImages() lead to the images of an earlier checkpoint, wherever they are read",
  ignore: Deno.uid() !== 0,
  fn: () => {
    const path = Deno.makeTempDirSync();
    try {
      for (const name of ["one", "two", "three"]) {
        Deno.mkdirSync(`${path}/${name}`);
        Deno.writeTextFileSync(`${path}/${name}/pages-1.img`, name);
      }
      Deno.symlinkSync("../one", `${path}/two/parent`);
      using entry = new Store(`${path}/containers`).claim("box");
      using live = liveImages({ path: `${path}/two`, manifest: undefined, links: [] }, entry, [0, 1, 2]);
      equal(Deno.readTextFileSync(`/proc/self/fd/${live.raw}/pages-1.img`), "two");
      equal(Deno.readTextFileSync(`/proc/self/fd/${live.raw}/parent/pages-1.img`), "one");
      // From within another root, too: CRIU goes there in the container.
      equal(Deno.readLinkSync(`/proc/self/fd/${live.raw}/parent`).startsWith("../"), true);
      Deno.removeSync(`${path}/one`, { recursive: true });
      using late = new Store(`${path}/containers`).claim("late");
      const gone = { path: `${path}/two`, manifest: undefined, links: [] };
      throws(() => liveImages(gone, late, [0, 1, 2]), /"parent" leads to what is not there/);
      using next = new Store(`${path}/containers`).claim("next");
      using alone = liveImages({ path: `${path}/three`, manifest: undefined, links: [] }, next, [0, 1, 2]);
      throws(() => Deno.lstatSync(`/proc/self/fd/${alone.raw}/parent`), Deno.errors.NotFound);
    } finally {
      Deno.removeSync(path, { recursive: true });
    }
  },
});

Deno.test("errorsOf() says the reasons of a log and leaves out what is harmless or only follows", () => {
  const log = [
    "(00.1) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted",
    "(00.2) Error (criu/files.c:7): The file `x` is strange",
    "(00.3) Error (criu/cr-dump.c:2111): Dumping FAILED.",
  ].join("\n");
  equal(errorsOf(log), "The file 'x' is strange");
  equal(errorsOf("(00.3) Error (criu/cr-dump.c:2111): Dumping FAILED."), "Dumping FAILED.");
  equal(errorsOf("all is well"), "");
});

Deno.test("checkSeals() reads pages once, and again if anything of their file has changed", async () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/pages-1.img`;
    Deno.writeFileSync(path, new Uint8Array(16 << 20).fill(7));
    const seals = { "pages-1.img": await seal(path) };
    await new Promise((resolve) => setTimeout(resolve, 2100)); // until its time can tell a change
    await checkSeals(directory, seals);
    const before = ownCpuMs();
    for (let turn = 0; turn < 100; turn++) await checkSeals(directory, seals);
    ok(ownCpuMs() - before < 1000); // to read them each time takes 2 s and more
    const { mtime } = Deno.statSync(path);
    using file = Deno.openSync(path, { write: true });
    file.writeSync(new Uint8Array([8]));
    Deno.utimeSync(path, mtime!, mtime!);
    await rejects(checkSeals(directory, seals), /pages-1\.img": it was altered/);
    Deno.truncateSync(path, 1 << 20);
    await rejects(checkSeals(directory, seals), /it has 1048576 bytes instead of 16777216/);
    Deno.removeSync(path);
    Deno.symlinkSync("/etc/passwd", path);
    await rejects(checkSeals(directory, seals), /it is no ordinary file/);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
