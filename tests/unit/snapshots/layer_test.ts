import { deepEqual, equal, match, throws } from "node:assert/strict";
import {
  encodeIndex,
  type LayerEntry,
  readIndex,
  shownPath,
  whatIsWrong,
} from "../../../snapshots/layer/entry.ts";
import { idsOf } from "../../../snapshots/layer/ids.ts";
import { common } from "../../../snapshots/store/pages.ts";
import { readTarHeader, tarHeader } from "../../../snapshots/store/tar.ts";

const ROOT: LayerEntry = { path: "", kind: "directory" };
const file = (path: string, more: Partial<LayerEntry> = {}): LayerEntry => ({ path, kind: "file", ...more });
const directory = (path: string): LayerEntry => ({ path, kind: "directory" });

const WRONG: readonly [says: RegExp, entries: readonly LayerEntry[]][] = [
  [/the root is no directory/, [file("")]],
  [/is there twice/, [ROOT, file("a"), file("a")]],
  [/is no path below the root/, [ROOT, file("..")]],
  [/is no path below the root/, [ROOT, directory("a"), file("a/../b")]],
  [/is no path below the root/, [ROOT, file("/etc")]],
  [/is no path below the root/, [ROOT, file("a//b")]],
  [/is no path below the root/, [ROOT, file("a".repeat(256))]],
  [/is no path/, [ROOT, file("a\0b")]],
  [/lies in no directory/, [file("a")]],
  [/lies in no directory/, [ROOT, file("a/b")]],
  [/lies in no directory/, [ROOT, { path: "a", kind: "link", target: "/etc" }, file("a/passwd")]],
  [/lies in no directory/, [ROOT, file("a/b"), directory("a")]],
  [/leads nowhere/, [ROOT, { path: "a", kind: "link" }]],
  [/one more name of no file/, [ROOT, { path: "a", kind: "name", target: "../../etc/shadow" }]],
  [/one more name of no file/, [ROOT, { path: "a", kind: "name", target: "" }]],
  [/parts that cannot be/, [ROOT, file("a", { bytes: 10, extents: [[4, 8]] })]],
  [/parts that cannot be/, [ROOT, file("a", { bytes: 10, extents: [[4, 2], [0, 2]] })]],
  [/content that is not there/, [ROOT, file("a", { bytes: 200, at: 0, extents: [[0, 200]] })]],
  [/content that is not there/, [ROOT, file("a", { bytes: 10, at: 95, extents: [[0, 10]] })]],
];

for (const [says, entries] of WRONG) {
  Deno.test(`whatIsWrong() says ${says} of ${JSON.stringify(entries.at(-1)).slice(0, 60)}`, () => {
    match(whatIsWrong(entries, 100) ?? "nothing", says);
  });
}

Deno.test("readIndex() reads what encodeIndex() writes, whatever the bytes of names", () => {
  const path = Deno.makeTempDirSync();
  try {
    const entries: LayerEntry[] = [
      { ...ROOT, mode: 0o755, uid: 0, gid: 0, accessed: "-5", modified: "1000000000123456789" },
      file("\xc3\xa4%41\n", { bytes: 5, at: 0, extents: [[1, 3]], attributes: { "user.\xff": "AA==" } }),
      { path: "\xff\xfe", kind: "link", target: "%\xff" },
      { path: "again", kind: "name", target: "\xff\xfe" },
    ];
    Deno.writeTextFileSync(`${path}/layer.json`, [...encodeIndex(entries)].join(""));
    Deno.writeFileSync(`${path}/layer.data`, new Uint8Array(3));
    deepEqual(readIndex(path), entries);
    equal(shownPath("\xc3\xa4%\n\x1b[m"), "ä%25%0a%1b[m");
    Deno.writeTextFileSync(`${path}/layer.json`, '{"version":1,"entries":[{"path":"","kind":"device"}]}');
    throws(() => readIndex(path), /layer\.json": \/entries\/0\/kind/);
    Deno.writeTextFileSync(
      `${path}/layer.json`,
      '{"version":1,"entries":[{"path":"","kind":"file","run":1}]}',
    );
    throws(() => readIndex(path), /run/);
    Deno.removeSync(`${path}/layer.json`);
    Deno.symlinkSync("/etc/passwd", `${path}/layer.json`);
    throws(() => readIndex(path), /it is no ordinary file/);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
});

Deno.test("idsOf() knows the ids of a user namespace, and no others", () => {
  const maps = [{ containerID: 0, hostID: 100_000, size: 10 }, { containerID: 50, hostID: 7, size: 1 }];
  const linux = { namespaces: [{ type: "user" as const }], uidMappings: maps, gidMappings: maps };
  const ids = idsOf({ ociVersion: "1.2.0", root: { path: "rootfs" }, linux });
  deepEqual([100_000, 100_009, 100_010, 7, 0].map((id) => ids.inside("uid", id)), [
    0,
    9,
    undefined,
    50,
    undefined,
  ]);
  deepEqual([0, 9, 10, 50].map((id) => ids.outside("gid", id)), [100_000, 100_009, undefined, 7]);
});

Deno.test("common() finds the pages that two memories have at the same addresses", () => {
  const P = 4096;
  const a = [{ address: 0, pages: 4, offset: 0 }, { address: 10 * P, pages: 2, offset: 4 * P }];
  const b = [{ address: 2 * P, pages: 9, offset: 0 }];
  deepEqual([...common(a, b)], [
    { address: 2 * P, pages: 2, first: 2 * P, second: 0 },
    { address: 10 * P, pages: 1, first: 4 * P, second: 8 * P },
  ]);
});

Deno.test("readTarHeader() reads what tarHeader() writes, and nothing that was altered", () => {
  for (const sizeBytes of [0, 511, 0o77777777777, 0o77777777777 + 1, 2 ** 40]) {
    deepEqual(readTarHeader(tarHeader("a/b", sizeBytes)), { name: "a/b", sizeBytes });
  }
  const header = tarHeader("a/b", 5);
  header[0] = 98;
  throws(() => readTarHeader(header), /it is no archive/);
  equal(readTarHeader(new Uint8Array(512)), undefined);
});
